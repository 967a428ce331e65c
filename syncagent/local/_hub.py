"""The official file of a model, by HTTPS from the model hub, whose address answers with a redirect to a store."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from ..deadline import Deadline
from ..exceptions import ModelAPIError, ModelHTTPError, UserError

__all__ = ["HubError", "download"]

_HOPS = 5  # redirects that are followed
_TIMEOUT = (5.0, 60.0)  # seconds to connect, and for each read
# A redirect's body holds a short note with the new address (RFC 9110, section 15.4); the transport keeps no headers.
_ADDRESS = re.compile(r"https://[^\s\"'<>\\]+")


class HubError(Exception):
    """The file cannot be had from its address; the text says why."""


def download(address: str, size: int, deadline: Deadline) -> Iterator[bytes]:
    """
    The bytes at *address*, as they come.

    The transport follows no redirect, since its requests carry keys and prompts. These carry neither, so a few are
    followed here, to ``https`` only; whoever answers, the bytes are checked by their hash.

    Args:
        address: an ``https`` address.
        size: bytes that the file has; one that is larger is broken off.
        deadline: of the run that needs it.

    Raises:
        HubError: it is not there, cannot be reached, or redirects too often or elsewhere.
        DeadlineExceeded, RunCancelled: *deadline* ended first.
    """
    from ..transport import HttpRequest, shared_transport

    url = address
    for _ in range(_HOPS + 1):
        request = HttpRequest("GET", url, headers={"Accept": "*/*"}, timeout=_TIMEOUT, max_body=size + 1)
        try:
            with shared_transport().stream(request, deadline) as stream:
                yield from stream
                return
        except ModelHTTPError as error:
            if error.status_code not in (301, 302, 303, 307, 308):
                raise HubError(f"{address} answered with status {error.status_code}") from error
            url = _next(address, error)
        except (ModelAPIError, UserError) as error:
            raise HubError(f"{address} cannot be reached: {error}") from error
    raise HubError(f"{address} redirects more than {_HOPS} times")


def _next(address: str, error: ModelHTTPError) -> str:
    """Where a redirect leads to."""
    found = _ADDRESS.search(html.unescape(str(error.body or "")))
    if found is None:
        raise HubError(f"{address} redirects, and its note names no https address") from error
    return found.group().rstrip(".,;)")
