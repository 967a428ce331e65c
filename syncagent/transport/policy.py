"""
What may leave the process, and how much of it at once: one policy for all models, downloads and whatever else sends.

It is looked at where every try passes, before a name is resolved; what it forbids is never sent.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Collection, Iterable, Iterator
from contextvars import ContextVar
from types import TracebackType
from typing import Optional

from ..deadline import Deadline
from ..exceptions import ModelOverloadedError, UserError
from .addresses import host_name
from .records import HttpRequest
from .retry import LEAST_TIME
from .slots import Full, Lease, Slots

__all__ = ["Policy", "Rules", "in_force", "policy", "sending"]

_PORTS = {"http": 80, "https": 443}
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.:")  # with the colons of IPv6
_MOST = 10_000  # requests at once, and waiting
_MOST_KNOWN = 1000  # origins whose verdict is kept
_SHOWN = 8  # names of a list in an error
_COME_BACK = 5.0  # seconds; nobody knows when a request ends, and a web server's 503 wants a number


class Rules:
    """
    One policy; the arguments are those of :func:`policy`.

    Attributes:
        hosts: the hosts that may be asked, in the form they are compared; None for all.
        providers: the providers that may be asked; None for all.
    """

    def __init__(
        self,
        hosts: Optional[Iterable[str]],
        providers: Optional[Iterable[str]],
        max_concurrent_requests: Optional[int],
        max_queued: Optional[int],
    ) -> None:
        self.hosts = None if hosts is None else frozenset(_host_rule(host) for host in _texts("hosts", hosts))
        self.providers = None if providers is None else frozenset(_texts("providers", providers))
        self._most = _count("max_concurrent_requests", max_concurrent_requests, 1)
        self._most_waiting = _count("max_queued", max_queued, 0)
        if max_queued is not None and max_concurrent_requests is None:
            raise UserError("policy(max_queued=) needs max_concurrent_requests=: without it nothing ever waits.")
        self._known: set[str] = set()
        self._slots: dict[int, Slots] = {}

    def __repr__(self) -> str:
        given = {
            "hosts": None if self.hosts is None else sorted(self.hosts),
            "providers": None if self.providers is None else sorted(self.providers),
            "max_concurrent_requests": self._most,
            "max_queued": self._most_waiting,
        }
        return ", ".join(f"{name}={value}" for name, value in given.items() if value is not None)

    @property
    def limits(self) -> bool:
        """Whether anything is limited."""
        return self.hosts is not None or self.providers is not None or self._most is not None

    def slots(self) -> Optional[Slots]:
        """The places of this process; None where any number of requests may be under way."""
        if self._most is None:
            return None
        pid = os.getpid()
        slots = self._slots.get(pid)
        if slots is None:
            # A child begins with none taken. Two threads may come here at once: both get the same ones.
            slots = self._slots.setdefault(pid, Slots(self._most, self._most_waiting))
        return slots

    def renew(self) -> None:
        """Forget the places of all processes: a number of theirs may come again."""
        self._slots.clear()

    def admit(self, request: HttpRequest, deadline: Deadline, attempts: int) -> Optional[Lease]:
        """
        Let *request* go out, or raise; waits for a place where requests are limited.

        Args:
            attempts: how often it went out before.

        Returns:
            The place, to be released when its answer is read or given up; None where there is no limit.

        Raises:
            UserError: its host or its provider is not allowed.
            ModelOverloadedError: no place came free in time, or too many wait.
            RunCancelled: while waiting.
        """
        self.check(request.provider, request.url)
        slots = self.slots()
        if slots is None or _logs_in():
            return None
        try:
            lease = slots.take(deadline, LEAST_TIME)
        except Full as full:
            failure = full
        else:
            _last.set(weakref.ref(lease))
            return lease
        error = _overloaded(failure, slots.count, request.model_name, attempts)
        if failure.waited is not None:
            error._end = deadline.end
        raise error

    def check(self, provider: Optional[str], url: Optional[str]) -> None:
        """
        Raise where nothing may be sent there; for whoever logs in, or asks others how, before a request is made.

        Args:
            provider: who is asked; None for nobody with a name.
            url: where; None where that is not known yet.

        Raises:
            UserError: the host or the provider is not allowed.
        """
        if self.hosts is not None and url is not None:
            self._check_host(url, self.hosts)
        if self.providers is not None and provider is not None and provider not in self.providers:
            raise UserError(_refusal("providers", provider, self.providers, f"the provider {provider!r}"))

    def _check_host(self, url: str, allowed: Collection[str]) -> None:
        scheme, _, rest = url.partition("://")
        netloc = rest.partition("/")[0].partition("?")[0].partition("#")[0]
        origin = f"{scheme}://{netloc}"
        if origin in self._known:
            return
        found = _host_and_port(netloc)
        default = _PORTS.get(scheme.lower())
        if found is None or default is None:
            raise UserError(
                "The policy of this process (syncagent.policy) names hosts, and the host of this address is written "
                "in a way that cannot be compared with them; nothing was sent."
            )
        name, port = found
        number = default if port is None else port
        if not any(each in allowed or f"{each}:{number}" in allowed for each in _rules_for(name)):
            shown = name if port is None else f"{name}:{port}"
            raise UserError(_refusal("hosts", shown, allowed, f"the host {shown!r}"))
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known.add(origin)


class Policy:
    """What :func:`policy` returns; leaving it as a ``with`` puts the former policy back."""

    __slots__ = ("_former", "_rules")

    def __init__(self, rules: Rules, former: Optional[Rules]) -> None:
        self._rules = rules
        self._former = former

    def __repr__(self) -> str:
        return f"<Policy {self._rules!r}>"

    def __enter__(self) -> Policy:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        _active[0] = self._former

    @property
    def under_way(self) -> int:
        """Requests of this process that hold a place; 0 where their number is not limited."""
        slots = self._rules.slots()
        return 0 if slots is None else slots.taken

    @property
    def waiting(self) -> int:
        """Requests of this process that wait for a place."""
        slots = self._rules.slots()
        return 0 if slots is None else slots.waiting


def policy(
    hosts: Optional[Iterable[str]] = None,
    providers: Optional[Iterable[str]] = None,
    max_concurrent_requests: Optional[int] = None,
    max_queued: Optional[int] = None,
) -> Policy:
    """
    Say what may leave this process, for all threads, agents and models; each call replaces the whole policy.

    What is not given is not limited, so ``policy()`` lifts it. Requests that are under way go on, and count for
    the policy that they began under.

    >>> with policy(hosts=["api.openai.com", "*.example.com", "localhost:8080"], max_concurrent_requests=20):
    ...     pass

    Args:
        hosts: who may be asked: names, ``*.example.com`` for all names below one, addresses, each with ``:port`` or
            for any. Case, a dot at the end and the alphabet of a name make no difference. Redirects of downloads
            are held by it, proxies on the way are not.
        providers: the names of providers that may be asked. Downloads have none: *hosts* holds them.
        max_concurrent_requests: requests under way at once. A stream is under way until it was read or closed;
            waits between two tries are not. Over it a request waits in line until its deadline, or for 60 seconds.
        max_queued: how many may wait; who comes then fails at once.

    Returns:
        The policy, which as a context manager puts the former one back at its end; that is for tests.

    Raises:
        UserError: an argument cannot be used. A request that is refused raises it too, before anything is sent; one
            that gets no place raises :class:`~syncagent.exceptions.ModelOverloadedError`, which is retryable.
    """
    rules = Rules(hosts, providers, max_concurrent_requests, max_queued)
    made = Policy(rules, _active[0])
    _active[0] = rules if rules.limits else None
    return made


def in_force() -> Optional[Rules]:
    """The policy of this process; None where there is none."""
    return _active[0]


class sending:
    """
    Let requests that are made inside, to log the one in that got its place last, go out on that place.

    A signal's exception may come before or after any line of this, and leave it undone. That does no harm: what is
    marked is the place, and once it was given back, its mark means nothing.
    """

    __slots__ = ("_lease",)

    def __init__(self) -> None:
        self._lease = _last_lease()

    def __enter__(self) -> None:
        if self._lease is not None:
            self._lease.shared = True

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if self._lease is not None:
            self._lease.shared = False


_active: list[Optional[Rules]] = [None]
_last: ContextVar[Optional[weakref.ref[Lease]]] = ContextVar("syncagent_last_place", default=None)


def _last_lease() -> Optional[Lease]:
    """The place that was given last, in this thread and around it; weakly known, so that it may be lost and found."""
    found = _last.get()
    return None if found is None else found()


def _logs_in() -> bool:
    lease = _last_lease()
    return lease is not None and lease.shared and lease.held


def _renew_after_fork() -> None:
    rules = _active[0]
    if rules is not None:
        rules.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_after_fork)


def _texts(argument: str, given: Iterable[str]) -> list[str]:
    if isinstance(given, (str, bytes)):
        raise UserError(f"policy({argument}=) takes a list of names; got the text {given!r}: write [{given!r}].")
    try:
        texts = list(given)
    except TypeError:
        raise UserError(f"policy({argument}=) takes a list of names; got {given!r}.") from None
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"policy({argument}=) takes a list of names; got {text!r} in it.")
    return texts


def _count(argument: str, given: Optional[int], least: int) -> Optional[int]:
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or not least <= given <= _MOST):
        raise UserError(f"policy({argument}=) takes a whole number from {least} to {_MOST}; got {given!r}.")
    return given


def _host_rule(text: str) -> str:
    """A host of the caller's, in the form that hosts are compared in."""
    star = "*." if text.startswith("*.") else ""
    found = _host_and_port(text[len(star) :])
    if found is None or (star and _is_address(found[0])):
        raise UserError(
            "policy(hosts=) takes hosts such as 'api.openai.com', '*.example.com', 'localhost:8080' or '[::1]:8080'; "
            f"got {text!r}."
        )
    name, port = found
    return star + (name if port is None else f"{name}:{port}")


