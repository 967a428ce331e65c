"""Google's credentials (the package ``google-auth``), which are asked for over our own transport."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union
from urllib.parse import parse_qsl

from ..deadline import Deadline
from ..exceptions import (
    AgentRunError,
    DeadlineExceeded,
    MissingExtraError,
    MissingKeyError,
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    ModelOverloadedError,
    RunCancelled,
    UserError,
)

if TYPE_CHECKING:
    from ..transport import Transport

__all__ = ["GoogleLogin", "default_credentials", "service_account"]

_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
_TIMEOUT = 30.0  # seconds, where google-auth does not say
_NAME = "google-vertex"


def service_account(file: Union[str, os.PathLike[str], None], info: Optional[Mapping[str, Any]]) -> Any:
    """
    The credentials of a service account.

    Raises:
        UserError: the file or the dict is not a service account's key.
        MissingExtraError: google-auth is not installed.
    """
    made = _google("google.oauth2.service_account").Credentials
    try:
        if info is not None:
            return made.from_service_account_info(dict(info), scopes=_SCOPES)
        return made.from_service_account_file(file, scopes=_SCOPES)
    except OSError as error:
        raise UserError(f"service_account_file cannot be read: {error}") from None
    except Exception as error:  # google-auth, and the packages that read its keys, raise many kinds
        where = "service_account_info" if info is not None else f"service_account_file {str(file)!r}"
        raise UserError(
            f"{where} is not the key of a service account, as Google's console gives it ({type(error).__name__})."
        ) from None


def default_credentials(
    transport: Transport, model_name: str = "", deadline: Optional[Deadline] = None
) -> tuple[Any, Optional[str]]:
    """
    Application default credentials (https://cloud.google.com/docs/authentication/application-default-credentials).

    Returns:
        The credentials, and the project that goes with them.

    Raises:
        MissingKeyError: there are none.
        MissingExtraError: google-auth is not installed.
        UserError: the policy of this process forbids to ask for them.
        ModelAPIError, DeadlineExceeded, RunCancelled: nobody can say whether there are any.
    """
    auth = _google("google.auth")
    found: tuple[Any, Optional[str]]
    failed: list[AgentRunError] = []
    try:
        found = auth.default(
            scopes=_SCOPES, request=_requests(transport, deadline or Deadline(), model_name, failed=failed)
        )
    except _google("google.auth.exceptions").GoogleAuthError as error:
        nothing_found = isinstance(error, _google("google.auth.exceptions").DefaultCredentialsError)
        # That nobody answers, or with a refusal, is how it looks on a machine that is not Google's.
        if failed and (not nothing_found or (isinstance(failed[-1], ModelHTTPError) and failed[-1].retryable)):
            raise failed[-1] from None
        raise MissingKeyError(
            "No Google credentials were found: log in with `gcloud auth application-default login`, or set the "
            "`GOOGLE_APPLICATION_CREDENTIALS` environment variable to the key file of a service account, or pass "
            f"GoogleVertexProvider(service_account_file=...). ({type(error).__name__})"
        ) from None
    return found


def _google(module: str) -> Any:
    """A module of google-auth."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            "Please install `google-auth` to use Vertex AI with Google's credentials: pip install 'syncagent[vertex]'. "
            "With GoogleVertexProvider(api_key=...), a key of Vertex AI's express mode, it is not needed."
        ) from error


class GoogleLogin:
    """
    Makes the headers that log in, at every try of one request; fetches a new token where the last one ran out.

    Attributes:
        given: the headers of the last try, for who has to keep them out of an error's text.
    """

    __slots__ = ("_credentials", "_deadline", "_model_name", "_transport", "given")

    def __init__(self, credentials: Any, transport: Transport, model_name: str, deadline: Optional[Deadline]) -> None:
        self._credentials = credentials
        self._model_name = model_name
        self._transport = transport
        self._deadline = deadline or Deadline()
        self.given: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"<login of {_NAME}>"

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        added: dict[str, str] = {}
        asked: dict[str, str] = {}
        credentials = self._credentials
        try:
            # Not before_request, which may leave work to a thread of its own.
            if not credentials.valid:
                credentials.refresh(_requests(self._transport, self._deadline, self._model_name, asked))
            credentials.apply(added)
        except _google("google.auth.exceptions").GoogleAuthError as error:
            from ..transport.answers import redact

            broken = isinstance(error, _google("google.auth.exceptions").TransportError)
            failed = ModelConnectionError if broken else ModelAPIError
            words = redact(str(error), asked)[:500]
            asked.clear()  # tracebacks with variables show this frame
            raise failed(
                f"Logging in to Google failed: {words}",
                model_name=self._model_name,
                retryable=bool(getattr(error, "retryable", False)),
            ) from None
        self.given = added
        return added


class _Answer(NamedTuple):
    """What google-auth reads of an answer (``google.auth.transport.Response``)."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def _requests(
    transport: Transport,
    deadline: Deadline,
    model_name: str,
    asked: Optional[dict[str, str]] = None,
    failed: Optional[list[AgentRunError]] = None,
) -> Callable[..., _Answer]:
    """
    What google-auth calls for a request of its own (``google.auth.transport.Request``).

    Args:
        asked: takes what was sent: refresh tokens, client secrets. Servers may repeat them, and errors shall not.
        failed: takes the errors, which google-auth makes others of, or none.
    """
    from ..transport import HttpRequest

    def request(
        url: str,
        method: str = "GET",
        body: Union[bytes, str, None] = None,
        headers: Optional[Mapping[str, str]] = None,
        timeout: Optional[float] = None,
        **_: Any,
    ) -> _Answer:
        data = body.encode() if isinstance(body, str) else body
        if asked is not None:
            asked.update(parse_qsl((data or b"").decode("latin-1")))
        sent = HttpRequest(
            method,
            url,
            headers=dict(headers or {}),
            body=data,
            model_name=model_name,
            timeout=timeout or _TIMEOUT,
            provider=_NAME,
        )
        try:
            answer = transport.send(sent, deadline)
        except (ModelAPIError, DeadlineExceeded, RunCancelled) as error:
            if failed is not None:
                failed.append(error)
            if not isinstance(error, ModelAPIError) or (isinstance(error, ModelOverloadedError) and not error.attempts):
                raise  # the run's own, or the process's: google-auth would ask again, or think that nobody is there
            if not isinstance(error, ModelHTTPError):
                failure = _google("google.auth.exceptions").TransportError
                raise failure(str(error), retryable=error.retryable) from None
            text = error.body if isinstance(error.body, str) else json.dumps(error.body)
            return _Answer(error.status_code, {"content-type": "application/json"}, text.encode())
        return _Answer(answer.status, answer.headers, answer.body)

    return request
