"""
Write the table of features into ``docs/providers/index.md``: ``python -m docs.feature_table``.

Nothing is claimed: each provider's own model is asked to write a request, and what stands in it is looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional, get_args

from syncagent.exceptions import UserError
from syncagent.messages import (
    AudioUrl,
    BinaryContent,
    DocumentUrl,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    OpaquePart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
    VideoUrl,
)
from syncagent.models.names import KnownModelName, infer_model
from syncagent.models.wire import CountingWire, ModelCall
from syncagent.providers.table import ROWS
from syncagent.tools import ModelRequestParameters, ToolDefinition

HEAD = (
    *("Prefix", "Such as", "Class", "Typed results", "Tools forced"),
    *("Images", "Sound", "Video", "Documents", "Thinking back", "Counts"),
)
PAGE = Path(__file__).resolve().parent / "providers" / "index.md"
MARK = "<!-- table: features -->"

_CHOSEN = {"bedrock": "us.anthropic.claude-3-7-sonnet-20250219-v1:0", "openai": "gpt-5.1"}
_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
_TOOL = ToolDefinition("tool", "A tool.", _SCHEMA)
_KINDS = {
    "Images": (ImageUrl("https://x.example/a.png"), BinaryContent(b"a", "image/png")),
    "Sound": (AudioUrl("https://x.example/a.mp3"), BinaryContent(b"a", "audio/mpeg")),
    "Video": (VideoUrl("https://x.example/a.mp4"), BinaryContent(b"a", "video/mp4")),
    "Documents": (DocumentUrl("https://x.example/a.pdf"), BinaryContent(b"a", "application/pdf")),
}


def rows() -> list[list[str]]:
    """One row for each provider, in the order of their names; cells as in :data:`HEAD`."""
    return [_row(name) for name in sorted(ROWS)]


def _row(provider: str) -> list[str]:
    name = _example(provider)
    model: Any = infer_model(name)
    cells = {
        "Prefix": f"`{provider}`",
        "Such as": f"`{model.model_name}`",
        "Class": f"`{type(model).__name__}`",
        "Typed results": _typed(model),
        "Tools forced": _forced(model),
        "Thinking back": "yes" if _thinking(model) else "no",
        "Counts": "yes" if isinstance(model.wire, CountingWire) else "no",
    }
    for kind, items in _KINDS.items():
        ways = [way for way, item in zip(("address", "data"), items) if _takes(model, item)]
        cells[kind] = ", ".join(ways) or "no"
    return [cells[column] for column in HEAD]


def _example(provider: str) -> str:
    """The last of the provider's known names, which are sorted, where none is chosen."""
    if provider in _CHOSEN:
        return f"{provider}:{_CHOSEN[provider]}"
    return [name for name in get_args(KnownModelName) if name == provider or name.startswith(f"{provider}:")][-1]


def _written(model: Any, messages: list[ModelMessage], parameters: Optional[ModelRequestParameters] = None) -> str:
    quirks = model._quirks  # what the model gives its wire
    call = ModelCall(
        model.model_name,
        messages,
        dict(model.profile.settings),
        parameters or ModelRequestParameters(),
        model.profile,
        False,
        model.system,
        quirks,
    )
    body: bytes = model.wire.encode(call).body
    return body.decode()


def _typed(model: Any) -> str:
    ways = ["tool", "prompted"]
    parameters = ModelRequestParameters(result_mode="native", result_schema=_SCHEMA)
    try:
        if "additionalProperties" in _written(model, _asked("a"), parameters):
            ways.insert(1, "native" if model.profile.native_with_tools else "native without tools")
    except UserError:
        pass  # says that the model has no schema of its own
    return ", ".join(ways)


def _forced(model: Any) -> str:
    bodies = {_written(model, _asked("a"), ModelRequestParameters([_TOOL], free)) for free in (True, False)}
    return "yes" if len(bodies) == 2 else "no"


def _thinking(model: Any) -> bool:
    thought = ThinkingPart("a-thought", "rs_1", "c2lnbmF0dXJl", model.system)
    # Some send their thoughts in fields of their own, which are kept as they are.
    kept = [OpaquePart(model.system, {key: ["a-thought"]}) for key in model._quirks.get("keep", ())]
    messages: list[ModelMessage] = [
        *_asked("a"),
        ModelResponse([thought, ToolCallPart("tool", '{"a":"b"}', "call_1"), *kept], provider_name=model.system),
        ModelRequest([ToolReturnPart("tool", "c", "call_1")]),
    ]
    body = _written(model, messages, ModelRequestParameters([_TOOL]))
    return "a-thought" in body or "c2lnbmF0dXJl" in body


def _takes(model: Any, item: Any) -> bool:
    if getattr(item, "kind", "") in model.wire.inline:
        return True  # downloaded, and sent as data
    try:
        _written(model, _asked(["a", item]))
    except UserError:
        return False
    return True


def _asked(content: Any) -> list[ModelMessage]:
    return [ModelRequest([UserPromptPart(content)])]


def text() -> str:
    """The table as Markdown."""
    lines = [HEAD, ["---"] * len(HEAD), *rows()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def main() -> None:
    """Replace the page's table."""
    page = PAGE.read_text(encoding="utf-8")
    before, mark, after = page.partition(MARK)
    if not mark:
        raise SystemExit(f"{PAGE} has no line {MARK}.")
    rest = after.lstrip("\n").split("\n")
    while rest and rest[0].startswith("|"):
        rest.pop(0)
    PAGE.write_text(f"{before}{mark}\n\n{text()}\n" + "\n".join(rest), encoding="utf-8")


if __name__ == "__main__":
    main()
