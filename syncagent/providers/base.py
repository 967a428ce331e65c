"""A provider: the address of an API, and the key that goes there and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Callable, ClassVar, NamedTuple, NoReturn, Optional, Union
from urllib.parse import urlsplit

from ..exceptions import MissingKeyError, UserError
from .table import ALIASES, ROWS, ProviderRow

if TYPE_CHECKING:
    import requests
    from typing_extensions import Self

    from ..deadline import Deadline
    from ..transport import Auth, RetryPolicy, Transport

__all__ = ["ApiKey", "Login", "Provider", "Target", "infer_provider", "provider_class"]

ApiKey = Union[str, Callable[[], Optional[str]], None]
"""A key, or a function that is asked for one at every try."""


class Target(NamedTuple):
    """
    Where one request goes.

    Args:
        base_url: the address that the API's paths are appended to; no slash at its end.
        auth: gives the headers that log in, at every try; None where nobody has to.
        model_name: the model, as this address calls it.
        query: what the address wants in every request's query.
    """

    base_url: str
    auth: Optional[Auth]
    model_name: str
    query: Mapping[str, str] = {}


class Provider:
    """
    Where requests go, and how they log in.

    Nothing is looked up before the first request, so that a program can be imported, built and tested without a
    key. Then, and at every request again, the address is *base_url*, else the provider's variable, else its own;
    the key is *api_key*, else the provider's variable, which goes to no address but those three. An address of
    the caller's choice needs no key.

    Args:
        base_url: another address of the same API.
        api_key: the key, or a function that is asked for it at every try.
        session: a ``requests.Session`` to send through, or a function that makes one, called once per process.
        proxies: by scheme, as for requests.
        verify: True, or the path of a bundle of certificates.
        cert: a client certificate's path, or a pair with its key.
        trust_env: whether proxies and certificates of the environment count.
        retry_policy: for requests that bring none.

    Raises:
        UserError: *base_url* is no address, or holds credentials; *api_key* is neither a text nor a function.
    """

    row: ClassVar[ProviderRow]
    address_argument: ClassVar[str] = "base_url"
    """The argument that an error asks for where there is no address."""

    def __init_subclass__(cls, row: Optional[str] = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if row is not None:
            cls.row = ROWS[row]

    def __init__(
        self,
        base_url: Optional[str] = None,
        api_key: ApiKey = None,
        *,
        session: Union[requests.Session, Callable[[], requests.Session], None] = None,
        proxies: Optional[Mapping[str, str]] = None,
        verify: Union[bool, str, None] = None,
        cert: Union[str, tuple[str, str], None] = None,
        trust_env: bool = True,
        retry_policy: Optional[RetryPolicy] = None,
    ) -> None:
        if not isinstance(getattr(self, "row", None), ProviderRow):
            raise UserError("Provider itself has no address: use one of syncagent.providers, such as OpenAIProvider.")
        if not (api_key is None or isinstance(api_key, str) or callable(api_key)):
            raise UserError(f"api_key is a text, or a function that returns one; got {type(api_key).__name__}.")
        self._base_url = None if base_url is None else _address(base_url, "base_url")
        self._api_key = api_key
        self._settings: dict[str, Any] = {
            "session": session,
            "proxies": proxies,
            "verify": verify,
            "cert": cert,
            "trust_env": trust_env,
            "retry_policy": retry_policy,
        }
        self._transport: Optional[Transport] = None

    def __repr__(self) -> str:
        address = "" if self._base_url is None else f"base_url={self._base_url!r}"
        return f"{type(self).__name__}({address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"A {type(self).__name__} is not pickled: it may hold a key, and connections are of one process. "
            "Make it in each process, or import the module that does."
        )

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    @property
    def name(self) -> str:
        """The provider's name."""
        return self.row.name

    @property
    def base_url(self) -> Optional[str]:
        """The address that a request would go to now."""
        return self._address()[0]

    @property
    def transport(self) -> Transport:
        """What sends; shared by all providers with the same connection settings."""
        if self._transport is None:
            from ..transport import shared_transport

            self._transport = shared_transport(**self._settings)
        return self._transport

    def target(self, model_name: str, deadline: Optional[Deadline] = None) -> Target:
        """
        Where a request for *model_name* goes now.

        Raises:
            MissingKeyError: there is no key, and the provider needs one.
            UserError: the address or the key cannot be used.
        """
        base_url, chosen = self._address()
        row = self.row
        # Some documents have the API's path in the address, where the provider's own package has it not.
        prefix = row.quirks.get("path", "").partition("/chat/")[0]
        if prefix and base_url.endswith(prefix):
            base_url = base_url[: -len(prefix)]
        key = self._api_key
        if not key and row.key_variable is not None:
            key = os.environ.get(row.key_variable)
        if not key:
            if row.needs_key and not chosen:
                raise MissingKeyError(self.missing_key())
            return Target(base_url, None, model_name)
        required = row.needs_key and not chosen
        return Target(base_url, Login(self, key, required), model_name)

    def check_policy(self) -> None:
        """
        Look whether the policy of this process lets anything be sent there. Before :meth:`target`, which may log in.

        Raises:
            UserError: :func:`syncagent.policy` allows neither the provider, or not its address.
        """
        from ..transport.policy import in_force

        rules = in_force()
        if rules is not None:
            rules.check(self.name, None if rules.hosts is None else self.base_url)

    def check(self, model_name: str) -> None:
        """
        Raise what :meth:`target` and the first try would raise; a function that gives the key is asked.

        Raises:
            MissingKeyError, UserError: as :meth:`target`.
        """
        target = self.target(model_name)
        if target.auth is not None:
            target.auth("POST", target.base_url, {}, b"")

    def _address(self) -> tuple[str, bool]:
        """The address, and whether the caller or the environment chose it."""
        if self._base_url is not None:
            return self._base_url, True
        variable = self.row.base_url_variable
        if variable is not None:
            value = os.environ.get(variable)
            if value:
                return _address(value, variable), True
        if self.row.base_url is None:
            ask = f"pass {self.address_argument}=" + (f" or set `{variable}`" if variable else "")
            raise UserError(f"{type(self).__name__} has no address of its own: {ask}.")
        return self.row.base_url, False

    def missing_key(self) -> str:
        """What to do where there is no key."""
        name = type(self).__name__
        variable = self.row.key_variable
        how = "Pass a key" if variable is None else f"Set the `{variable}` environment variable or pass it"
        return f"{how} via `{name}(api_key=...)` to use the {self.row.title} provider."


