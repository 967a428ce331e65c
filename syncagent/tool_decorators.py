"""How tools come to an agent: its decorators, and the set that a run begins with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Optional, overload

from typing_extensions import Concatenate, TypeVar

from .exceptions import UserError
from .tools import AgentDepsT, DocstringFormat, RunContext, Tool, ToolDefinition, ToolParams, ToolPrepareFunc

if TYPE_CHECKING:
    from cattrs import Converter

    from .result_tools import ResultSchema

__all__ = ["ToolDecorators", "ToolSet"]

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Returned = TypeVar("_Returned", default=Any)


class ToolSet(NamedTuple):
    """The tools that a run begins with, and what is the same for every run that has them."""

    tools: dict[str, Tool[Any]]
    definitions: list[ToolDefinition]
    has_prepare: bool


class ToolDecorators(Generic[AgentDepsT]):
    """The part of an agent that takes tools."""

    _converter: Optional[Converter]
    _result_schema: ResultSchema
    _retries: int
    _tool_set: ToolSet
    _tools: dict[str, Tool[AgentDepsT]]

    @overload
    def tool(
        self, func: Callable[Concatenate[RunContext[AgentDepsT], ToolParams], _Returned], /
    ) -> Callable[Concatenate[RunContext[AgentDepsT], ToolParams], _Returned]: ...

    @overload
    def tool(
        self, /, *, name: Optional[str] = None, retries: Optional[int] = None,
        prepare: Optional[ToolPrepareFunc[AgentDepsT]] = None, docstring_format: DocstringFormat = "auto",
        require_parameter_descriptions: bool = False, sequential: bool = False, timeout: Optional[float] = None,
    ) -> Callable[
        [Callable[Concatenate[RunContext[AgentDepsT], ToolParams], _Returned]],
        Callable[Concatenate[RunContext[AgentDepsT], ToolParams], _Returned],
    ]: ...  # fmt: skip

    def tool(
        self,
        func: Any = None,
        /,
        *,
        name: Optional[str] = None,
        retries: Optional[int] = None,
        prepare: Optional[ToolPrepareFunc[AgentDepsT]] = None,
        docstring_format: DocstringFormat = "auto",
        require_parameter_descriptions: bool = False,
        sequential: bool = False,
        timeout: Optional[float] = None,
    ) -> Any:
        """
        Register a tool whose first parameter is the :class:`~syncagent.tools.RunContext`.

        Args:
            func: the function; its schema comes from its signature and docstring.
            name: by default the function's.
            retries: failures in a row that the model may make with it; by default the agent's.
            prepare: called before every request; see :class:`~syncagent.tools.Tool`.
            docstring_format: ``google``, ``numpy``, ``sphinx``, or ``auto``.
            require_parameter_descriptions: refuse a function whose docstring leaves a parameter out.
            sequential: never run a call of it beside others.
            timeout: seconds for one call; see :class:`~syncagent.tools.Tool`.
        """
        options = (name, retries, prepare, docstring_format, require_parameter_descriptions, sequential, timeout)
        return self._tool_decorator(func, True, *options)

    @overload
    def tool_plain(self, func: _Function, /) -> _Function: ...

    @overload
    def tool_plain(
        self, /, *, name: Optional[str] = None, retries: Optional[int] = None,
        prepare: Optional[ToolPrepareFunc[AgentDepsT]] = None, docstring_format: DocstringFormat = "auto",
        require_parameter_descriptions: bool = False, sequential: bool = False, timeout: Optional[float] = None,
    ) -> Callable[[_Function], _Function]: ...  # fmt: skip

    def tool_plain(
        self,
        func: Any = None,
        /,
        *,
        name: Optional[str] = None,
        retries: Optional[int] = None,
        prepare: Optional[ToolPrepareFunc[AgentDepsT]] = None,
        docstring_format: DocstringFormat = "auto",
        require_parameter_descriptions: bool = False,
        sequential: bool = False,
        timeout: Optional[float] = None,
    ) -> Any:
        """Register a tool without context; the arguments are those of :meth:`tool`."""
        options = (name, retries, prepare, docstring_format, require_parameter_descriptions, sequential, timeout)
        return self._tool_decorator(func, False, *options)

    def _tool_decorator(
        self,
        func: Any,
        takes_ctx: bool,
        name: Optional[str],
        retries: Optional[int],
        prepare: Optional[ToolPrepareFunc[AgentDepsT]],
        docstring_format: DocstringFormat,
        require_parameter_descriptions: bool,
        sequential: bool,
        timeout: Optional[float],
    ) -> Any:
        def register(function: _Function) -> _Function:
            self._register_tool(
                Tool(
                    function,
                    takes_ctx=takes_ctx,
                    max_retries=self._retries if retries is None else retries,
                    name=name,
                    prepare=prepare,
                    docstring_format=docstring_format,
                    require_parameter_descriptions=require_parameter_descriptions,
                    sequential=sequential,
                    timeout=timeout,
                )
            )
            return function

        return register if func is None else register(func)

    def _register_tool(self, tool: Tool[AgentDepsT]) -> None:
        if tool.name in self._tools:
            raise UserError(f"Tool name conflicts with existing tool: {tool.name!r}")
        if tool.name in self._result_schema.tools:
            raise UserError(f"Tool name conflicts with result schema name: {tool.name!r}")
        self._tools[tool.name] = tool.registered(self._retries, self._converter)

    def _tools_of_now(self) -> ToolSet:
        """The tools for a run that begins now; it keeps them when others are registered while it goes on."""
        found = self._tool_set
        if len(found.tools) != len(self._tools):  # tools are only ever added
            tools = dict(self._tools)
            found = self._tool_set = ToolSet(
                tools,
                [tool.definition() for tool in tools.values()],
                any(tool.prepare is not None for tool in tools.values()),
            )
        return found
