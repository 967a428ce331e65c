"""Sending one prepared try, through our own session or through the caller's."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from types import FunctionType, ModuleType
from typing import Any, Optional

import requests
from requests import adapters
from requests.adapters import HTTPAdapter
from requests.models import PreparedRequest
from urllib3.util import Timeout

from ..exceptions import UserError
from .adapter import DeadlineAdapter, NoCookies
from .answers import Hidden
from .call import Call, current_call
from .environment import Settings, connection_settings
from .errors import FAILURES, is_dead_connection
from .records import HttpRequest

__all__ = ["CallerSession", "OwnSession", "check_url"]

_MOST_TEMPLATES = 256
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade"})
_DEAD_WITHIN = 0.5  # seconds after sending in which a connection that had been closed before shows it
_FORBIDDEN = frozenset("\\ \t\r\n\x0b\x0c\x7f") | {chr(code) for code in range(32)}


def _original(function: Any, module: ModuleType) -> Any:
    """*function*, where it is the module's own; a mock may have been there before this file was loaded."""
    return function if type(function) is FunctionType and function.__globals__ is vars(module) else object()


_SESSION, _ADAPTER = requests.Session, HTTPAdapter
_SEND = _original(_SESSION.send, requests.sessions)
_GET_ADAPTER = _original(_SESSION.get_adapter, requests.sessions)
_SEND_BY_ADAPTER = _original(_ADAPTER.send, adapters)


def _is_untouched() -> bool:
    """Whether nobody, such as a mock or a tracer, has put something of their own in place of requests' methods."""
    return _SESSION.send is _SEND and _SESSION.get_adapter is _GET_ADAPTER and _ADAPTER.send is _SEND_BY_ADAPTER


class OwnSession:
    """
    The session that we make: no cookies, no netrc, no redirects; the environment is asked once for each origin.

    Args:
        pool_size: connections that are kept for each origin.
        proxies, verify, cert, trust_env: as of :func:`~.environment.connection_settings`.
    """

    tells = True
    """Whether its connections tell the call how far it came."""

    def __init__(self, pool_size: int, **settings: Any) -> None:
        session = _Session()
        session.trust_env = False
        session.cookies = NoCookies()
        session.headers.clear()
        # Of no address in particular, since the proxy's is not known: what holds for all.
        everywhere: dict[str, Any] = {**settings, "proxies": None}
        adapter = DeadlineAdapter(pool_size, connection_settings("https://", **everywhere).verify)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        self._session = session
        self._adapter = adapter
        self._given = settings
        self._settings: dict[str, Settings] = {}
        self._templates: dict[tuple[str, str], _Template] = {}
        self._timeouts: dict[tuple[float, float], Timeout] = {}

    def open(
        self, request: HttpRequest, added: Mapping[str, str], call: Call, timeout: tuple[float, float]
    ) -> tuple[requests.Response, Mapping[str, str]]:
        """
        Send one try; gives the answer, of which only the head was read, and the auth headers that were sent.

        A kept connection that the server had closed meanwhile is replaced once: nothing of an answer had come.
        """
        template = self._template(request)
        body = request.body
        headers = _Headers(template.headers)
        _put(headers, added, template.names)
        auth = sign(request, template.url, headers)
        _put(headers, auth, template.names)
        if body is not None or request.method not in ("GET", "HEAD"):
            headers["Content-Length"] = str(len(body or b""))
        prepared = PreparedRequest()
        prepared.method = request.method
        prepared.url = template.url
        prepared.headers = headers  # type: ignore[assignment]  # reads as one, and is copied at C speed
        prepared.body = body
        try:
            return self._send(prepared, template.settings, call, timeout), auth
        except FAILURES as error:
            if not call.reused or call.received or call.deadline.cancelled or not is_dead_connection(error):
                raise
            if call.sent and time.monotonic() - call.sent_at > _DEAD_WITHIN:
                raise  # it was alive, and the server may have worked on the request: that is for the retry policy
        call.check_process()
        call.renew()
        return self._send(prepared, template.settings, call, timeout), auth

    def close(self) -> None:
        """Close the session and its connections."""
        self._session.close()

    def _send(
        self, prepared: PreparedRequest, settings: Settings, call: Call, timeout: tuple[float, float]
    ) -> requests.Response:
        patience = self._timeout(timeout)
        token = current_call.set(call)
        try:
            if not settings.proxies and _is_untouched():
                # What a session does beside it is about redirects, cookies and hooks, of which ours has none.
                return self._adapter.straight(prepared, patience, settings.verify, settings.cert)
            return self._session.send(
                prepared,
                stream=True,
                timeout=patience,
                allow_redirects=False,
                proxies=settings.proxies,
                verify=settings.verify,
                cert=settings.cert,
            )
        finally:
            current_call.reset(token)

    def _timeout(self, seconds: tuple[float, float]) -> Any:
        """As requests makes it of the pair for each request; most have the same."""
        timeout = self._timeouts.get(seconds)
        if timeout is None:
            if len(self._timeouts) >= _MOST_TEMPLATES:
                self._timeouts.clear()
            timeout = self._timeouts[seconds] = Timeout(connect=seconds[0], read=seconds[1])
        return timeout

    def _template(self, request: HttpRequest) -> _Template:
        key = (request.method, request.url)
        template = self._templates.get(key)
        if template is None or template.given != request.headers:
            template = _Template(request, self._settings_of(request.url))
            if len(self._templates) >= _MOST_TEMPLATES:
                self._templates.clear()
            self._templates[key] = template
        return template

    def _settings_of(self, url: str) -> Settings:
        check_url(url)
        scheme, _, rest = url.partition("://")
        origin = f"{scheme.lower()}://{rest.partition('/')[0].partition('?')[0]}"
        settings = self._settings.get(origin)
        if settings is None:
            settings = connection_settings(url, **self._given)
            if len(self._settings) >= _MOST_TEMPLATES:
                self._settings.clear()
            self._settings[origin] = settings
        return settings


