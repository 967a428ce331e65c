"""Heads of answers: read at once where they are plain, by http.client where they are not, and always the same."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.deadline import Deadline
from syncagent.transport import head as head_module
from syncagent.transport.call import Call
from syncagent.transport.head import Headers, read_head

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nX-Request-Id: r1\r\n\r\n"


def received(data: bytes, method: str = "POST", *, pieces: int = 1) -> Any:
    """What ``read_head`` makes of *data*, that comes in so many pieces and ends; the exception where it raises."""
    ours, theirs = socket.socketpair()
    try:
        ours.settimeout(5)
        if pieces == 1:
            theirs.sendall(data)
            theirs.shutdown(socket.SHUT_WR)
            return read_head(ours, Call(Deadline(), 5.0), method)
        thread = threading.Thread(target=dripped, args=(theirs, data, pieces))
        thread.start()
        try:
            return read_head(ours, Call(Deadline(), 5.0), method)
        finally:
            thread.join()
    except (http.client.HTTPException, OSError, ValueError) as error:
        return type(error)
    finally:
        ours.close()
        theirs.close()


def dripped(sock: socket.socket, data: bytes, pieces: int) -> None:
    """Send *data* in so many pieces, each a packet of its own."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    size = max(1, len(data) // pieces)
    try:
        for start in range(0, len(data), size):
            sock.sendall(data[start : start + size])
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the reader has made up its mind and left


def by_http_client(data: bytes, method: str = "POST") -> Any:
    """The same of ``http.client`` alone."""
    ours, theirs = socket.socketpair()
    try:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(ours, method=method)
        try:
            response.begin()
        except (http.client.HTTPException, OSError, ValueError) as error:
            return type(error)
        finally:
            response.close()
        return response
    finally:
        ours.close()
        theirs.close()


def is_cut(data: bytes) -> bool:
    """Whether *data* ends before its head does."""
    return re.search(rb"\n\r?\n", data) is None


def is_ambiguous(data: bytes, theirs: http.client.HTTPResponse) -> bool:
    """Whether another reader may see the end of the body elsewhere."""
    head = data[: re.search(rb"\n\r?\n", data).end()]  # type: ignore[union-attr] # it is not cut
    lengths = {each.strip(" \t") for value in theirs.headers.get_all("content-length", []) for each in value.split(",")}
    encodings = ", ".join(theirs.headers.get_all("transfer-encoding", [])).strip(" \t").lower()
    about_lines = [defect for defect in theirs.headers.defects if "Bound" not in type(defect).__name__]
    about_lines = [defect for defect in about_lines if "Multipart" not in type(defect).__name__]
    if about_lines or b"\r" in head.replace(b"\r\n", b""):
        return True
    if theirs.headers.get_all("transfer-encoding") and encodings != "chunked":
        return True
    return bool(lengths) and (len(lengths) > 1 or re.fullmatch("[0-9]{1,18}", *lengths) is None)


def compare(data: bytes, method: str = "POST", pieces: int = 1) -> None:
    """Both say the same of *data*, but where it is cut or can be read in two ways, which we refuse."""
    ours, theirs = received(data, method, pieces=pieces), by_http_client(data, method)
    if isinstance(theirs, type):
        assert ours is theirs
        return
    if is_cut(data):
        assert ours is http.client.IncompleteRead
        return
    if is_ambiguous(data, theirs):
        assert ours is http.client.HTTPException
        return
    assert (ours.status, ours.reason) == (theirs.status, theirs.reason)
    assert ours.chunked == bool(theirs.chunked)
    assert ours.length == (None if theirs.chunked else theirs.length)
    both = "transfer-encoding" in theirs.headers and "content-length" in theirs.headers
    assert ours.will_close == (bool(theirs.will_close) or both)
    joined: dict[str, str] = {}
    for name, value in theirs.headers.items():
        name, value = name.lower(), value.strip(" \t")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    assert dict(ours.headers) == joined


