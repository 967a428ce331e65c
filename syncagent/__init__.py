"""
A purely blocking agent SDK: ``requests`` for HTTP, ``attrs`` and ``cattrs`` for data, no event loop.

The names below are imported on first use, so that ``import syncagent`` costs next to nothing in a
program that may never run an agent. Everything else is imported from its module.
"""

from __future__ import annotations

# Spelled out, because importing typing would be most of what this module costs; type checkers
# know the name (https://typing.python.org/en/latest/spec/directives.html#type-checking).
TYPE_CHECKING = False
if TYPE_CHECKING:
    from .agent import (
        Agent,
        CallToolsNode,
        EndStrategy,
        ModelRequestNode,
        UserPromptNode,
        capture_run_messages,
    )
    from .deadline import Deadline
    from .exceptions import (
        AgentRunError,
        DeadlineExceeded,
        FallbackExceptionGroup,
        ModelAPIError,
        ModelHTTPError,
        ModelRetry,
        RunCancelled,
        UnexpectedModelBehavior,
        UsageLimitExceeded,
        UserError,
    )
    from .messages import (
        AudioUrl,
        BinaryContent,
        DocumentUrl,
        ImageUrl,
        ModelRequest,
        ModelResponse,
        ThinkingPart,
        ToolReturn,
        VideoUrl,
    )
    from .providers.registry import register_provider
    from .schema.structure import make_converter
    from .settings import ModelSettings
    from .tools import RunContext, Tool
    from .transport.policy import policy
    from .transport.retry import RetryPolicy
    from .usage import UsageLimits

__all__ = [
    "Agent",
    "AgentRunError",
    "AudioUrl",
    "BinaryContent",
    "CallToolsNode",
    "Deadline",
    "DeadlineExceeded",
    "DocumentUrl",
    "EndStrategy",
    "FallbackExceptionGroup",
    "ImageUrl",
    "ModelAPIError",
    "ModelHTTPError",
    "ModelRequest",
    "ModelRequestNode",
    "ModelResponse",
    "ModelRetry",
    "ModelSettings",
    "RetryPolicy",
    "RunCancelled",
    "RunContext",
    "ThinkingPart",
    "Tool",
    "ToolReturn",
    "UnexpectedModelBehavior",
    "UsageLimitExceeded",
    "UsageLimits",
    "UserError",
    "UserPromptNode",
    "VideoUrl",
    "__version__",
    "capture_run_messages",
    "make_converter",
    "policy",
    "register_provider",
]

__version__ = "0.1.0"

_HOMES = {
    "Agent": "agent",
    "CallToolsNode": "agent",
    "EndStrategy": "agent",
    "ModelRequestNode": "agent",
    "UserPromptNode": "agent",
    "capture_run_messages": "agent",
    "Deadline": "deadline",
    "AgentRunError": "exceptions",
    "DeadlineExceeded": "exceptions",
    "FallbackExceptionGroup": "exceptions",
    "ModelAPIError": "exceptions",
    "ModelHTTPError": "exceptions",
    "ModelRetry": "exceptions",
    "RunCancelled": "exceptions",
    "UnexpectedModelBehavior": "exceptions",
    "UsageLimitExceeded": "exceptions",
    "UserError": "exceptions",
    "AudioUrl": "messages",
    "BinaryContent": "messages",
    "DocumentUrl": "messages",
    "ImageUrl": "messages",
    "ModelRequest": "messages",
    "ModelResponse": "messages",
    "ThinkingPart": "messages",
    "ToolReturn": "messages",
    "VideoUrl": "messages",
    "register_provider": "providers.registry",
    "make_converter": "schema.structure",
    "ModelSettings": "settings",
    "RunContext": "tools",
    "Tool": "tools",
    "policy": "transport.policy",
    "RetryPolicy": "transport.retry",
    "UsageLimits": "usage",
}

# Names that later agent APIs have at their top, and what is written here instead.
_INSTEAD = {
    "AgentRun": "Write: from syncagent.agent import AgentRun",
    "AgentRunResult": "Write: from syncagent.agent import AgentRunResult",
    "ModelMessage": "Write: from syncagent.messages import ModelMessage",
    "ModelMessagesTypeAdapter": "Write: from syncagent.messages import ModelMessagesTypeAdapter",
    "NativeOutput": "Write: Agent(result_type=YourType, result_mode='native')",
    "PromptedOutput": "Write: Agent(result_type=YourType, result_mode='prompted')",
    "RequestUsage": "One class counts requests and runs. Write: from syncagent.usage import Usage",
    "RunUsage": "One class counts requests and runs. Write: from syncagent.usage import Usage",
    "StructuredDict": "Write a TypedDict and give it as Agent(result_type=YourTypedDict)",
    "TextOutput": "Write: Agent(result_type=str), and turn the text into your value in an @agent.result_validator",
    "ToolDefinition": "Write: from syncagent.tools import ToolDefinition",
    "ToolOutput": "Write: Agent(result_type=YourType, result_tool_name=..., result_tool_description=...)",
    "Usage": "Write: from syncagent.usage import Usage",
}


if not TYPE_CHECKING:  # a type checker that saw this function would take every misspelt name for one of ours

    def __getattr__(name: str) -> object:
        """Import a public name from its module on first use (PEP 562)."""
        home = _HOMES.get(name)
        if home is not None:
            from importlib import import_module

            value: object = getattr(import_module(f"{__name__}.{home}"), name)
            globals()[name] = value  # the next look-up does not come here
            return value
        if name in _INSTEAD:
            # An AttributeError's text would be lost in `from syncagent import ...`.
            raise ImportError(f"cannot import name {name!r} from {__name__!r}: it is not here. {_INSTEAD[name]}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names beside what is loaded."""
    return sorted({*globals(), *__all__})