class CallerSession:
    """
    A session of the caller's: its adapters, auth, proxies, hooks and caching hold.

    Args:
        session: the ``requests.Session``.
        pid: the process that it may be used in.
        proxies, verify, cert: explicit settings beside its own.
    """

    tells = False

    def __init__(self, session: Any, pid: int, *, proxies: Optional[Mapping[str, str]], verify: Any, cert: Any) -> None:
        self._session = session
        self._pid = pid
        self._proxies = proxies
        self._verify = verify
        self._cert = cert

    def open(
        self, request: HttpRequest, added: Mapping[str, str], call: Call, timeout: tuple[float, float]
    ) -> tuple[requests.Response, Mapping[str, str]]:
        """
        Send one try; as :meth:`OwnSession.open`.

        Raises:
            UserError: the session was made in another process.
        """
        if os.getpid() != self._pid:
            raise UserError(
                "session= was given in another process; connections shared after a fork mix up answers. "
                "Give a function that returns a session: it is called once in each process."
            )
        check_url(request.url)
        refuse_framing(request.headers)
        headers = {**request.headers, **added}
        auth = sign(request, request.url, headers)
        session = self._session
        prepared = session.prepare_request(
            requests.Request(
                request.method,
                request.url,
                headers={**headers, **auth},
                data=request.body,
                # Something callable that does nothing: a netrc file must not replace the key.
                auth=_keep if auth and not session.auth else None,
            )
        )
        prepared.register_hook("response", _forget_location)
        settings = session.merge_environment_settings(
            prepared.url, dict(self._proxies or {}), True, self._verify, self._cert
        )
        settings["stream"] = True
        return session.send(prepared, timeout=timeout, allow_redirects=False, **settings), auth

    def close(self) -> None:
        """Leave it open: it is the caller's."""


def check_url(url: str) -> None:
    """
    Refuse addresses that two parsers read differently, and credentials where logs would show them.

    Raises:
        UserError: *url* is not plain and absolute.
    """
    scheme, separator, rest = url.partition("://")
    netloc = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    if scheme.lower() not in ("http", "https") or not separator or not netloc:
        raise UserError("A base URL starts with http:// or https:// and a host; got one that does not.")
    if "@" in netloc:
        raise UserError("A base URL must not hold a user name or password; use api_key= or headers.")
    if not _FORBIDDEN.isdisjoint(url):
        raise UserError("A base URL must not hold spaces, control characters or backslashes.")


