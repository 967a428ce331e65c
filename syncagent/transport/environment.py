"""
What the environment says of proxies and certificates, looked up once for each session and origin.

The names are those that requests, curl and OpenSSL read: ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``,
``NO_PROXY`` (lower case too), ``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE``, ``SSL_CERT_FILE``. A netrc file is never
read: it would replace the API key by a password.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple, Optional, Union

__all__ = ["Settings", "connection_settings"]


class Settings(NamedTuple):
    """How to reach one origin; the arguments of the same names of ``requests``."""

    proxies: dict[str, str]
    verify: Union[bool, str]
    cert: Union[str, tuple[str, str], None]

    def __repr__(self) -> str:
        return f"<Settings, proxies for {', '.join(self.proxies) or 'none'}>"  # their addresses may hold passwords


def connection_settings(
    url: str,
    *,
    proxies: Optional[Mapping[str, str]],
    verify: Union[bool, str, None],
    cert: Union[str, tuple[str, str], None],
    trust_env: bool,
) -> Settings:
    """
    Join what the program says with what the environment says; the program wins.

    Args:
        url: an address of the origin.
        proxies: by scheme (``https``) or scheme and host (``https://api.example.com``); None for none given.
        verify: True, or the path of a bundle of certificates; False turns the check off; None for not given.
        cert: the path of a client certificate, or a pair with its key.
        trust_env: whether the environment is asked at all.
    """
    merged = dict(proxies or {})
    if trust_env:
        from requests.utils import get_environ_proxies

        for scheme, proxy in get_environ_proxies(url, no_proxy=merged.get("no_proxy")).items():
            merged.setdefault(scheme, proxy)
        if verify is None or verify is True:
            for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
                bundle = os.environ.get(name)
                if bundle:
                    verify = bundle
                    break
    return Settings(merged, True if verify is None else verify, cert)
