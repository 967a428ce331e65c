"""
User-given URLs: fetched without a way into the private network.

What a user, a stored history or a model names is not the program's own choice. So the address is checked after its
name was resolved, and again on the connection, before a byte is sent; redirects are followed here, each as if it
were the first address; and no cookie, key, netrc file or proxy of the environment has any part in it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple, Optional
from urllib.parse import urljoin

import attrs

from ..deadline import Deadline
from ..exceptions import DeadlineExceeded, ModelAPIError, ModelResponseError, ModelTimeoutError, UserError
from ..permission import check_allow_model_requests
from .addresses import host_name, is_public_text
from .client import Transport
from .records import HttpRequest
from .retry import RetryPolicy

__all__ = ["DownloadRules", "Downloaded", "Resolver", "download"]

Resolver = Callable[[str, int], Sequence[str]]
"""Called with a host and a port; gives its addresses as text."""

_MOST_BYTES = 20 * 2**20
_SECONDS = 30.0
_MOST_HOPS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WHOLE = frozenset({200, 203})
_UNSAID = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_SHOWN = 100  # characters of an address in an error; never its query, which may hold a signature


class Downloaded(NamedTuple):
    """
    What a URL led to.

    Args:
        data: the bytes, decompressed.
        media_type: as the server says it, lower case and without parameters; None where it says nothing of use.
    """

    data: bytes
    media_type: Optional[str]


@attrs.frozen(kw_only=True)
class DownloadRules:
    """
    What holds for the URLs of messages that a model cannot be sent.

    Args:
        allow: hosts that may have a private address.
        max_bytes: the largest body, after decompression.
        timeout: seconds for the whole download, redirects included.
        proxies: by scheme; none of the environment are used. A proxy resolves names itself, so it has to keep
            the private network closed itself.
    """

    allow: Sequence[str] = ()
    max_bytes: int = _MOST_BYTES
    timeout: float = _SECONDS
    proxies: Optional[Mapping[str, str]] = attrs.field(default=None, repr=False)  # addresses may hold passwords


def download(
    url: str,
    *,
    deadline: Optional[Deadline] = None,
    max_bytes: int = _MOST_BYTES,
    timeout: float = _SECONDS,
    allow: Iterable[str] = (),
    accept: Iterable[str] = (),
    proxies: Optional[Mapping[str, str]] = None,
    retry_policy: Optional[RetryPolicy] = None,
    resolve: Optional[Resolver] = None,
    model_name: str = "",
) -> Downloaded:
    """
    Fetch *url* from the public Internet.

    Args:
        url: ``http`` or ``https``.
        deadline: of the run.
        max_bytes: the largest body, after decompression.
        timeout: seconds for the whole download, redirects included.
        allow: hosts that may have a private address, compared without regard to case and a dot at the end.
        accept: media types that are expected, such as ``image/*``; none for all. A server that names no type,
            or just bytes, is believed.
        proxies: by scheme; none of the environment are used.
        retry_policy: for failures that another try may mend.
        resolve: instead of the machine's resolver.
        model_name: for errors.

    Raises:
        UserError: the address is refused: it is not plain, leads to a host that is not public, or to one that
            ``syncagent.policy`` does not allow.
        RuntimeError: requests are not allowed (``SYNCAGENT_ALLOW_MODEL_REQUESTS=0``).
        ModelResponseError: the body is too large, of another type, only a part, or empty.
        ModelAPIError: it failed, after as many tries as the policy allows.
        DeadlineExceeded, RunCancelled: the run has to stop.
    """
    check_allow_model_requests()
    run = deadline if deadline is not None else Deadline()
    run.check()
    own = Deadline(timeout, parent=run)
    guard = _Guard(allow, resolve or _resolve, proxies, tuple(kind.lower() for kind in accept))
    transport = _Transport(guard, retry_policy)
    shown = _shown(url)
    try:
        for _ in range(_MOST_HOPS + 1):
            guard.check_url(url)
            request = HttpRequest(
                "GET", url, headers={}, model_name=model_name, timeout=(min(5.0, timeout), timeout), max_body=max_bytes
            )
            try:
                answer = transport.send(request, own)
            except _Redirect as redirect:
                try:
                    url = urljoin(url, redirect.location)
                except ValueError:
                    raise UserError(f"{shown} was redirected to what is no URL.") from None
                continue
            if not answer.body:
                raise ModelResponseError("it is empty.", model_name=model_name, attempts=answer.attempts)
            return Downloaded(answer.body, _media_type(answer.headers))
        raise ModelResponseError(f"It was redirected more than {_MOST_HOPS} times.", model_name=model_name)
    except DeadlineExceeded:
        if own.end == run.end:
            raise
        text = f"Downloading {shown} took more than {timeout:g} s."
        raise ModelTimeoutError(text, model_name=model_name, retryable=True) from None
    except ModelAPIError as error:
        error.message = f"Downloading {shown} failed: {error.message}"
        raise
    finally:
        transport.close()


class _Redirect(Exception):
    """The server says that it is elsewhere."""

    def __init__(self, location: str) -> None:
        super().__init__("redirect")
        self.location = location


class _Guard:
    """Says of a URL, a host and a connection whether they may be used."""

    def __init__(
        self,
        allow: Iterable[str],
        resolve: Resolver,
        proxies: Optional[Mapping[str, str]],
        accept: tuple[str, ...],
    ) -> None:
        if isinstance(allow, str):
            raise UserError(f"allow= is a list of hosts; got the text {allow!r}.")
        self._allowed = set()
        for host in allow:
            name = host_name(host)
            if name is None:
                raise UserError(f"allow= is a list of hosts such as 'files.example.com'; got {host!r}.")
            self._allowed.add(name)
        self._resolve = resolve
        self.proxies = dict(proxies or {})
        self.accept = accept

    def check_url(self, url: str) -> str:
        """
        The address as it will be asked for.

        Raises:
            UserError: it is not plain, or its host is written in a way that parsers read differently.
        """
        if not isinstance(url, str):
            raise UserError(f"A URL is a text; got {type(url).__name__}.")
        scheme, separator, rest = url.partition("://")
        if not separator or scheme.lower() not in ("http", "https"):
            raise UserError(f"Only http and https URLs are downloaded; got {_shown(url)!r}.")
        _refuse_odd(url, rest)
        from requests import PreparedRequest
        from requests.exceptions import RequestException

        prepared = PreparedRequest()
        try:
            prepared.prepare_url(url, None)
        except (RequestException, ValueError):
            raise UserError(f"This is no URL that can be asked for: {_shown(url)!r}.") from None
        plain = str(prepared.url)
        _refuse_odd(plain, plain.partition("://")[2])
        self.name_of(_host_of(plain))
        return plain

    def name_of(self, host: str) -> str:
        """The host's name as it is compared; raises UserError for an odd one."""
        name = host_name(host)
        if name is None:
            raise UserError(f"The host {host[:_SHOWN]!r} of a URL is neither a name nor a plainly written address.")
        return name

    def addresses(self, host: str, port: int) -> list[str]:
        """
        The addresses to connect to.

        Raises:
            UserError: one of them is not public, and the host is not allowed.
            OSError: there are none.
        """
        name = self.name_of(host)
        found = list(dict.fromkeys(self._resolve(name, port)))
        for address in found:
            self.check_address(name, address)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "it has no address")
        return found

    def check_address(self, host: str, address: str) -> None:
        """Raise UserError where *address* is not public, and *host* is not allowed."""
        if not is_public_text(address) and host_name(host) not in self._allowed:
            raise UserError(
                f"The host {host[:_SHOWN]!r} of a URL has the address {address}, which is not public: it is not "
                "asked. Where it is meant, allow the host by name."
            )


def _refuse_odd(url: str, rest: str) -> None:
    if "\\" in url or not url.isprintable() or any(char.isspace() for char in url):
        raise UserError("A URL with a backslash, white space or a control character is not downloaded.")
    # Up to the first slash, since ? and # end the host for some parsers only.
    head = rest.partition("/")[0]
    if "@" in head or "%" in head:
        raise UserError("A URL with @ or % before its path is not downloaded: parsers disagree about its host.")


def _resolve(host: str, port: int) -> list[str]:
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, socket.AF_UNSPEC, socket.SOCK_STREAM)]


_guard: ContextVar[Optional[_Guard]] = ContextVar("syncagent_download", default=None)
"""What the connection being made has to keep; set only around the sending."""


class _Transport(Transport):
    """Sends through a session that lives for one download: no connection is kept for whom other rules hold."""

    def __init__(self, guard: _Guard, retry_policy: Optional[RetryPolicy]) -> None:
        super().__init__(retry_policy=retry_policy, trust_env=False)
        self._guard = guard
        self._open: Any = None

    def session(self) -> Any:
        """The session of this download."""
        if self._open is None:
            self._open = _Session(self._guard)
        return self._open

    def close(self) -> None:
        """Close its connections."""
        if self._open is not None:
            self._open.close()


class _Session:
    """Sends one GET: nothing but an adapter, so that nothing of a session can slip in."""

    tells = True

    def __init__(self, guard: _Guard) -> None:
        self._guard = guard
        self._adapter = _guarded_adapter()

    def open(
        self, request: HttpRequest, added: Mapping[str, str], call: Any, timeout: tuple[float, float]
    ) -> tuple[Any, Mapping[str, str]]:
        """
        Send one try; gives the answer, of which only the head was read.

        Raises:
            _Redirect: the answer is elsewhere.
            ModelResponseError: its type is not one of those that are wanted.
        """
        from requests import PreparedRequest
        from requests.utils import select_proxy

        from .call import current_call
        from .environment import connection_settings

        guard = self._guard
        prepared = PreparedRequest()
        prepared.prepare(method="GET", url=guard.check_url(request.url))
        wanted = ", ".join(guard.accept) or "*/*"
        prepared.headers.update({"Accept": wanted, "User-Agent": "syncagent", **added})
        url = str(prepared.url)
        if select_proxy(url, guard.proxies):
            # The proxy resolves the name again; this is all that can be seen from here.
            guard.addresses(_host_of(url), 0)
        verify = connection_settings(url, proxies=None, verify=None, cert=None, trust_env=True).verify
        tokens = current_call.set(call), _guard.set(guard)
        try:
            response = self._adapter.send(prepared, stream=True, timeout=timeout, verify=verify, proxies=guard.proxies)
        finally:
            current_call.reset(tokens[0])
            _guard.reset(tokens[1])
        problem = _problem(response, guard.accept, request.model_name)
        if problem is not None:
            response.close()
            raise problem
        return response, {}

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()