class Login:
    """
    Makes the header that logs in, at every try of one request; its repr shows no key.

    Args:
        provider: whose row says how.
        key: the key, or a function that gives it.
        required: whether a function that gives none is an error.
        header: another header than the row's.
        scheme: what stands before the key in it.

    Attributes:
        given: the headers of the last try, for who has to keep them out of an error's text.
        renewable: whether another try may bring another key.
    """

    __slots__ = ("_header", "_key", "_provider", "_required", "_scheme", "given", "renewable")

    def __init__(
        self,
        provider: Provider,
        key: ApiKey,
        required: bool = True,
        *,
        header: Optional[str] = None,
        scheme: Optional[str] = None,
    ) -> None:
        self._provider = provider
        self._key = key
        self._required = required
        self._header = provider.row.header if header is None else header
        self._scheme = provider.row.scheme if scheme is None else scheme
        self.given: Mapping[str, str] = {}
        self.renewable = callable(key)

    def __repr__(self) -> str:
        return f"<login of {self._provider.name}>"

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        key = self._key
        if callable(key):
            key = key()
            if not key:
                if self._required:
                    raise MissingKeyError(self._provider.missing_key())
                return {}
        clean = _clean(key)
        if clean is None:
            problem = "holds a character that no header can carry, such as a line break"
            if not isinstance(key, str):
                problem = f"is a text; got {type(key).__name__}"
            del key  # tracebacks with variables show this frame
            raise UserError(f"The key of {type(self._provider).__name__} {problem}.")
        self.given = {self._header: self._scheme + clean}
        return self.given


def provider_class(name: str) -> type[Provider]:
    """
    The class of a known provider: a built-in one, else a registered one, else that of an entry point.

    Raises:
        UserError: there is none of this name.
    """
    name = ALIASES.get(name, name)
    row = ROWS.get(name)
    if row is None:
        from .registry import added_class

        added = added_class(name)
        if added is not None:
            return added
        raise UserError(f"Unknown provider: {name!r}. Known are {', '.join(sorted(ROWS))}.")
    cls: type[Provider] = getattr(import_module(f"{__package__}.{row.module}"), f"{row.title}Provider")
    return cls


def infer_provider(name: str) -> Provider:
    """
    A provider by its name, with address and key from the environment.

    >>> infer_provider("deepseek").base_url
    'https://api.deepseek.com'

    Raises:
        UserError: there is none of this name.
    """
    return provider_class(name)()


def _address(value: str, what: str) -> str:
    """The address without a slash at its end. What is refused is not shown: it may hold a password."""
    if not isinstance(value, str):
        raise UserError(f"{what} is an address such as 'https://api.example.com/v1'; got {type(value).__name__}.")
    value = value.strip()
    try:
        parts = urlsplit(value)
        credentials, host, port = "@" in parts.netloc, parts.hostname, parts.port
    except ValueError:
        parts, credentials, host, port = urlsplit(""), "@" in value, None, None
    if credentials:
        raise UserError(f"{what} holds a user name or a password, which would reach logs: pass api_key= instead.")
    broken = not host or port == 0 or not value.isprintable() or " " in value
    if broken or parts.scheme.lower() not in ("http", "https"):
        raise UserError(f"{what} is an address such as 'https://api.example.com/v1'; got something else.")
    if parts.query or parts.fragment or value.endswith(("?", "#")):
        raise UserError(f"{what} is an address without ? and #; the API's paths are appended to it.")
    return value.rstrip("/")


def _clean(key: object) -> Optional[str]:
    """The key without the line break that files bring along; None where no header can carry it."""
    if not isinstance(key, str):
        return None
    key = key.strip()
    return key if key.isascii() and key.isprintable() else None
