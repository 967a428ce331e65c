"""Where Amazon Bedrock's API is and how to log in."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from ..exceptions import MissingKeyError, UserError
from ._aws import Chain
from ._sigv4 import Credentials, sign
from .base import ApiKey, Login, Provider, Target

if TYPE_CHECKING:
    import requests

    from ..deadline import Deadline
    from ..transport import RetryPolicy

__all__ = ["BedrockProvider"]


class BedrockProvider(Provider, row="bedrock"):
    """
    Where Amazon Bedrock's API is and how to log in.

    Nothing is looked up before the first request. Then, and at every request again: the address is *base_url*, else
    ``AWS_ENDPOINT_URL_BEDROCK_RUNTIME``, else the region's. The region is *region_name*, else ``AWS_REGION``, else
    ``AWS_DEFAULT_REGION``, else what botocore's configuration says. Whoever asks is the first of these that is there:

    - *api_key*, a key of Bedrock's;
    - *aws_access_key_id* and *aws_secret_access_key*, or *profile_name*;
    - ``AWS_BEARER_TOKEN_BEDROCK``;
    - ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``, with ``AWS_SESSION_TOKEN`` where they are temporary;
    - what botocore finds, where it is installed (``pip install 'syncagent[bedrock]'``): profiles, single sign-on,
      the roles of machines, containers and web identities. It asks over connections of its own.

    Args:
        base_url: another address of the same API, such as a VPC endpoint's.
        api_key: a key of Bedrock's, or a function that is asked for it at every try.
        region_name: such as ``us-east-1``.
        aws_access_key_id: the id of an access key; requests are signed with Signature Version 4.
        aws_secret_access_key: the access key.
        aws_session_token: goes with temporary keys.
        profile_name: a profile of the shared configuration files; needs botocore.
        session, proxies, verify, cert, trust_env, retry_policy: as of :class:`~syncagent.providers.base.Provider`.

    Raises:
        UserError: an argument cannot be used, or one of the pair of keys is missing.
    """

    def __init__(
        self,
        base_url: Optional[str] = None,
        api_key: ApiKey = None,
        *,
        region_name: Optional[str] = None,
        aws_access_key_id: Optional[str] = None,
        aws_secret_access_key: Optional[str] = None,
        aws_session_token: Optional[str] = None,
        profile_name: Optional[str] = None,
        session: Union[requests.Session, Callable[[], requests.Session], None] = None,
        proxies: Optional[Mapping[str, str]] = None,
        verify: Union[bool, str, None] = None,
        cert: Union[str, tuple[str, str], None] = None,
        trust_env: bool = True,
        retry_policy: Optional[RetryPolicy] = None,
    ) -> None:
        super().__init__(
            base_url,
            api_key,
            session=session,
            proxies=proxies,
            verify=verify,
            cert=cert,
            trust_env=trust_env,
            retry_policy=retry_policy,
        )
        if bool(aws_access_key_id) != bool(aws_secret_access_key) or (aws_session_token and not aws_access_key_id):
            raise UserError("aws_access_key_id and aws_secret_access_key go together; aws_session_token needs both.")
        if aws_access_key_id and profile_name:
            raise UserError("Pass either aws_access_key_id and aws_secret_access_key, or profile_name, not both.")
        if region_name is not None:
            _check_region(region_name, "region_name")
        self._region = region_name
        self._given: Optional[Credentials] = None
        if aws_access_key_id and aws_secret_access_key:
            self._given = Credentials(aws_access_key_id, aws_secret_access_key, aws_session_token)
        self._profile = profile_name
        self._chain = Chain(profile_name)

    @property
    def base_url(self) -> Optional[str]:
        """The address that a request would go to now; None where no region is known."""
        try:
            return self._address()[0]
        except MissingKeyError:
            return None

    def target(self, model_name: str, deadline: Optional[Deadline] = None) -> Target:
        """
        Where a request for *model_name* goes now.

        Raises:
            MissingKeyError: there are neither keys nor a region to be found.
            MissingExtraError: a profile was asked for, and botocore is not installed.
            UserError: the address or the keys cannot be used.
        """
        base_url, _ = self._address()
        key = self._api_key
        if not key and self._given is None and self._profile is None:
            key = os.environ.get(self.row.key_variable or "")
        if key:
            return Target(base_url, Login(self, key), model_name)
        return Target(base_url, _Signer(self._region_of(base_url), self._credentials()), model_name)

    def _credentials(self) -> Callable[[], Credentials]:
        """Gives the credentials at every try: those of the chain may run out and are made anew."""
        given = self._given
        if given is None and self._profile is None:
            given = _from_environment()
        if given is not None:
            found = given
            return lambda: found
        return self._chain.credentials()

    def _address(self) -> tuple[str, bool]:
        if self._base_url is not None or os.environ.get(self.row.base_url_variable or ""):
            return super()._address()
        region = self._find_region()
        if region is None:
            raise MissingKeyError(
                "Set the `AWS_REGION` environment variable or pass it via `BedrockProvider(region_name=...)` "
                "to use the Bedrock provider."
            )
        return f"https://bedrock-runtime.{region}.{_domain(region)}", False

    def _find_region(self) -> Optional[str]:
        if self._region is not None:
            return self._region
        if self._profile is None:
            for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
                value = (os.environ.get(variable) or "").strip()
                if value:
                    return _check_region(value, variable)
        region = self._chain.region()
        return None if region is None else _check_region(region, "botocore's configuration")

    def _region_of(self, base_url: str) -> str:
        """The region that requests to *base_url* are signed for; AWS's own addresses have it in their name."""
        region = self._region
        if region is None:
            found = _IN_HOST.search(base_url)
            region = found.group(1) if found else self._find_region()
        if region is None:
            raise MissingKeyError(
                "Requests to AWS are signed for a region: set the `AWS_REGION` environment variable or pass it via "
                "`BedrockProvider(region_name=...)`."
            )
        return region