def _problem(response: Any, accept: tuple[str, ...], model_name: str) -> Optional[Exception]:
    """Why the body of this answer is not read, where that shows in its head."""
    if response.status_code in _REDIRECTS:
        location = response.headers.get("location")
        if location:
            # http.client reads headers as Latin-1; who writes others than ASCII there means UTF-8.
            return _Redirect(location.encode("latin-1", "replace").decode("utf-8", "replace"))
        return ModelResponseError("It was redirected to nowhere.", model_name=model_name)
    if not 200 <= response.status_code < 300:
        return None
    if response.status_code not in _WHOLE:
        text = f"expected the whole of it, got status {response.status_code}."
        return ModelResponseError(text, model_name=model_name)
    kind = _media_type(response.headers)
    if kind is None or not accept:
        return None
    if any(kind == each or (each.endswith("/*") and kind.startswith(each[:-1])) for each in accept):
        return None
    text = f"expected {' or '.join(accept)}, got the content type {kind[:80]}."
    return ModelResponseError(text, model_name=model_name)


def _media_type(headers: Mapping[str, str]) -> Optional[str]:
    kind = (headers.get("content-type") or "").partition(";")[0].strip().lower()
    return None if kind in _UNSAID else kind


def _host_of(url: str) -> str:
    """The host that requests would connect to: the same parser."""
    from urllib3.util import parse_url

    return parse_url(url).host or ""