def _host_and_port(netloc: str) -> Optional[tuple[str, Optional[int]]]:
    """A host as it is compared, and the port where one is written; None for what parsers may read differently."""
    host, port = netloc, ""
    if netloc.startswith("["):
        host, bracket, port = netloc[1:].partition("]")
        if not bracket or ":" not in host or (port and not port.startswith(":")):
            return None
        port = port[1:]
    elif netloc.count(":") == 1:
        host, _, port = netloc.partition(":")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65_535):
        return None
    try:
        name = host_name(host) if "[" not in host and "]" not in host else None
    except (ValueError, UnicodeError):
        return None
    if name is None or not _NAME.issuperset(name):
        return None
    return f"[{name}]" if ":" in name else name, int(port) if port else None


def _is_address(name: str) -> bool:
    return name.startswith("[") or name.rpartition(".")[2].isdigit()


def _rules_for(name: str) -> Iterator[str]:
    """The entries that would allow *name*, without a port."""
    yield name
    while not _is_address(name) and "." in name:
        name = name.partition(".")[2]
        yield f"*.{name}"


def _refusal(argument: str, wanted: str, allowed: Collection[str], what: str) -> str:
    from difflib import get_close_matches

    names = sorted(allowed)
    shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
    near = get_close_matches(wanted, names, 1)
    return (
        f"The policy of this process does not allow {what}, so nothing was sent. "
        f"Allowed are: {shown or 'none'}{f' (is {near[0]!r} misspelt?)' if near else ''}. "
        f"Where it is meant, add {wanted!r} to syncagent.policy({argument}=...)."
    )


def _overloaded(full: Full, count: int, model_name: str, attempts: int) -> ModelOverloadedError:
    """The error of a request that got no place; its text is not about the provider, which knows nothing of it."""
    error = ModelOverloadedError(
        503, model_name, retryable=True, retry_after=_COME_BACK, attempts=attempts, elapsed=full.waited or 0.0
    )
    if full.waited is None:
        why = f"{full.waiting} requests wait already, as many as max_queued allows"
    else:
        why = f"none of them ended in {full.waited:.1f} s, and {full.waiting} others wait"
    sent = "nothing was sent" if not attempts else f"it was sent {attempts} times before, and not again"
    error.message = (
        f"This process has {count} requests to models under way, its own limit "
        f"(syncagent.policy(max_concurrent_requests={count})), and {why}: {sent}. Come back later."
    )
    error.args = (error.message,)
    return error
