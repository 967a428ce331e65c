"""Signature Version 4, compared with AWS's own example and with botocore."""

from __future__ import annotations

import datetime as dt
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.providers._sigv4 import Credentials, sign

_STAMP = "20150830T123600Z"
_KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


def test_example() -> None:
    """The request of AWS's documentation has the signature that stands there."""
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html and its test suite
    signed = sign(
        "GET",
        "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
        {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        b"",
        credentials=_KEYS,
        region="us-east-1",
        service="iam",
        timestamp=_STAMP,
    )
    assert signed == {
        "X-Amz-Date": _STAMP,
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
    }


def test_no_secret_is_shown() -> None:
    """The repr of credentials shows the beginning of the id and nothing else."""
    shown = repr(Credentials("AKIDEXAMPLE", "secret", "token"))
    assert shown == "<AWS credentials AKID...>"


def _theirs(
    monkeypatch: pytest.MonkeyPatch, method: str, url: str, headers: dict[str, str], body: bytes, keys: Credentials
) -> dict[str, str]:
    """The headers that botocore adds."""
    auth = pytest.importorskip("botocore.auth", reason="the oracle is botocore: pip install botocore")
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as Theirs

    now = dt.datetime(2015, 8, 30, 12, 36)
    monkeypatch.setattr(auth, "get_current_datetime", lambda: now)
    request = AWSRequest(method, url, dict(headers), body)
    auth.SigV4Auth(Theirs(*keys), "bedrock", "eu-west-1").add_auth(request)
    return {name: value for name, value in request.headers.items() if name not in headers}


def _ours(method: str, url: str, headers: dict[str, str], body: bytes, keys: Credentials) -> dict[str, str]:
    return sign(method, url, headers, body, credentials=keys, region="eu-west-1", service="bedrock", timestamp=_STAMP)


@pytest.mark.parametrize("keys", [_KEYS, Credentials("AKID", "s/+=", "a token")], ids=["keys", "token"])
@pytest.mark.parametrize("body", [b"", b"{}", "é\ud83d\ude00".encode("utf-8", "surrogatepass")])
@pytest.mark.parametrize(
    ("method", "url", "headers"),
    [
        ("POST", "https://bedrock-runtime.eu-west-1.amazonaws.com/model/amazon.nova-lite-v1%3A0/converse", {}),
        (
            "POST",
            "https://h/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.a.b-v1%3A0/converse-stream",
            {"Content-Type": "application/json"},
        ),
        ("GET", "https://h", {}),
        ("GET", "https://h/", {}),
        ("GET", "http://h:8080/a//b/./c/../d/", {"X-A": "  two   spaces "}),
        ("GET", "https://h:443/~a-b_c.d e%20f", {"Host": "elsewhere"}),
        ("GET", "http://[::1]:80/a", {}),
        ("get", "https://H.example/a?b=2&a=1&a=0&c&d=%20&&", {"x-z": "1", "X-A": "2"}),
        ("PUT", "https://h/../..", {}),
        ("PUT", "https://h/a/..?", {}),
    ],
)
def test_as_botocore(
    monkeypatch: pytest.MonkeyPatch, method: str, url: str, headers: dict[str, str], body: bytes, keys: Credentials
) -> None:
    """A request of each kind is signed as botocore signs it."""
    assert _ours(method, url, headers, body, keys) == _theirs(monkeypatch, method, url, headers, body, keys)


_segment = st.text("abcXYZ019-._~%3A$&'()*+,;=:@ é", max_size=8)
_keys: Any = st.builds(
    Credentials,
    st.text("ABC123", min_size=1, max_size=20),
    st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()),
    st.none() | st.text("abc/+= ", min_size=1, max_size=20).map(str.strip).map(lambda text: text or None),
)


@given(
    st.lists(_segment, max_size=5),
    st.none() | st.lists(st.tuples(_segment, _segment), max_size=4),
    st.dictionaries(st.sampled_from(["X-A", "Content-Type", "x-b"]), st.text("ab \t,", max_size=8), max_size=3),
    st.binary(max_size=40),
    _keys,
)
def test_wild_requests(
    segments: list[str],
    query: Optional[list[tuple[str, str]]],
    headers: dict[str, str],
    body: bytes,
    keys: Credentials,
) -> None:
    """Any path, query, headers and body is signed as botocore signs it."""
    url = "https://h.example:8443/" + "/".join(segments)
    if query is not None:
        url += "?" + "&".join(f"{name}={value}" for name, value in query)
    with pytest.MonkeyPatch.context() as patch:
        assert _ours("POST", url, headers, body, keys) == _theirs(patch, "POST", url, headers, body, keys)