def test_a_plain_head() -> None:
    """Status, reason, headers and framing; what follows the head is kept for the body."""
    answer = received(PLAIN + b"{}")
    assert (answer.status, answer.reason, answer.length, answer.chunked, answer.will_close) == (
        *(200, "OK", 2, False, False),
    )
    assert answer.headers.get("content-TYPE") == "application/json"
    assert answer.reader.ahead == b"{}"


def test_a_plain_head_is_not_read_by_http_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is what it is for."""
    monkeypatch.setattr(head_module, "_read_oddly", None)
    assert received(PLAIN).status == 200


ODD = {
    "nothing": b"",
    "no http": b"SSH-2.0-OpenSSH\r\n\r\n",
    "half a head": PLAIN[:60],
    "an old version": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "a version to come": b"HTTP/2 200\r\n\r\n",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    "an empty reason": b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
    "no headers": b"HTTP/1.1 200 OK\r\n\r\nrest",
    "a short status": b"HTTP/1.1 20 OK\r\n\r\n",
    "a long status": b"HTTP/1.1 2000 OK\r\n\r\n",
    "another status": b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a status of letters": b"HTTP/1.1 2\xb20 OK\r\n\r\n",
    "two blanks": b"HTTP/1.1  200 OK\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + PLAIN,
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN,
    "bare line ends": PLAIN.replace(b"\r\n", b"\n"),
    "one bare line end": PLAIN.replace(b"json\r\n", b"json\n"),
    "a folded header": PLAIN.replace(b"X-Request-Id: r1", b"X-Request-Id: r1\r\n  and more"),
    "a folded length": PLAIN.replace(b"Content-Length: 2", b"Content-Length:\r\n 2"),
    "a blank before the colon": PLAIN.replace(b"Content-Length: 2", b"Content-Length : 2"),
    "a length twice": PLAIN.replace(b"X-Request-Id: r1", b"Content-Length: 3"),
    "a negative length": PLAIN.replace(b"Length: 2", b"Length: -2"),
    "a length of words": PLAIN.replace(b"Length: 2", b"Length: two"),
    "a length with a sign": PLAIN.replace(b"Length: 2", b"Length: +2"),
    "a length with an underscore": PLAIN.replace(b"Length: 2", b"Length: 1_0"),
    "a long length": PLAIN.replace(b"Length: 2", b"Length: 0000000000000000000000002"),
    "a huge length": PLAIN.replace(b"Length: 2", b"Length: " + b"9" * 30),
    "chunks": PLAIN.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
    "Chunks": PLAIN.replace(b"Content-Length: 2", b"Transfer-Encoding: Chunked"),
    "chunks and a length": PLAIN.replace(b"X-Request-Id: r1", b"Transfer-Encoding: chunked"),
    "another encoding": PLAIN.replace(b"Content-Length: 2", b"Transfer-Encoding: gzip, chunked"),
    "closing": PLAIN.replace(b"X-Request-Id: r1", b"Connection: close"),
    "Closing": PLAIN.replace(b"X-Request-Id: r1", b"cONNECTION: Close, TE"),
    "keeping": PLAIN.replace(b"X-Request-Id: r1", b"Connection: keep-alive"),
    "no length": PLAIN.replace(b"Content-Length: 2", b"X-Other: 2"),
    "repeated headers": PLAIN.replace(b"X-Request-Id: r1", b"Via: a\r\nVIA: b\r\nvia: c"),
    "too many headers": PLAIN.replace(b"X-Request-Id: r1", b"\r\n".join(b"X-%d: y" % i for i in range(200))),
    "a hundred headers": b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(100)) + b"\r\n",
    "a long header": PLAIN.replace(b"r1", b"r" * 70_000),
    "Latin-1": PLAIN.replace(b"r1", b"caf\xe9"),
    "no value": PLAIN.replace(b" r1", b""),
    "a tab": PLAIN.replace(b": r1", b":\tr1 \t"),
    "a message of parts": PLAIN.replace(b"application/json", b"multipart/mixed; boundary=x").replace(b"1.1", b"1.0"),
    "parts without a boundary": PLAIN.replace(b"application/json", b"multipart/mixed").replace(b"1.1", b"1.0"),
    "a line that is none": PLAIN.replace(b"X-Request-Id: r1", b"garbage"),
    "half a line break": PLAIN.replace(b"r1", b"r1\rContent-Length: 1"),
    "the same length twice": PLAIN.replace(b"X-Request-Id: r1", b"content-length: 2"),
    "a list of one length": PLAIN.replace(b"Length: 2", b"Length: 2, 2"),
    "a status and no more": b"HTTP/1.1 200",
    "a head that is cut after a line": PLAIN[: PLAIN.index(b"X-Req")],
    "a head without its empty line": PLAIN[:-2],
}


@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize("data", ODD.values(), ids=ODD.keys())
def test_heads_as_http_client_reads_them(data: bytes, pieces: int) -> None:
    """Odd or not, in one packet or in several: what comes out is what ``http.client`` says, or its exception."""
    compare(data, pieces=pieces)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_nothing_of_a_body_is_lost(version: bytes) -> None:
    """Whoever reads the head, all that came with it is there for the body, however much it is."""
    body = bytes(range(256)) * 200
    answer = received(b"HTTP/%b 200 OK\r\nContent-Length: %d\r\n\r\n" % (version, len(body)) + body)
    assert answer.length == len(body)
    assert answer.reader.ahead == body


def test_answers_to_head() -> None:
    """They have a length and no body."""
    compare(PLAIN, "HEAD")
    assert received(PLAIN, "HEAD").length == 0


_NAMES = st.sampled_from(
    ["Content-Length", "content-length", "Transfer-Encoding", "Connection", "X-A", "x-a", "Set-Cookie", "B", "Date"]
)
_VALUES = st.one_of(
    st.sampled_from(["0", "12", "chunked", "close", "keep-alive", "", "5, 5", " 7 ", "\t3"]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12),
)
_STATUS = st.sampled_from(["200 OK", "200", "201 Created", "204 No", "404 Not Found", "429 ", "503 x y", "700 ?"])


@given(
    status=_STATUS,
    fields=st.lists(st.tuples(_NAMES, _VALUES, st.sampled_from([": ", ":", ":  "])), max_size=8),
    spoilt=st.one_of(st.none(), st.tuples(st.integers(0, 200), st.sampled_from([b"\n", b" ", b"\t", b":", b"x"]))),
)
def test_any_head(
    status: str, fields: list[tuple[str, str, str]], spoilt: Optional[tuple[int, bytes]]
) -> None:
    """Whatever headers come, with a stray byte anywhere: the same status, framing and headers as ``http.client``."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}{colon}{value}" for name, value, colon in fields)]
    data = "\r\n".join([*lines, "", ""]).encode("latin-1")
    if spoilt is not None:
        place = spoilt[0] % len(data)
        data = data[:place] + spoilt[1] + data[place:]
    compare(data)


def test_headers() -> None:
    """They read as a mapping in any case; repeated ones are joined; a repr shows names alone."""
    headers = Headers("\r\nVia: a\r\nSet-Cookie: secret=1\r\nVIA:b \r\nEmpty:\r\n")
    assert (headers.get("via"), headers.get("EMPTY"), headers.get("none"), headers.get("none", 1)) == (
        *("a, b", "", None, 1),
    )
    assert (headers["Via"], "empty" in headers, "none" in headers, len(headers)) == ("a, b", True, False, 3)
    assert list(headers) == ["via", "set-cookie", "empty"]
    assert repr(headers) == "<Headers via, set-cookie, empty>"
    with pytest.raises(KeyError):
        headers["none"]
