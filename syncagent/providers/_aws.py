"""Credentials and the region as botocore finds them, where it is installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Optional

from ..exceptions import MissingExtraError, MissingKeyError, UserError
from ._sigv4 import Credentials

if TYPE_CHECKING:
    from ..transport.policy import Rules

__all__ = ["Chain"]


class Chain:
    """
    botocore's chain of credential providers, asked when something is needed.

    What it found is kept for the process: temporary credentials are made anew by botocore before they run out. botocore
    asks over connections of its own; the hosts that :func:`syncagent.policy` does not allow are not asked.

    Args:
        profile_name: a profile of the shared configuration files; None for botocore's own choice.
    """

    __slots__ = ("_found", "_profile")

    def __init__(self, profile_name: Optional[str]) -> None:
        self._profile = profile_name
        self._found: Optional[tuple[tuple[int, frozenset[str]], Any, Any]] = None

    def __repr__(self) -> str:
        return "<botocore's credentials>"

    def credentials(self) -> Callable[[], Credentials]:
        """
        What gives the credentials at each try.

        Raises:
            MissingKeyError: there are none.
            MissingExtraError: a profile was asked for, and botocore is not installed.
            UserError: botocore's configuration cannot be read, or the policy of this process forbids to ask for them.
        """
        _, found = self._look()
        if found is None:
            kept = self._found
            silent = sorted(kept[0][1]) if kept is not None else []
            asked = f" {_NOT_ASKED} {' and '.join(silent)}." if silent else ""
            raise MissingKeyError(_MISSING + asked)

        def frozen() -> Credentials:
            now = _asked(found.get_frozen_credentials)
            return Credentials(now.access_key, now.secret_key, now.token)

        return frozen

    def region(self) -> Optional[str]:
        """The region of botocore's configuration; None where there is none, or no botocore."""
        session, _ = self._look(credentials=False)
        region: Optional[str] = None if session is None else _asked(lambda: session.get_config_variable("region"))
        return region

    def _look(self, credentials: bool = True) -> tuple[Any, Any]:
        """The session and its credentials, made once in each process."""
        kept = self._found
        session, found = (None, None) if kept is None or kept[0][0] != os.getpid() else kept[1:]
        session = self._session() if session is None else session
        if session is None:
            return None, None
        silenced = _forbidden(session)
        key = os.getpid(), frozenset(silenced.values())
        if kept is not None and kept[0] != key:
            # Another policy: what was had from a service that it forbids is made anew there, sooner or later.
            session, found = self._session(), None
        if found is None and credentials:
            _silence(session, silenced)
            found = _asked(session.get_credentials)
        self._found = (key, session, found)
        return session, found

    def _session(self) -> Any:
        try:
            from botocore.session import Session
        except ImportError as error:
            if self._profile is not None:
                raise MissingExtraError(
                    "Please install `botocore` to use profile_name: pip install 'syncagent[bedrock]'."
                ) from error
            return None
        session = Session(profile=self._profile)
        session.register("before-send", _check_policy)  # of all clients that it makes: for roles, single sign-on
        return session


def _check_policy(request: Any, **_: Any) -> None:
    """Raise ``UserError`` where the policy of this process does not allow what a client of botocore's asks."""
    rules = _rules()
    if rules is not None:
        rules.check(None, request.url)


def _rules() -> Optional[Rules]:
    from ..transport.policy import in_force

    rules = in_force()
    return rules if rules is not None and rules.hosts is not None else None


def _forbidden(session: Any) -> dict[str, str]:
    """The members of the chain that would ask a service that is not allowed, and which; no clients ask these two."""
    rules = _rules()
    if rules is None:
        return {}
    found = {}
    for method, url in (("iam-role", _machine(session)), ("container-role", _container())):
        try:
            rules.check(None, url)
        except UserError:
            found[method] = str(url)
    return found


def _machine(session: Any) -> str:
    from botocore.utils import METADATA_BASE_URL, METADATA_BASE_URL_IPv6, resolve_imds_endpoint_mode

    given: Optional[str] = _asked(lambda: session.get_config_variable("ec2_metadata_service_endpoint"))
    if given:
        return given
    mode = _asked(lambda: resolve_imds_endpoint_mode(session))
    return str(METADATA_BASE_URL_IPv6 if mode == "ipv6" else METADATA_BASE_URL)


def _container() -> Optional[str]:
    if "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" in os.environ:
        return "http://169.254.170.2/"
    return os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")


def _silence(session: Any, methods: Collection[str]) -> None:
    """Let these members of the chain find nothing. The same objects serve profiles that name them as their source."""
    if methods:
        chain = _asked(lambda: session.get_component("credential_provider"))
        for method in methods:
            chain.get_provider(method).load = lambda: None


def _asked(ask: Callable[[], Any]) -> Any:
    """What botocore says; its errors as ours. Their text names files and profiles, and no keys."""
    from botocore.exceptions import BotoCoreError, ClientError, ConfigNotFound, ConfigParseError, ProfileNotFound

    try:
        return ask()
    except (ConfigNotFound, ConfigParseError, ProfileNotFound) as error:
        raise UserError(f"AWS's configuration cannot be used: {error}") from None
    except (BotoCoreError, ClientError) as error:
        raise MissingKeyError(f"AWS's credentials cannot be had: {error}") from error


_NOT_ASKED = "Not asked were, since syncagent.policy(hosts=...) does not allow it:"
_MISSING = (
    "Set the `AWS_BEARER_TOKEN_BEDROCK` environment variable, or `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or "
    "pass them via `BedrockProvider(api_key=...)` or `BedrockProvider(aws_access_key_id=..., "
    "aws_secret_access_key=...)` to use the Bedrock provider. Profiles, single sign-on and roles need botocore: "
    "pip install 'syncagent[bedrock]'."
)
