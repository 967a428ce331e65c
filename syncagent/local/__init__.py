"""
The embedded default: a small model on this machine, so that an agent runs without a key.

``local`` is Qwen2.5-Coder-0.5B, ``local:smollm2-135m`` a smaller one, ``local:/path/to/model.gguf`` any other. The
model is fetched once (``syncagent local pull``, or the first request) and served by llama.cpp's HTTP server, a child of
the process that needs it, on a free port of the loopback interface; it speaks OpenAI's chat API and ends with its
process.

Environment:
    SYNCAGENT_LOCAL: ``off`` forbids fetching and starting.
    SYNCAGENT_LOCAL_URL, SYNCAGENT_LOCAL_KEY: a server that runs already (``syncagent local serve``, or any other that
        speaks OpenAI's chat API) and its key; then nothing is fetched or started.
    SYNCAGENT_LOCAL_PYTHON: a Python that has ``xllamacpp`` where this one has not.
    SYNCAGENT_CACHE: the folder of the model files, ``~/.cache/syncagent`` by default.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional
from urllib.parse import urlsplit

import attrs

from ..deadline import Deadline
from ..exceptions import UserError
from .catalog import CATALOG, DEFAULT, ModelEntry, resolve

if TYPE_CHECKING:
    from .fetch import Progress

__all__ = ["CATALOG", "DEFAULT", "Endpoint", "ModelEntry", "check", "endpoint", "pull", "serve", "stop"]


@attrs.frozen
class Endpoint:
    """
    Where a local model answers.

    Attributes:
        base_url: the address that ``/chat/completions`` is appended to.
        api_key: the bearer token; empty where the server of ``SYNCAGENT_LOCAL_URL`` wants none.
        model_name: what stands in the request's ``model``.
    """

    base_url: str
    api_key: str = attrs.field(repr=False)
    model_name: str


def check(name: str) -> None:
    """
    Look whether *name* names a local model; nothing is fetched or started.

    Raises:
        UserError: it does not, or ``SYNCAGENT_LOCAL_URL`` is not an address.
    """
    if _given_url() is None:
        resolve(name)


def endpoint(name: str, *, deadline: Optional[Deadline] = None) -> Endpoint:
    """
    Where the model *name* answers, fetched and started where that is needed; called for each request.

    Args:
        name: as in :func:`syncagent.local.catalog.resolve`.
        deadline: of the run that needs it; None for no limit.

    Raises:
        UserError: no such model, it cannot be had or started here, or ``SYNCAGENT_LOCAL=off`` forbids it.
        DeadlineExceeded, RunCancelled: *deadline* ended before it was ready.
    """
    url = _given_url()
    if url is not None:
        wanted = name[len("local:") :] if name.startswith("local:") else name
        model_name = DEFAULT if wanted in ("", "local") else wanted
        return Endpoint(url, os.environ.get("SYNCAGENT_LOCAL_KEY", ""), model_name)
    entry = resolve(name)
    _refuse_if_off(f"start the model {entry.name}")
    from . import fetch, server

    deadline = deadline or Deadline()
    running = server.find(entry)
    if running is None:
        running = server.running(entry, fetch.ensure(entry, progress=_shown(entry), deadline=deadline), deadline)
    return Endpoint(running.base_url, running.key, entry.name)


def pull(name: str = "local", *, progress: Optional[Progress] = None) -> Path:
    """
    Fetch the model *name* where it is not in the cache folder.

    Args:
        name: as in :func:`syncagent.local.catalog.resolve`.
        progress: called with the bytes that are there and the bytes that it will be, some times a second.

    Returns:
        The model's file.

    Raises:
        UserError: no such model, it cannot be had, or ``SYNCAGENT_LOCAL=off`` forbids it.
    """
    entry = resolve(name)
    _refuse_if_off(f"fetch the model {entry.name}")
    from . import fetch

    return fetch.ensure(entry, progress=progress)


def serve(
    name: str = "local",
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    api_key: Optional[str] = None,
    context: int = 8192,
    parallel: int = 1,
    progress: Optional[Progress] = None,
    ready: Optional[Callable[[Endpoint], None]] = None,
) -> None:
    """
    Serve the model *name* for several processes until this one is interrupted or ended.

    Args:
        name: as in :func:`syncagent.local.catalog.resolve`.
        host: the address to listen on.
        port: the port; 0 for a free one.
        api_key: what clients have to send; ``SYNCAGENT_LOCAL_KEY`` by default, else a random one.
        context: tokens of context for each of the *parallel* requests.
        parallel: requests served at once.
        progress: as in :func:`pull`.
        ready: called once with the address and key, as soon as the server answers.

    Raises:
        UserError: as :func:`endpoint`, or the server ended by itself.
    """
    for what, number in (("port", port), ("context", context), ("parallel", parallel)):
        least, most = (0, 65535) if what == "port" else (1, 1 << 20)
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise UserError(f"{what} is a whole number from {least} to {most}; got {number!r}.")
    path = pull(name, progress=progress)
    from . import server

    entry = resolve(name)
    settings = server.ServerSettings(host=host, port=port, context=context, parallel=parallel, quiet=False)
    key = api_key or os.environ.get("SYNCAGENT_LOCAL_KEY")
    if key:
        settings = attrs.evolve(settings, key=key)
    running = server.start(entry, path, settings, Deadline())
    try:
        if ready is not None:
            ready(Endpoint(running.base_url, running.key, entry.name))
        while running.alive:
            time.sleep(0.2)
    finally:
        running.stop()
    raise UserError(f"The local model's server ended by itself, with code {running.process.returncode}.")


def stop() -> None:
    """End the servers that this process started; the next request starts one again."""
    from . import server

    server.stop_all()


def _given_url() -> Optional[str]:
    """The address in ``SYNCAGENT_LOCAL_URL``, with ``/v1`` where it has no path; None where it is not set."""
    url = os.environ.get("SYNCAGENT_LOCAL_URL")
    if not url:
        return None
    parts = urlsplit(url)
    if "@" in parts.netloc:  # would stand in errors and logs; not shown here either
        raise UserError("SYNCAGENT_LOCAL_URL holds credentials; put the key into SYNCAGENT_LOCAL_KEY instead.")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError("SYNCAGENT_LOCAL_URL is an address like http://127.0.0.1:8080/v1; got something else.")
    return url.rstrip("/") if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}/v1"


def _refuse_if_off(what: str) -> None:
    if os.environ.get("SYNCAGENT_LOCAL", "").lower() in ("off", "0", "no", "false"):
        raise UserError(
            f"SYNCAGENT_LOCAL={os.environ['SYNCAGENT_LOCAL']} forbids to {what}. Unset it, set SYNCAGENT_LOCAL_URL "
            "to a server that runs already, or name another model."
        )


def _shown(entry: ModelEntry) -> Optional[Progress]:
    """A line on the terminal, where there is one: nobody likes to wait a minute for nothing to be seen."""
    from .terminal import terminal_progress

    return terminal_progress(entry.name)
