"""The agent: a declaration of what to ask a model, with which tools, for which result; and its runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, Generic, Optional, TypedDict, Union, final, overload

from typing_extensions import TypeGuard, TypeVar, Unpack

from .deadline import Deadline, resolve_deadline
from .declaration import NO_OVERRIDE, UNSET, AgentDeclaration, Override, RunOptions, UserPrompt, model_of, overrides
from .exceptions import UserError
from .loop import AgentNode, CallToolsNode, End, ModelRequestNode, UserPromptNode
from .messages import ModelMessage, check_history
from .plan import EndStrategy
from .result_tools import FinalResult, ResultDataT
from .run import AgentRun, capture_run_messages, run_state
from .run_result import AgentRunResult
from .settings import ModelSettings
from .tools import AgentDepsT
from .usage import Usage, UsageLimits

if TYPE_CHECKING:
    from cattrs import Converter

    from .models.base import Model
    from .streamed import RunEvents, StreamedRunResult
    from .tools import ResultMode, SystemPromptFunc, Tool, ToolFuncEither

    _DepsT = TypeVar("_DepsT")
    _OwnDepsT = TypeVar("_OwnDepsT", default=None)  # a self type may not name the class's own variable
    _Instructions = Union[str, SystemPromptFunc[_DepsT]]

    class AgentKeywords(TypedDict, Generic[_DepsT], total=False):
        """The keywords that the overloads of ``Agent`` share; its docstring describes them."""

        system_prompt: Union[str, Sequence[str]]
        deps_type: type[_DepsT]
        name: Optional[str]
        model_settings: Optional[ModelSettings]
        retries: int
        result_tool_name: str
        result_tool_description: Optional[str]
        result_retries: Optional[int]
        tools: Sequence[Union[Tool[_DepsT], ToolFuncEither[_DepsT, ...]]]
        defer_model_check: bool
        end_strategy: EndStrategy
        instructions: Union[_Instructions[_DepsT], Sequence[_Instructions[_DepsT]]]
        history_processors: Sequence[Callable[..., list[ModelMessage]]]
        result_mode: Optional[ResultMode]
        deadline: Optional[float]
        converter: Optional[Converter]
        native_tools: Sequence[dict[str, Any]]
        parallel_tools: Optional[int]
        output_retries: Optional[int]

    class RunKeywords(TypedDict, Generic[_DepsT], total=False):
        """The keywords that the overloads of a run share; :meth:`Agent.run_sync` describes them."""

        message_history: Optional[Sequence[ModelMessage]]
        model: Union[Model, str, None]
        deps: _DepsT
        model_settings: Optional[ModelSettings]
        usage_limits: Optional[UsageLimits]
        usage: Optional[Usage]
        infer_name: bool
        deadline: Union[float, Deadline, None]

    class EventKeywords(RunKeywords[_DepsT], total=False):
        """The same for :meth:`Agent.run_stream_events`."""

        heartbeat: Optional[float]


__all__ = [
    "Agent",
    "AgentRun",
    "AgentRunResult",
    "CallToolsNode",
    "End",
    "EndStrategy",
    "ModelRequestNode",
    "UserPromptNode",
    "capture_run_messages",
]

RunResultDataT = TypeVar("RunResultDataT")


@final
class Agent(AgentDeclaration[AgentDepsT, ResultDataT]):
    """
    What to ask a model, with which tools, for which result. Threads may share one: a run changes nothing in it.

    >>> from syncagent.models.test import TestModel
    >>> Agent(TestModel(custom_result_text="Paris")).run_sync("The capital of France?").data
    'Paris'

    Args:
        model: the model, or its name such as ``openai:gpt-4o``; may be given at the run instead.
        result_type: the type of the result; ``str`` for text. A union has a result tool for each member.
        system_prompt: text, or several texts, at the beginning of a new conversation.
        deps_type: the type of the dependencies; for type checkers only.
        name: by default the name of the variable that holds the agent at its first run.
        model_settings: settings of every request.
        retries: failures in a row that the model may make with one tool.
        result_tool_name: the name of the tool that ends a run with a typed result.
        result_tool_description: its description.
        result_retries: failures that the model may make with the result; by default ``retries``.
        tools: functions, or :class:`~syncagent.tools.Tool` objects.
        defer_model_check: look the model's name up at the first run only.
        end_strategy: ``early`` skips function tools beside a winning result, ``exhaustive`` runs them.
        instructions: text, a function, or several: sent with every request, not kept in the history.
        history_processors: functions ``f(messages)`` or ``f(ctx, messages)`` that rewrite what is sent.
        result_mode: ``tool``, ``native`` or ``prompted``; by default what the model does best.
        deadline: seconds that a run may take where it says nothing itself.
        converter: a converter made by :func:`syncagent.make_converter`.
        native_tools: the provider's own server-side tools, in its own words, such as ``{"type": "web_search"}``.
        parallel_tools: how many tools of one step may run at a time, in threads; None for one after the other, in the
            caller's thread.
        output_type: ``result_type`` by its newer name.
        output_retries: ``result_retries`` by its newer name.

    Raises:
        UserError: an argument is wrong; the text says which and why.
    """

    if TYPE_CHECKING:  # a type gives its result, and what is none, such as a Union, gives Any

        @overload
        def __init__(
            self,
            model: Union[Model, str, None] = None,
            *,
            result_type: type[ResultDataT] = ...,
            **options: Unpack[AgentKeywords[AgentDepsT]],
        ) -> None: ...

        @overload
        def __init__(
            self,
            model: Union[Model, str, None] = None,
            *,
            output_type: type[ResultDataT],
            **options: Unpack[AgentKeywords[AgentDepsT]],
        ) -> None: ...

        @overload
        def __init__(
            self: Agent[_OwnDepsT, Any],
            model: Union[Model, str, None] = None,
            *,
            result_type: Any = ...,
            output_type: Any = ...,
            **options: Unpack[AgentKeywords[_OwnDepsT]],
        ) -> None: ...

        def __init__(self, *arguments: Any, **options: Any) -> None: ...

    # --- runs ----------------------------------------------------------------------------------

    @overload
    def run_sync(
        self, user_prompt: UserPrompt, *, result_type: None = None, **options: Unpack[RunKeywords[AgentDepsT]]
    ) -> AgentRunResult[ResultDataT]: ...

    @overload
    def run_sync(
        self, user_prompt: UserPrompt, *, result_type: type[RunResultDataT], **options: Unpack[RunKeywords[AgentDepsT]]
    ) -> AgentRunResult[RunResultDataT]: ...

    @overload
    def run_sync(
        self, user_prompt: UserPrompt, *, result_type: Any, **options: Unpack[RunKeywords[AgentDepsT]]
    ) -> AgentRunResult[Any]: ...

    def run_sync(
        self,
        user_prompt: UserPrompt,
        *,
        result_type: Any = None,
        message_history: Optional[Sequence[ModelMessage]] = None,
        model: Union[Model, str, None] = None,
        deps: Any = None,
        model_settings: Optional[ModelSettings] = None,
        usage_limits: Optional[UsageLimits] = None,
        usage: Optional[Usage] = None,
        infer_name: bool = True,
        deadline: Union[float, Deadline, None] = None,
    ) -> AgentRunResult[Any]:
        """
        Run until there is a result. Blocks; everything happens in the caller's thread.

        Args:
            user_prompt: text, or a sequence of texts and media.
            result_type: another type of result for this run.
            message_history: an earlier conversation to go on with; never changed.
            model: another model for this run.
            deps: what tools and prompt functions see as ``ctx.deps``.
            model_settings: settings for this run; they win over the agent's.
            usage_limits: what the run may use; by default 50 requests.
            usage: counted on, in place; lets nested runs share a budget.
            infer_name: whether the agent's name is looked for in the caller's variables.
            deadline: seconds for the whole run, or a :class:`~syncagent.deadline.Deadline`.

        Raises:
            UserError: an argument is wrong.
            AgentRunError: the run failed; its subclasses say how. What a tool raises comes as it is.
        """
        if infer_name and self.name is None:
            self._infer_name(1)
        options = RunOptions(
            user_prompt, result_type, message_history, model, deps, model_settings, usage_limits, usage, deadline
        )
        return self._start(options).to_end()

    @overload
    async def run(
        self, user_prompt: UserPrompt, *, result_type: None = None, **options: Unpack[RunKeywords[AgentDepsT]]
    ) -> AgentRunResult[ResultDataT]: ...

    @overload
    async def run(
        self, user_prompt: UserPrompt, *, result_type: type[RunResultDataT], **options: Unpack[RunKeywords[AgentDepsT]]
    ) -> AgentRunResult[RunResultDataT]: ...

    @overload
    async def run(
        self, user_prompt: UserPrompt, *, result_type: Any, **options: Unpack[RunKeywords[AgentDepsT]]
    ) -> AgentRunResult[Any]: ...

    async def run(
        self,
        user_prompt: UserPrompt,
        *,
        result_type: Any = None,
        message_history: Optional[Sequence[ModelMessage]] = None,
        model: Union[Model, str, None] = None,
        deps: Any = None,
        model_settings: Optional[ModelSettings] = None,
        usage_limits: Optional[UsageLimits] = None,
        usage: Optional[Usage] = None,
        infer_name: bool = True,
        deadline: Union[float, Deadline, None] = None,
    ) -> AgentRunResult[Any]:
        """
        :meth:`run_sync` in a thread of asyncio's pool, for the edge of an asyncio program.

        Cancelling the task stops the run. Arguments and errors are those of :meth:`run_sync`.
        """
        import asyncio

        if infer_name and self.name is None:
            self._infer_name(1)
        # A deadline of its own below the caller's: cancelling this task must not stop the caller's other runs.
        own = Deadline(parent=resolve_deadline(deadline, self._default_deadline()))
        options = RunOptions(
            user_prompt, result_type, message_history, model, deps, model_settings, usage_limits, usage, own
        )
        try:
            return await asyncio.to_thread(lambda: self._start(options).to_end())
        except asyncio.CancelledError:
            own.cancel()
            raise

    @overload
    def iter(
        self, user_prompt: UserPrompt, *, result_type: None = None, **options: Unpack[RunKeywords[AgentDepsT]]
    ) -> AbstractContextManager[AgentRun[AgentDepsT, ResultDataT]]: ...

    @overload
    def iter(
        self, user_prompt: UserPrompt, *, result_type: type[RunResultDataT], **options: Unpack[RunKeywords[AgentDepsT]]
    ) -> AbstractContextManager[AgentRun[AgentDepsT, RunResultDataT]]: ...

    @overload
    def iter(
        self, user_prompt: UserPrompt, *, result_type: Any, **options: Unpack[RunKeywords[AgentDepsT]]
    ) -> AbstractContextManager[AgentRun[AgentDepsT, Any]]: ...

    @contextmanager
    def iter(
        self,
        user_prompt: UserPrompt,
        *,
        result_type: Any = None,
        message_history: Optional[Sequence[ModelMessage]] = None,
        model: Union[Model, str, None] = None,
        deps: Any = None,
        model_settings: Optional[ModelSettings] = None,
        usage_limits: Optional[UsageLimits] = None,
        usage: Optional[Usage] = None,
        infer_name: bool = True,
        deadline: Union[float, Deadline, None] = None,
    ) -> Iterator[AgentRun[AgentDepsT, Any]]:
        """
        Give a run to look into step by step; see :class:`~syncagent.run.AgentRun`.

        Arguments and errors are those of :meth:`run_sync`.
        """
        if infer_name and self.name is None:
            self._infer_name(2)
        options = RunOptions(
            user_prompt, result_type, message_history, model, deps, model_settings, usage_limits, usage, deadline
        )
        run = self._start(options)
        try:
            yield run
        finally:
            run.close()

    @overload
    def run_stream(
        self, user_prompt: UserPrompt, *, result_type: None = None, **options: Unpack[RunKeywords[AgentDepsT]]
    ) -> AbstractContextManager[StreamedRunResult[AgentDepsT, ResultDataT]]: ...

    @overload
    def run_stream(
        self, user_prompt: UserPrompt, *, result_type: type[RunResultDataT], **options: Unpack[RunKeywords[AgentDepsT]]
    ) -> AbstractContextManager[StreamedRunResult[AgentDepsT, RunResultDataT]]: ...

    @overload
    def run_stream(
        self, user_prompt: UserPrompt, *, result_type: Any, **options: Unpack[RunKeywords[AgentDepsT]]
    ) -> AbstractContextManager[StreamedRunResult[AgentDepsT, Any]]: ...

    @contextmanager
    def run_stream(
        self,
        user_prompt: UserPrompt,
        *,
        result_type: Any = None,
        message_history: Optional[Sequence[ModelMessage]] = None,
        model: Union[Model, str, None] = None,
        deps: Any = None,
        model_settings: Optional[ModelSettings] = None,
        usage_limits: Optional[UsageLimits] = None,
        usage: Optional[Usage] = None,
        infer_name: bool = True,
        deadline: Union[float, Deadline, None] = None,
    ) -> Iterator[StreamedRunResult[AgentDepsT, Any]]:
        """
        Run, and hand the result out while it comes: ``with agent.run_stream(...) as result``.

        The ``with`` begins at the first part that can be the final result; leaving it stops the run and closes
        the connection at once. Since text is handed out before it is whole, a result that is refused at the end
        cannot be asked for again, as ``run_sync`` does. Arguments and errors are those of :meth:`run_sync`.
        """
        if infer_name and self.name is None:
            self._infer_name(2)
        options = RunOptions(
            user_prompt, result_type, message_history, model, deps, model_settings, usage_limits, usage, deadline
        )
        from .streamed import StreamedRunResult

        result = StreamedRunResult(self._start(options))
        try:
            yield result
        finally:
            result.close()

    @overload
    def run_stream_events(
        self, user_prompt: UserPrompt, *, result_type: None = None, **options: Unpack[EventKeywords[AgentDepsT]]
    ) -> RunEvents[AgentDepsT, ResultDataT]: ...

    @overload
    def run_stream_events(
        self,
        user_prompt: UserPrompt,
        *,
        result_type: type[RunResultDataT],
        **options: Unpack[EventKeywords[AgentDepsT]],
    ) -> RunEvents[AgentDepsT, RunResultDataT]: ...

    @overload
    def run_stream_events(
        self, user_prompt: UserPrompt, *, result_type: Any, **options: Unpack[EventKeywords[AgentDepsT]]
    ) -> RunEvents[AgentDepsT, Any]: ...

    def run_stream_events(
        self,
        user_prompt: UserPrompt,
        *,
        result_type: Any = None,
        message_history: Optional[Sequence[ModelMessage]] = None,
        model: Union[Model, str, None] = None,
        deps: Any = None,
        model_settings: Optional[ModelSettings] = None,
        usage_limits: Optional[UsageLimits] = None,
        usage: Optional[Usage] = None,
        infer_name: bool = True,
        deadline: Union[float, Deadline, None] = None,
        heartbeat: Optional[float] = None,
    ) -> RunEvents[AgentDepsT, Any]:
        """
        Run, and give everything that happens as an iterator: parts as they come, tool calls, the result.

        Nothing is sent before the first event is asked for. Arguments and errors are those of :meth:`run_sync`.

        Args:
            heartbeat: seconds of silence in a body that has begun after which a ``HeartbeatEvent`` comes; one
                comes before each request and each tool call, too, and while tools run in threads
                (``parallel_tools``). While an answer's headers are awaited, or a tool runs in the caller's
                thread, there is none: give ``Deadline(cancelled=...)`` for that.
        """
        if infer_name and self.name is None:
            self._infer_name(1)
        if heartbeat is not None and not heartbeat > 0:
            raise UserError(f"heartbeat is a positive number of seconds, or None; got {heartbeat!r}.")
        options = RunOptions(
            user_prompt, result_type, message_history, model, deps, model_settings, usage_limits, usage, deadline
        )
        run = self._start(options)
        from .streamed import RunEvents

        return RunEvents(run, lambda: run.events(heartbeat))

    def check(self) -> None:
        """
        Raise now what the first request would raise: an unknown model, a missing key, a missing package.

        Raises:
            UserError: something is missing; its subclasses say what.
        """
        model = self._choose_model(None)
        model.check()

    @contextmanager
    def override(self, *, deps: Any = UNSET, model: Union[Model, str] = UNSET) -> Iterator[None]:
        """
        Use other dependencies or another model, in tests.

        Only the code inside the ``with`` and what it calls sees it; threads that it starts do not.

        Args:
            deps: take the place of every run's.
            model: takes the place of every run's; may be a name.
        """
        current = overrides.get()
        before = current.get(id(self), NO_OVERRIDE)
        override = Override(before.deps if deps is UNSET else deps, before.model if model is UNSET else model_of(model))
        token = overrides.set({**current, id(self): override})
        try:
            yield
        finally:
            overrides.reset(token)

    def _start(self, options: RunOptions) -> AgentRun[AgentDepsT, Any]:
        plan = self._plan(options)
        return AgentRun(plan, run_state(check_history(options.message_history), options.usage), self._converter)

    def _infer_name(self, levels: int) -> None:
        """Take the name of the variable that holds this very agent, if there is one, *levels* above the method."""
        frame: Optional[FrameType] = sys._getframe(1)
        while frame is not None and levels > 0:
            frame, levels = frame.f_back, levels - 1
        if frame is None:
            return  # the first function of a thread or greenlet
        for variables in (frame.f_locals, frame.f_globals):
            for name, value in list(variables.items()):  # other threads may add variables
                if value is self:
                    self.name = name
                    return

    # --- type guards ---------------------------------------------------------------------------

    @staticmethod
    def is_user_prompt_node(node: Union[AgentNode, End[FinalResult[Any]]]) -> TypeGuard[UserPromptNode[Any, Any]]:
        """Whether *node* turns the prompt into a request."""
        return isinstance(node, UserPromptNode)

    @staticmethod
    def is_model_request_node(node: Union[AgentNode, End[FinalResult[Any]]]) -> TypeGuard[ModelRequestNode[Any, Any]]:
        """Whether *node* asks the model."""
        return isinstance(node, ModelRequestNode)

    @staticmethod
    def is_call_tools_node(node: Union[AgentNode, End[FinalResult[Any]]]) -> TypeGuard[CallToolsNode[Any, Any]]:
        """Whether *node* handles a response."""
        return isinstance(node, CallToolsNode)

    @staticmethod
    def is_end_node(node: Union[AgentNode, End[FinalResult[Any]]]) -> TypeGuard[End[FinalResult[Any]]]:
        """Whether *node* is the end of the run."""
        return isinstance(node, End)
