"""``syncagent local``: fetch the local model, serve it for several processes."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from .. import local
from ..exceptions import UserError
from ..local.catalog import resolve
from ..local.terminal import terminal_progress
from .terminal import complain, write

if TYPE_CHECKING:
    from ..local import Endpoint

__all__ = ["pull", "serve"]


def pull(options: argparse.Namespace) -> int:
    """
    Fetch the model and print its path; 1 where it cannot be had.

    Raises:
        UserError: there is no such model.
    """
    entry = resolve(options.name)
    try:
        path = local.pull(options.name, progress=terminal_progress(entry.name))
    except UserError as error:
        complain(f"error: {error.message}")
        return 1
    write(str(path))
    return 0


def serve(options: argparse.Namespace) -> int:
    """
    Serve the model until interrupted; 1 where it cannot be served.

    Raises:
        UserError: there is no such model.
        KeyboardInterrupt: the way it usually ends.
    """
    entry = resolve(options.name)
    try:
        local.serve(
            options.name,
            host=options.host,
            port=options.port,
            parallel=options.parallel,
            context=options.context,
            progress=terminal_progress(entry.name),
            ready=_say,
        )
    except UserError as error:
        complain(f"error: {error.message}")
    return 1


def _say(endpoint: Endpoint) -> None:
    """What other processes need; a random key is shown, since there is no other way to learn it."""
    verb = "set" if sys.platform == "win32" else "export"
    own = os.environ.get("SYNCAGENT_LOCAL_KEY") == endpoint.api_key
    write(
        f"{endpoint.model_name} is served at {endpoint.base_url} until Ctrl-C. For the processes that use it:\n"
        f"  {verb} SYNCAGENT_LOCAL_URL={endpoint.base_url}\n"
        f"  {verb} SYNCAGENT_LOCAL_KEY={'...  # the one that is set here' if own else endpoint.api_key}"
    )