def _shown(url: object) -> str:
    """As much of an address as may stand in an error."""
    text = str(url).partition("?")[0].partition("#")[0]
    head, separator, rest = text.partition("://")
    if "@" in rest.partition("/")[0]:
        text = f"{head}{separator}...@{rest.rpartition('@')[2]}"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _guarded_adapter() -> Any:
    """An adapter whose direct connections check the address that they connect to."""
    from .adapter import DeadlineAdapter

    adapter = DeadlineAdapter(pool_size=1)
    adapter.poolmanager.pool_classes_by_scheme = _guarded_pools()
    return adapter


def _guarded_pools() -> dict[str, Any]:
    if not _pools:
        from .pool import POOLS

        for scheme, pool in POOLS.items():
            connection = type("GuardedConnection", (_GuardedMixin, pool.ConnectionCls), {})
            _pools[scheme] = type("GuardedPool", (pool,), {"ConnectionCls": connection})
    return _pools


_pools: dict[str, Any] = {}


class _GuardedMixin:
    """A connection that goes to no address but those that were checked."""

    port: int
    _dns_host: str

    def _new_conn(self) -> Any:
        guard = _guard.get()
        host = self._dns_host
        if guard is None:
            raise UserError("A connection for downloads was used without its rules.")
        try:
            addresses = guard.addresses(host, self.port)
        except OSError as error:
            from urllib3.exceptions import NewConnectionError

            raise NewConnectionError(self, f"Failed to resolve {host!r}") from error  # type: ignore[arg-type] # is one
        try:
            # To the addresses that were checked, not to the name: it may mean another one by now.
            return self._connect_to(guard, host, addresses)
        finally:
            self._dns_host = host

    def _connect_to(self, guard: _Guard, host: str, addresses: list[str]) -> Any:
        from urllib3.exceptions import HTTPError

        while True:
            self._dns_host = addresses.pop(0)
            try:
                sock = super()._new_conn()  # type: ignore[misc]  # the connection's
                break
            except HTTPError:
                if not addresses:
                    raise
        try:
            guard.check_address(host, str(sock.getpeername()[0]))
        except BaseException:
            sock.close()
            raise
        return sock
