"""The agent: a declaration of what to ask a model, with which tools, for which result; and its runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING, Any, Generic, Optional, TypedDict, Union, final, overload

import attrs
from typing_extensions import TypeGuard, TypeVar, Unpack

from .deadline import Deadline, resolve_deadline
from .declaration import UNSET, AgentDeclaration, model_of
from .exceptions import UserError
from .loop import AgentNode, CallToolsNode, End, ModelRequestNode, UserPromptNode
from .messages import ModelMessage, UserContent, check_history
from .plan import EndStrategy, RunPlan
from .result import AgentRunResult
from .result_tools import FinalResult, ResultDataT, ResultSchema
from .run import AgentRun, capture_run_messages, run_state, run_to_end
from .settings import ModelSettings, check_settings, merge_model_settings
from .tools import AgentDepsT, ModelRequestParameters, ResultMode
from .usage import Usage, UsageLimits

if TYPE_CHECKING:
    from .models.base import Model

    _DepsT = TypeVar("_DepsT")

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
UserPrompt = Union[str, Sequence[UserContent]]


@attrs.frozen
class _Override:
    deps: Any = UNSET
    model: Any = UNSET


_overrides: ContextVar[dict[int, _Override]] = ContextVar("syncagent_overrides", default={})  # noqa: B039 -- never changed in place


@attrs.frozen
class RunOptions:
    """The keywords of a run, passed on as one."""

    user_prompt: UserPrompt
    result_type: Any
    message_history: Optional[Sequence[ModelMessage]]
    model: Union[Model, str, None]
    deps: Any
    model_settings: Optional[ModelSettings]
    usage_limits: Optional[UsageLimits]
    usage: Optional[Usage]
    deadline: Union[float, Deadline, None]


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
        output_type: ``result_type`` by its newer name.
        output_retries: ``result_retries`` by its newer name.

    Raises:
        UserError: an argument is wrong; the text says which and why.
    """

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
            self._infer_name(sys._getframe(1))
        options = RunOptions(
            user_prompt, result_type, message_history, model, deps, model_settings, usage_limits, usage, deadline
        )
        return run_to_end(self._start(options))

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
            self._infer_name(sys._getframe(1))
        # A deadline of its own below the caller's: cancelling this task must not stop the caller's other runs.
        own = Deadline(parent=resolve_deadline(deadline, self._default_deadline()))
        options = RunOptions(
            user_prompt, result_type, message_history, model, deps, model_settings, usage_limits, usage, own
        )
        try:
            return await asyncio.to_thread(lambda: run_to_end(self._start(options)))
        except asyncio.CancelledError:
            own.cancel()
            raise

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
            self._infer_name(sys._getframe(2))
        options = RunOptions(
            user_prompt, result_type, message_history, model, deps, model_settings, usage_limits, usage, deadline
        )
        run = self._start(options)
        try:
            yield run
        finally:
            run.close()

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
        current = _overrides.get()
        before = current.get(id(self), _Override())
        override = _Override(
            before.deps if deps is UNSET else deps, before.model if model is UNSET else model_of(model)
        )
        token = _overrides.set({**current, id(self): override})
        try:
            yield
        finally:
            _overrides.reset(token)

    # --- from options to a run -----------------------------------------------------------------

    def _start(self, options: RunOptions) -> AgentRun[AgentDepsT, Any]:
        prompt = options.user_prompt
        if not isinstance(prompt, (str, Sequence)) or isinstance(prompt, (bytes, bytearray)):
            raise UserError(
                f"user_prompt is text or a sequence of texts and media (BinaryContent); got {type(prompt).__name__}."
            )
        override = _overrides.get().get(id(self), _Override())
        model = self._choose_model(options.model)
        schema = self._schema_for(options.result_type)
        check_settings(options.model_settings)
        settings = merge_model_settings(self.model_settings, options.model_settings)
        tools = self._tools
        mode = self._mode_for(model, schema, bool(tools))
        deadline = resolve_deadline(options.deadline, self._default_deadline())
        by_tool = mode == "tool"
        parameters = ModelRequestParameters(
            [tool.definition() for tool in tools.values()],
            schema.allow_text or not by_tool,
            schema.definitions if by_tool else [],
            result_mode=mode,
            result_schema=schema.schema_for(mode),
            deadline=deadline,
        )
        if settings and ("retry_policy" in settings or "on_incomplete" in settings):
            settings = settings.copy()
            parameters.retry_policy = settings.pop("retry_policy", None)
            parameters.on_incomplete = settings.pop("on_incomplete", "raise")
        plan = RunPlan(
            prompt=prompt,
            deps=options.deps if override.deps is UNSET else override.deps,
            model=model,
            model_settings=settings,
            usage_limits=options.usage_limits or UsageLimits(),
            deadline=deadline,
            system_prompts=self._system_prompts,
            system_prompt_functions=self._system_prompt_functions,
            instructions=self._instructions,
            history_processors=self._history_processors,
            tools=tools,
            result_schema=schema,
            result_tools=schema.tools if by_tool else {},
            result_mode=mode,
            result_validators=self._result_validators,
            result_retries=self._result_retries,
            end_strategy=self.end_strategy,
            parameters=parameters,
            has_prepare=any(tool.prepare is not None for tool in tools.values()),
        )
        state = run_state(check_history(options.message_history), options.usage)
        return AgentRun(plan, state, self._converter)

    def _choose_model(self, chosen: Union[Model, str, None]) -> Model:
        override = _overrides.get().get(id(self), _Override()).model
        if chosen is None and self.model is None:
            text = "`model` must be set either when creating the agent or when calling it."
            if override is not UNSET:
                text += " (Even when `override(model=...)` is customizing the model that will actually be called)"
            raise UserError(text)
        if override is not UNSET:
            return override  # type: ignore[no-any-return] # a model, since override() took it
        if chosen is not None:
            return model_of(chosen)
        if isinstance(self.model, str):
            self.model = model_of(self.model)
        return self.model  # type: ignore[return-value] # a model by now

    def _schema_for(self, result_type: Any) -> ResultSchema:
        if result_type is None:
            return self._result_schema
        if self._result_validators:
            raise UserError("Cannot set a custom run `result_type` when the agent has result validators")
        schema = ResultSchema(result_type, *self._result_tool, self._converter)
        for name in schema.tools:
            if name in self._tools:
                raise UserError(f"Tool name conflicts with result schema name: {name!r}")
        return schema

    def _mode_for(self, model: Model, schema: ResultSchema, has_tools: bool) -> ResultMode:
        if schema.plain:
            return "tool"
        profile = model.profile
        mode = self._result_mode or profile.result_mode or "tool"
        return "tool" if mode == "native" and has_tools and not profile.native_with_tools else mode

    def _default_deadline(self) -> Optional[float]:
        if self._deadline is not None:
            return self._deadline
        text = os.environ.get("SYNCAGENT_DEADLINE")
        if not text:
            return None
        try:
            return float(text)
        except ValueError:
            raise UserError(f"SYNCAGENT_DEADLINE is a number of seconds; got {text!r}.") from None

    def _infer_name(self, frame: Optional[FrameType]) -> None:
        """Take the name of the caller's variable that holds this very agent, if there is one."""
        if frame is None:
            return
        for variables in (frame.f_locals, frame.f_globals):
            for name, value in variables.items():
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
