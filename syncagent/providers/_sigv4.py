"""
AWS's Signature Version 4 for a request that is finished, with nothing but the standard library.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple, Optional
from urllib.parse import quote, urlsplit

__all__ = ["Credentials", "sign"]


class Credentials(NamedTuple):
    """
    Who signs. Its repr shows no secret.

    Args:
        access_key: the id of the key.
        secret_key: the key.
        token: the session's token, where the credentials are temporary.
    """

    access_key: str
    secret_key: str
    token: Optional[str] = None

    def __repr__(self) -> str:
        return f"<AWS credentials {self.access_key[:4]}...>"


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    credentials: Credentials,
    region: str,
    service: str,
    timestamp: str,
) -> dict[str, str]:
    """
    The headers that sign a request.

    Args:
        method: as it is sent.
        url: as it is sent, with its escapes.
        headers: those that are to be signed, beside the ones that are made here; ``Host`` only where it differs
            from the URL's.
        body: as it is sent.
        credentials: who signs.
        region: such as ``us-east-1``.
        service: its signing name, such as ``bedrock``.
        timestamp: now in UTC, as ``20260131T235959Z``; the signature is good for five minutes.
    """
    parts = urlsplit(url)
    added = {"X-Amz-Date": timestamp}
    if credentials.token:
        added["X-Amz-Security-Token"] = credentials.token
    signed = {name.lower(): " ".join(value.split()) for name, value in {**headers, **added}.items()}
    signed.setdefault("host", _host(parts.scheme, parts.hostname or "", parts.port))
    names = sorted(signed)
    listed = ";".join(names)
    canonical = "\n".join(
        [
            method.upper(),
            # The path is escaped once more, as every service but S3 wants it.
            quote(_plain_path(parts.path), safe="/~"),
            _canonical_query(parts.query),
            *[f"{name}:{signed[name]}" for name in names],
            "",
            listed,
            sha256(body).hexdigest(),
        ]
    )
    scope = f"{timestamp[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    key = ("AWS4" + credentials.secret_key).encode()
    for step in scope.split("/"):
        key = hmac.new(key, step.encode(), sha256).digest()
    signature = hmac.new(key, text.encode(), sha256).hexdigest()
    added["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={listed}, Signature={signature}"
    )
    return added


def _canonical_query(query: str) -> str:
    """The pairs in order; they are escaped already."""
    pairs = sorted(item.partition("=")[::2] for item in query.split("&")) if query else []
    return "&".join([f"{key}={value}" for key, value in pairs])


def _host(scheme: str, host: str, port: Optional[int]) -> str:
    if ":" in host:
        host = f"[{host}]"
    usual = {"http": 80, "https": 443}.get(scheme.lower())
    return host if port is None or port == usual else f"{host}:{port}"


def _plain_path(path: str) -> str:
    """The path without ``.``, ``..`` and empty segments (RFC 3986, section 6.2.2.3)."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if kept:
                kept.pop()
        elif segment and segment != ".":
            kept.append(segment)
    if not kept:
        return "/"
    return ("/" if path.startswith("/") else "") + "/".join(kept) + ("/" if path.endswith("/") else "")
