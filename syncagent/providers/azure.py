"""Where a resource of Azure OpenAI is and how to log in."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Optional, Union
from urllib.parse import quote

from ..exceptions import MissingKeyError, UserError
from .base import ApiKey, Login, Provider, Target

if TYPE_CHECKING:
    import requests

    from ..deadline import Deadline
    from ..transport import RetryPolicy

__all__ = ["AzureProvider"]


class AzureProvider(Provider, row="azure"):
    """
    A resource of Azure OpenAI (Foundry); a model's name is that of its deployment.

    With a version, requests go to ``/openai/deployments/NAME`` of the endpoint; without one to its ``/openai/v1``,
    which needs none (https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle). Endpoint, version
    and key are looked up at each request.

    >>> AzureProvider("https://mine.openai.azure.com").target("my-gpt", None).base_url
    Traceback (most recent call last):
    syncagent.exceptions.MissingKeyError: Set the `AZURE_OPENAI_API_KEY` environment variable or pass it via \
`AzureProvider(api_key=...)` to use the Azure provider.

    Args:
        azure_endpoint: the resource's address, such as ``https://NAME.openai.azure.com``; by default
            ``AZURE_OPENAI_ENDPOINT``.
        api_version: such as ``2024-10-21``; by default ``OPENAI_API_VERSION``, else none.
        api_key: the key, or a function that is asked for it at every try; by default ``AZURE_OPENAI_API_KEY``.
        azure_ad_token_provider: a function that gives a token of Entra, such as that of
            ``azure.identity.get_bearer_token_provider``; asked at every try, and used instead of a key.
        session: a ``requests.Session`` to send through, or a function that makes one, called once per process.
        proxies: by scheme, as for requests.
        verify: True, or the path of a bundle of certificates.
        cert: a client certificate's path, or a pair with its key.
        trust_env: whether proxies and certificates of the environment count.
        retry_policy: for requests that bring none.

    Raises:
        UserError: *azure_endpoint* is no address; a key and a token function are given, or what is no function.
    """

    address_argument = "azure_endpoint"

    def __init__(
        self,
        azure_endpoint: Optional[str] = None,
        api_version: Optional[str] = None,
        api_key: ApiKey = None,
        *,
        azure_ad_token_provider: Optional[Callable[[], str]] = None,
        session: Union[requests.Session, Callable[[], requests.Session], None] = None,
        proxies: Optional[Mapping[str, str]] = None,
        verify: Union[bool, str, None] = None,
        cert: Union[str, tuple[str, str], None] = None,
        trust_env: bool = True,
        retry_policy: Optional[RetryPolicy] = None,
    ) -> None:
        if azure_ad_token_provider is not None:
            if not callable(azure_ad_token_provider):
                raise UserError(
                    f"azure_ad_token_provider is a function; got {type(azure_ad_token_provider).__name__}."
                )
            if api_key is not None:
                raise UserError("Give api_key or azure_ad_token_provider, not both.")
        super().__init__(
            azure_endpoint,
            api_key,
            session=session,
            proxies=proxies,
            verify=verify,
            cert=cert,
            trust_env=trust_env,
            retry_policy=retry_policy,
        )
        self._api_version = api_version
        self._token = azure_ad_token_provider

    def target(self, model_name: str, deadline: Optional[Deadline] = None) -> Target:
        """
        Where a request for the deployment *model_name* goes now.

        Raises:
            MissingKeyError: there is neither a key nor a function for tokens.
            UserError: there is no endpoint, or it cannot be used.
        """
        address, _ = self._address()
        if self._token is not None:
            auth = Login(self, self._token, header="Authorization", scheme="Bearer ")
        else:
            key = self._api_key or os.environ.get(self.row.key_variable or "")
            if not key:
                raise MissingKeyError(self.missing_key())
            auth = Login(self, key)
        if address.endswith("/openai/v1"):
            return Target(address, auth, model_name)
        version = self._api_version or os.environ.get("OPENAI_API_VERSION")
        if not version:
            return Target(address + "/openai/v1", auth, model_name)
        path = f"/openai/deployments/{quote(model_name, safe='')}"
        return Target(address + path, auth, model_name, {"api-version": version})