def refuse_framing(headers: Mapping[str, str]) -> None:
    """
    Refuse headers that say where the body ends, or what becomes of the connection.

    Raises:
        UserError: there is such a one.
    """
    for name in headers:
        if isinstance(name, str) and name.lower() in _FRAMING:
            raise UserError(f"The header {name} is the transport's own: leave it out of headers and extra_headers.")


def sign(request: HttpRequest, url: str, headers: Mapping[str, str]) -> Mapping[str, str]:
    """
    The headers that log this try in.

    Raises:
        UserError: a value cannot be sent as a header; its name is said, not its value.
    """
    if request.auth is None:
        return {}
    auth = Hidden(request.auth(request.method, url, headers, request.body or b""))
    name = next((name for name, value in auth.items() if not _is_plain(value)), None)
    if name is not None:
        raise UserError(
            f"The key for the header {name} holds a line break or a character that is not ASCII; "
            "look for white space around it."
        )
    return auth


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


class _Session(requests.Session):
    def resolve_redirects(self, *args: Any, **kwargs: Any) -> Any:
        """None: ``Session.send`` would read a redirect's whole body, whatever its size."""
        return iter(())


def _put(headers: dict[str, str], more: Mapping[str, str], names: Mapping[str, str]) -> None:
    """Add *more*, each instead of a header that is the same in another case; *names* has those by their lower case."""
    for name, value in more.items():
        written = names.get(name.lower())
        if written is not None and written != name:
            headers.pop(written, None)
        headers[name] = value


class _Template:
    """What all requests with the same method, URL and headers have in common, prepared and checked once."""

    __slots__ = ("given", "headers", "names", "settings", "url")

    def __init__(self, request: HttpRequest, settings: Settings) -> None:
        self.given = dict(request.headers)
        refuse_framing(self.given)
        self.settings = settings
        prepared = PreparedRequest()
        try:
            prepared.prepare(method=request.method, url=request.url, headers=self.given)
            self.headers = {str(name): _checked(name, value) for name, value in prepared.headers.items()}
        except (requests.exceptions.InvalidHeader, ValueError, AttributeError, TypeError):
            names = ", ".join(map(str, self.given))
            raise UserError(f"One of the headers {names} has a value that is not plain text of one line.") from None
        self.url = str(prepared.url)
        if "User-Agent" not in prepared.headers:
            self.headers["User-Agent"] = "syncagent"
        self.headers.pop("Content-Length", None)
        self.names = {name.lower(): name for name in self.headers}


class _Headers(dict[str, str]):
    """Request headers: read in any case, copied as fast as a dict."""

    def __repr__(self) -> str:
        return f"<headers {', '.join(self)}>"  # tracebacks with variables show frames that hold them

    def __missing__(self, key: str) -> str:
        wanted = key.lower()
        for name, value in self.items():
            if name.lower() == wanted:
                return value
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return dict.__contains__(self, key) or self.get(key) is not None

    def get(self, key: Any, default: Any = None) -> Any:
        """As of a dict."""
        try:
            return self[key]
        except (KeyError, AttributeError):
            return default


def _checked(name: Any, value: Any) -> str:
    """*value*, where both can stand in a header; the expressions of older requests let a last line break pass."""
    if not name.isascii() or not name.isprintable() or " " in name or ":" in name:
        raise ValueError("no header name")
    text: str = value
    text.encode("latin-1")
    if "\r" in text or "\n" in text:
        raise ValueError("no header value")
    return text


def _keep(prepared: PreparedRequest) -> PreparedRequest:
    return prepared


def _forget_location(response: requests.Response, *args: Any, **kwargs: Any) -> None:
    """Redirects stay off, and ``Session.send`` shall not read a redirect's whole body to find the next address."""
    response.headers.pop("location", None)
