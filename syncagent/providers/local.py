"""The embedded model of this machine, fetched and started when it is first asked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Optional

from .base import Login, Provider, Target

if TYPE_CHECKING:
    from ..deadline import Deadline
    from ..transport import Transport

__all__ = ["LocalProvider"]


class LocalProvider(Provider, row="local"):
    """
    The server of :mod:`syncagent.local`, which gives address, key and model at every request.

    A *base_url* is the address of a llama.cpp server that runs already; then nothing is fetched or started.
    """

    @property
    def base_url(self) -> Optional[str]:
        """The address that was given; None where it is known only once the server runs."""
        return self._base_url

    @property
    def transport(self) -> Transport:
        """
        A server of our own on loopback is never asked through the environment's proxy, which would see the key.
        """
        if self._transport is None and self._base_url is None and "SYNCAGENT_LOCAL_URL" not in os.environ:
            from ..transport import shared_transport

            settings: dict[str, Any] = {**self._settings, "trust_env": False}
            self._transport = shared_transport(**settings)
        return super().transport

    def target(self, model_name: str, deadline: Optional[Deadline] = None) -> Target:
        """
        Where the model answers; it is fetched and started where that is needed.

        Raises:
            UserError: there is no such model, or it cannot be had here.
            DeadlineExceeded, RunCancelled: the run ended before it was ready.
        """
        if self._base_url is not None:
            return super().target(model_name, deadline)
        from .. import local

        endpoint = local.endpoint(model_name, deadline=deadline)
        auth = Login(self, endpoint.api_key) if endpoint.api_key else None
        return Target(endpoint.base_url, auth, endpoint.model_name)

    def check(self, model_name: str) -> None:
        """
        Look whether there is such a model; nothing is fetched or started.

        Raises:
            UserError: there is not.
        """
        if self._base_url is None:
            from .. import local

            local.check(model_name)
