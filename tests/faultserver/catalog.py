"""
The catalogue of faults: for each one a server that has it, and what the right client makes of it.

The tests hold us to it, the page "What can go wrong and what you get" is written from it, and
``python -m tests.faultserver`` serves it to whoever wants to try settings of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

import attrs

from .dialects import Dialect
from .server import Peer, Request, Scenario

__all__ = ["FAULTS", "PLACES", "SECTIONS", "TEXT", "Fault", "add"]

TEXT = "Hello from the other side."
"""What an answer says that comes right."""
SECTIONS = ("Connection", "Answer", "Status", "Stream", "Model and loop")
PLACES = ("server", "closed", "full", "name")
"""The server; a port where nobody listens; one whose queue is full; a name that is not resolved."""


@attrs.frozen(kw_only=True)
class Fault:
    """
    One fault.

    Args:
        name: one word for the command line and the tests.
        section: one of :data:`SECTIONS`.
        what: the fault, in words.
        retried: whether the request is sent again, in words.
        bound: what bounds the time, in words.
        serve: makes the scenario for a provider.
        error: what the caller gets; None where it is the answer.
        tries: how often a run's request is tried under the default policy; ``.attempts`` of the error.
        requests: how many come to the server in all, where that is not *tries* for each run.
        note: what is to be said of the outcome beside the error's name.
        words: what the error's text says.
        attributes: what else the error has.
        waits: the shortest and the longest wait before each further try, in seconds; None for the policy's own.
        runs: how many runs show it.
        streamed: only a caller who streams meets it.
        stream_error: what such a caller gets from a fault that others meet too; None for the same error.
        stream_tries: *tries*, for such a caller; None for the same number.
        settings: model settings that show it in a short time.
        deadline: of a run that has to be ended by it.
        place: where the client is sent; one of :data:`PLACES`.
        resolver: the number of the error that looking up the place's name ends with.
        on_connect: what the server does before it reads a request.
        tls: only under TLS.
        trusted: whether the client trusts the server's certificate.
        seen: looks at the requests that came.
        agent: further keywords of the agent that asks.
        dialects: the providers that can have it.
    """

    name: str
    section: str
    what: str
    retried: str
    bound: str
    serve: Callable[[Dialect], Scenario]
    error: Optional[type[BaseException]] = None
    tries: int = 1
    requests: Optional[int] = None
    note: str = ""
    words: tuple[str, ...] = ()
    attributes: dict[str, Any] = attrs.field(factory=dict)
    waits: Optional[tuple[float, float]] = None
    runs: int = 1
    streamed: bool = False
    stream_error: Optional[type[BaseException]] = None
    stream_tries: Optional[int] = None
    settings: dict[str, Any] = attrs.field(factory=dict)
    deadline: Optional[float] = None
    place: str = attrs.field(default="server", validator=attrs.validators.in_(PLACES))
    resolver: Optional[int] = None
    on_connect: Optional[Callable[[Peer], None]] = None
    tls: bool = False
    trusted: bool = True
    seen: Optional[Callable[[Dialect, list[Request]], None]] = None
    agent: dict[str, Any] = attrs.field(factory=dict)
    dialects: tuple[str, ...] = ("openai", "anthropic")

    @property
    def has_own_port(self) -> bool:
        """Whether it is there before a request is read, so that no path can choose it."""
        return self.place != "server" or self.on_connect is not None or self.tls


FAULTS: dict[str, Fault] = {}
"""All of them, in the order of the page."""


def add(section: str, name: str, what: str, **fault: Any) -> None:
    """
    Put a fault into the catalogue.

    Raises:
        ValueError: there is one of this name, or no such section.
    """
    if name in FAULTS or section not in SECTIONS:
        raise ValueError(f"the fault {name!r} of the section {section!r} cannot be added")
    FAULTS[name] = Fault(name=name, section=section, what=what, **fault)
