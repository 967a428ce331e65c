"""Credentials and the region as botocore finds them, where it is installed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Optional

from ..exceptions import MissingExtraError, MissingKeyError, UserError
from ._sigv4 import Credentials

__all__ = ["Chain"]


class Chain:
    """
    botocore's chain of credential providers, asked when something is needed.

    What it found is kept for the process: temporary credentials are made anew by botocore before they run out.

    Args:
        profile_name: a profile of the shared configuration files; None for botocore's own choice.
    """

    __slots__ = ("_found", "_profile")

    def __init__(self, profile_name: Optional[str]) -> None:
        self._profile = profile_name
        self._found: Optional[tuple[int, Any, Any]] = None

    def __repr__(self) -> str:
        return "<botocore's credentials>"

    def credentials(self) -> Callable[[], Credentials]:
        """
        What gives the credentials at each try.

        Raises:
            MissingKeyError: there are none.
            MissingExtraError: a profile was asked for, and botocore is not installed.
            UserError: botocore's configuration cannot be read.
        """
        _, found = self._look()
        if found is None:
            raise MissingKeyError(_MISSING)

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
        pid = os.getpid()
        kept = self._found
        session, found = (None, None) if kept is None or kept[0] != pid else kept[1:]
        if session is None:
            try:
                from botocore.session import Session
            except ImportError as error:
                if self._profile is not None:
                    raise MissingExtraError(
                        "Please install `botocore` to use profile_name: pip install 'syncagent[bedrock]'."
                    ) from error
                return None, None
            session = Session(profile=self._profile)
        if found is None and credentials:
            found = _asked(session.get_credentials)
        self._found = (pid, session, found)
        return session, found


def _asked(ask: Callable[[], Any]) -> Any:
    """What botocore says; its errors as ours. Their text names files and profiles, and no keys."""
    from botocore.exceptions import BotoCoreError, ConfigNotFound, ConfigParseError, ProfileNotFound

    try:
        return ask()
    except (ConfigNotFound, ConfigParseError, ProfileNotFound) as error:
        raise UserError(f"AWS's configuration cannot be used: {error}") from None
    except BotoCoreError as error:
        raise MissingKeyError(f"AWS's credentials cannot be had: {error}") from error


_MISSING = (
    "Set the `AWS_BEARER_TOKEN_BEDROCK` environment variable, or `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or "
    "pass them via `BedrockProvider(api_key=...)` or `BedrockProvider(aws_access_key_id=..., "
    "aws_secret_access_key=...)` to use the Bedrock provider. Profiles, single sign-on and roles need botocore: "
    "pip install 'syncagent[bedrock]'."
)
