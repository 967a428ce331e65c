"""Which Python runs the model server and pip: not always ``sys.executable``."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Optional

from ..exceptions import UserError

__all__ = ["chosen_python", "own_python"]


def chosen_python() -> Optional[str]:
    """
    The interpreter that ``SYNCAGENT_LOCAL_PYTHON`` names, None where it is not set.

    Raises:
        UserError: it names something that cannot be run.
    """
    chosen = os.environ.get("SYNCAGENT_LOCAL_PYTHON")
    if not chosen:
        return None
    found = shutil.which(os.path.expanduser(chosen))
    if found is None:
        raise UserError(
            f"SYNCAGENT_LOCAL_PYTHON is {chosen!r}, and there is no such program. "
            "It is the path of a Python 3.10 or newer that has xllamacpp installed."
        )
    return found


def own_python() -> str:
    """
    The interpreter that runs this program.

    Inside uWSGI, mod_wsgi or a frozen program ``sys.executable`` is that program; then the one of ``sys.prefix`` is it.

    Raises:
        UserError: none was found.
    """
    candidates = [Path(sys.executable)] if sys.executable else []
    folder = Path(sys.prefix, "Scripts" if os.name == "nt" else "bin")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    candidates += [folder / f"python{version}", folder / "python3", folder / "python", folder / "python.exe"]
    for candidate in candidates:
        if candidate.name.lower().startswith(("python", "pypy")) and os.access(candidate, os.X_OK):
            return str(candidate)
    raise UserError(
        f"No Python interpreter was found for the local model: sys.executable is {sys.executable!r} and there is none "
        f"in {str(folder)!r}. Set SYNCAGENT_LOCAL_PYTHON to the path of one that has xllamacpp installed."
    )
