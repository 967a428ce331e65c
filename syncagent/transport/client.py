"""One request, one answer or one stream, for all threads and forked children of a process."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Optional, TypeVar, Union

from ..deadline import Deadline
from ..exceptions import AgentRunError, ModelAPIError, UserError
from .budget import reward
from .records import HttpRequest, HttpResponse
from .retry import RetryPolicy, keep_trying

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import requests

    from .exchange import Exchange
    from .session import CallerSession, OwnSession
    from .stream import HttpStream

__all__ = ["Transport", "shared_transport"]

T = TypeVar("T")
SessionLike = Union["requests.Session", Callable[[], "requests.Session"], None]


class Transport:
    """
    Sends requests of all threads, greenlets and forked children of a process.

    Nothing is made before the first request: no session, no socket. In a child of a fork everything is made
    anew, and what was inherited is neither used nor closed.

    Args:
        session: a ``requests.Session`` to send through, for this process only, or a function that makes one, called
            once in each process. Redirects stay off; its cookies, netrc, pools and proxies are its own affair.
        proxies: by scheme, as for requests.
        verify: True, or the path of a bundle of certificates; None for True or what the environment says.
        cert: a client certificate's path, or a pair with its key.
        pool_size: connections that are kept for each origin; more than that are made, but not kept.
        trust_env: whether proxies and certificates of the environment count. They are looked up once for each
            origin: later changes are not seen.
        retry_policy: for requests that bring none.

    Raises:
        UserError: *session* is neither a session nor a function.
    """

    def __init__(
        self,
        *,
        session: SessionLike = None,
        proxies: Optional[Mapping[str, str]] = None,
        verify: Union[bool, str, None] = None,
        cert: Union[str, tuple[str, str], None] = None,
        pool_size: int = 256,
        trust_env: bool = True,
        retry_policy: Optional[RetryPolicy] = None,
    ) -> None:
        if session is not None and not callable(session) and not hasattr(session, "prepare_request"):
            raise UserError(f"session= takes a requests.Session or a function that returns one; got {session!r}.")
        self._given_session = session
        self._given_pid = os.getpid()
        self._proxies = proxies
        self._verify = verify
        self._cert = cert
        self._pool_size = pool_size
        self._trust_env = trust_env
        self._policy = retry_policy or _DEFAULT_POLICY
        self._process = _Process()

    def __repr__(self) -> str:
        return "<Transport through the caller's session>" if self._given_session is not None else "<Transport>"

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        """
        Send *request* and read its answer whole.

        Raises:
            ModelAPIError: it failed, after as many tries as the policy allows.
            DeadlineExceeded, RunCancelled: the run has to stop.
            UserError: it cannot be sent.
        """
        from .exchange import Exchange  # brings requests

        exchange = Exchange(self.session, request, deadline, request.retry_policy or self._policy, streamed=False)
        return _tried(exchange, exchange.send, request, deadline)

    def stream(self, request: HttpRequest, deadline: Deadline) -> AbstractContextManager[HttpStream]:
        """
        Send *request* and give its answer as it arrives, once its head says 2xx; nothing is tried again after that.

        Raises:
            as :meth:`send`.
        """
        from .exchange import Exchange

        exchange = Exchange(self.session, request, deadline, request.retry_policy or self._policy, streamed=True)
        return _tried(exchange, exchange.stream, request, deadline)

    def close(self) -> None:
        """Close what this process holds; a later request makes it anew. A caller's session is left open."""
        process, self._process = self._process, _Process()
        if process.pid == os.getpid() and process.session is not None:
            process.session.close()

    def session(self) -> Union[OwnSession, CallerSession]:
        """The session of this process, made at its first use."""
        process = self._process
        if process.pid != os.getpid() or process.generation != _generation[0]:
            # Two threads may come here at once: setdefault is atomic, both get the same one.
            _stale.append(process)
            process = self._process = process.heirs.setdefault(os.getpid(), _Process())
        session = process.session
        if session is None:
            with process.lock:
                session = process.session
                if session is None:
                    session = process.session = self._make_session()
        return session

    def _make_session(self) -> Union[OwnSession, CallerSession]:
        from .session import CallerSession, OwnSession

        given: Any = self._given_session
        settings: dict[str, Any] = {"proxies": self._proxies, "verify": self._verify, "cert": self._cert}
        if given is None:
            return OwnSession(self._pool_size, trust_env=self._trust_env, **settings)
        if hasattr(given, "prepare_request") and not isinstance(given, type):
            return CallerSession(given, self._given_pid, **settings)
        return CallerSession(given(), os.getpid(), **settings)


def shared_transport(
    *,
    session: SessionLike = None,
    proxies: Optional[Mapping[str, str]] = None,
    verify: Union[bool, str, None] = None,
    cert: Union[str, tuple[str, str], None] = None,
    pool_size: int = 256,
    trust_env: bool = True,
    retry_policy: Optional[RetryPolicy] = None,
) -> Transport:
    """
    The one transport of this process for these settings; the arguments are those of :class:`Transport`.

    With *session* it is a new one each time: the session is what is shared.
    """
    settings: dict[str, Any] = {
        "proxies": proxies,
        "verify": verify,
        "cert": cert,
        "pool_size": pool_size,
        "trust_env": trust_env,
        "retry_policy": retry_policy,
    }
    if session is not None:
        return Transport(session=session, **settings)
    key = (tuple(sorted((proxies or {}).items())), verify, cert, pool_size, trust_env, retry_policy)
    transport = _shared.get(key)
    if transport is None:
        transport = _shared.setdefault(key, Transport(**settings))
    return transport


def _tried(exchange: Exchange, attempt: Callable[[], T], request: HttpRequest, deadline: Deadline) -> T:
    """What *attempt* gives, after as many tries as its policy and the budget allow."""
    try:
        try:
            answer = attempt()
        except ModelAPIError as error:
            if not exchange.worth():
                raise
            first = error
        else:
            if exchange.policy.budget and exchange.attempts == 1:
                reward(request.url, request.model_name, exchange.policy.budget)
            return answer
        return keep_trying(attempt, first, exchange.worth, exchange.policy, deadline, exchange.budget())
    except AgentRunError as error:
        exchange.tell_on(error)
        raise


_DEFAULT_POLICY = RetryPolicy()
_shared: dict[Any, Transport] = {}
_stale: list[Any] = []  # inherited over a fork: closing would speak on the parent's connections
_generation = [0]  # counts forks on the way to this process, for where a process number comes again


def _count_fork() -> None:
    _generation[0] += 1


_LOADED_LATE = ("syncagent.", "requests", "urllib3", "tenacity")


def _finish_imports() -> None:
    """Wait, before a fork, for imports of ours in other threads: a child would wait for their locks for ever."""
    for name, module in list(sys.modules.items()):
        if name.startswith(_LOADED_LATE) and getattr(getattr(module, "__spec__", None), "_initializing", False):
            try:
                importlib.import_module(name)
            except ImportError:
                continue  # the other thread says so


if hasattr(os, "register_at_fork"):  # an extra: uWSGI does not call it, and the pid is what is relied on
    os.register_at_fork(before=_finish_imports, after_in_child=_count_fork)


class _Process:
    """What one process has of a transport; its lock was made in it, so no thread of a parent can hold it."""

    __slots__ = ("generation", "heirs", "lock", "pid", "session")

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.generation = _generation[0]
        self.lock = threading.Lock()
        self.heirs: dict[int, _Process] = {}
        self.session: Union[OwnSession, CallerSession, None] = None