class _Signer:
    """
    Signs every try of one request; its repr shows no key.

    Attributes:
        given: the headers of the last try, for who has to keep them out of an error's text.
    """

    __slots__ = ("_credentials", "_region", "given")

    def __init__(self, region: str, credentials: Callable[[], Credentials]) -> None:
        self._region = region
        self._credentials = credentials
        self.given: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return "<login of bedrock>"

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        # Proxies and a caller's session may change other headers on the way, which would spoil the signature.
        signed = {name: value for name, value in headers.items() if name.lower() in _SIGNED}
        self.given = sign(
            method,
            url,
            signed,
            body,
            credentials=self._credentials(),
            region=self._region,
            service="bedrock",
            timestamp=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
        )
        return self.given


_SIGNED = frozenset({"content-type", "host"})
_REGION = re.compile(r"[a-z0-9-]{1,40}\Z")
_IN_HOST = re.compile(r"//(?:[^/@]{1,200}\.)?bedrock-runtime(?:-fips)?\.([a-z0-9-]{1,40})\.")


def _check_region(region: Any, where: str) -> str:
    """It becomes part of a host's name, so nothing but a region's letters may be in it."""
    if not isinstance(region, str) or not _REGION.match(region):
        raise UserError(f"{where} is the name of a region such as 'us-east-1'; got {region!r:.60}.")
    return region


def _domain(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def _from_environment() -> Optional[Credentials]:
    access_key = (os.environ.get("AWS_ACCESS_KEY_ID") or "").strip()
    secret_key = (os.environ.get("AWS_SECRET_ACCESS_KEY") or "").strip()
    if bool(access_key) != bool(secret_key):
        missing = "AWS_SECRET_ACCESS_KEY" if access_key else "AWS_ACCESS_KEY_ID"
        raise MissingKeyError(
            f"Set the `{missing}` environment variable as well: an access key's id and the key go together."
        )
    if not access_key:
        return None
    return Credentials(access_key, secret_key, (os.environ.get("AWS_SESSION_TOKEN") or "").strip() or None)
