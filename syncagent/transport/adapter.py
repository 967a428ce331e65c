"""
The requests adapter that brings in our connections, and looks up once what stays the same.

Whatever is overridden is a hook that requests leaves open, so that floor and newest versions work.
``HTTPAdapter.send`` is not overridden: test libraries replace exactly that method.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Any, Optional, Union

import requests
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter
from requests.cookies import RequestsCookieJar
from urllib3.util.ssl_ import create_urllib3_context

from ..exceptions import UserError
from .call import current_call
from .connection import socket_options
from .pool import POOLS

__all__ = ["DeadlineAdapter", "NoCookies"]

_MOST_POOLS = 256

_Verify = Union[bool, str, None]
_Cert = Union[str, tuple[str, str], None]


class NoCookies(RequestsCookieJar):
    """Takes no cookie and gives none: the session is shared by all users of the process."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Take nothing."""

    def set_cookie(self, cookie: Any, *args: Any, **kwargs: Any) -> None:
        """Take nothing."""


class DeadlineAdapter(HTTPAdapter):
    """
    Direct and proxied connections that know their :class:`Call`.

    Pools are looked up once for each URL and TLS settings, since that look-up costs more than the sending.

    Args:
        pool_size: connections that are kept for each origin.
        verify: what the certificate of a proxy is checked with that is spoken to by TLS itself: True, or the path of
            a bundle; None or False for what OpenSSL trusts.
    """

    def __init__(self, pool_size: int, verify: _Verify = None) -> None:
        self._proxy_verify = verify
        self._pools: dict[Any, Any] = {}
        self._paths: dict[str, str] = {}
        self._contexts: dict[tuple[_Verify, _Cert], ssl.SSLContext] = {}
        super().__init__(pool_connections=64, pool_maxsize=pool_size, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make direct pools of our connections."""
        super().init_poolmanager(*args, socket_options=socket_options(), **kwargs)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Make proxied pools of our connections."""
        if proxy.lower().startswith("socks"):  # PySocks has connections of its own
            return super().proxy_manager_for(proxy, **proxy_kwargs)
        if self._proxy_verify and proxy.lower().startswith("https"):
            # Without the client's certificate: it is for the target.
            proxy_kwargs.setdefault("proxy_ssl_context", self._tls_context(self._proxy_verify, None))
        manager = super().proxy_manager_for(proxy, socket_options=socket_options(), **proxy_kwargs)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: _Verify,
        proxies: Optional[Mapping[str, str]] = None,
        cert: _Cert = None,
    ) -> Any:
        """The pool for *request*, from a bounded cache."""
        key = (request.url, verify, cert, tuple(proxies.items()) if proxies else None)
        pool = self._pools.get(key)
        if pool is None:
            try:
                pool = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
            except (TypeError, ValueError) as error:
                # Not its text: it may quote a proxy's password.
                raise UserError(
                    f"The address or the proxy of a request cannot be used ({type(error).__name__}): check the base "
                    "URL, proxies= and the proxy variables; a SOCKS proxy needs the package PySocks."
                ) from None
            if len(self._pools) >= _MOST_POOLS:
                self._pools.clear()
            self._pools[key] = pool
        return pool

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: _Cert = None) -> Any:
        """One TLS context for all connections with the same settings: loading certificates takes 10 to 30 ms."""
        host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        if verify and host["scheme"] == "https":
            return host, {"ssl_context": self._tls_context(verify, cert)}
        return host, tls

    def cert_verify(self, conn: Any, url: str, verify: _Verify, cert: _Cert) -> None:
        """Set what a pool's TLS context does not hold, once: the pool was looked up by these settings."""
        if conn.tls_settings == (verify, cert):
            return
        if verify and url.lower().startswith("https"):
            conn.cert_reqs = "CERT_REQUIRED"
        else:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]  # in the stubs
        conn.tls_settings = (verify, cert)

    def straight(
        self, request: requests.PreparedRequest, timeout: Any, verify: _Verify, cert: _Cert
    ) -> requests.Response:
        """
        What ``send`` does with a request that goes to its host directly; the errors are urllib3's and the system's own.

        Raises:
            Exception: whatever urllib3, http.client, ssl and socket raise.
        """
        pool = self.get_connection_with_tls_context(request, verify, None, cert)
        self.cert_verify(pool, str(request.url), verify, cert)
        raw = pool.urlopen(
            request.method, self.request_url(request, None), request.body, request.headers, timeout=timeout
        )
        return self.build_response(request, raw)

    def request_url(self, request: requests.PreparedRequest, proxies: Optional[Mapping[str, str]]) -> str:
        """What stands in the request line; kept for requests that go out directly."""
        if proxies:
            return str(super().request_url(request, proxies))
        key = str(request.url)
        path = self._paths.get(key)
        if path is None:
            if len(self._paths) >= _MOST_POOLS:
                self._paths.clear()
            path = self._paths[key] = str(super().request_url(request, proxies))
        return path

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """A response without a cookie jar of its own and without a copy of the headers."""
        response = requests.Response.__new__(requests.Response)
        # A copy of what __init__ sets, whatever that is in the version at hand.
        response.__dict__.update(_EMPTY_RESPONSE)
        response.history = []
        response.status_code = resp.status
        response.headers = resp.headers
        response.raw = resp
        response.reason = resp.reason
        response.url = str(req.url)
        response.request = req
        response.connection = self
        return response

    def close(self) -> None:
        """Close all pools."""
        self._pools.clear()
        self._paths.clear()
        super().close()

    def _tls_context(self, verify: Union[bool, str], cert: _Cert) -> ssl.SSLContext:
        context = self._contexts.get((verify, cert))
        if context is None:
            context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
            bundle = DEFAULT_CA_BUNDLE_PATH if verify is True else str(verify)
            what = bundle
            try:
                if os.path.isdir(bundle):
                    context.load_verify_locations(capath=bundle)
                else:
                    context.load_verify_locations(cafile=bundle)
                if cert:
                    what = cert if isinstance(cert, str) else cert[0]
                    context.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
            except OSError as error:
                raise UserError(
                    f"The certificates {what} cannot be loaded ({error}). Check verify=, cert= and the variables "
                    "REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE and SSL_CERT_FILE."
                ) from None
            context.sslsocket_class = _closing(context.sslsocket_class)
            self._contexts[verify, cert] = context
        return context


def _closing(sock_class: type[ssl.SSLSocket]) -> type[ssl.SSLSocket]:
    """
    A class of sockets that are closed where a handshake is interrupted; ``ssl`` itself does it for errors only.

    Args:
        sock_class: what the context makes; gevent's where that has patched.
    """

    class ClosingSocket(sock_class):  # type: ignore[misc, valid-type]  # a class that is known at run time
        def do_handshake(self, *args: Any, **kwargs: Any) -> None:
            try:
                call = current_call.get()
                if call is not None:
                    call.bind(self)  # so that cancelling reaches it
                super().do_handshake(*args, **kwargs)
            except BaseException:
                self.close()
                raise

    return ClosingSocket


_EMPTY_RESPONSE: dict[str, Any] = dict(requests.Response().__dict__, cookies=NoCookies())
