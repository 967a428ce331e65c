"""Where Vertex AI is, for each project and region, and how to log in."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional, Union
from urllib.parse import quote

from ..deadline import Deadline
from ..exceptions import UserError
from .base import ApiKey, Login, Provider, Target

if TYPE_CHECKING:
    from ..transport import Auth

__all__ = ["GoogleVertexProvider"]

_REGION = re.compile(r"[a-z][a-z0-9-]{0,40}")
_MULTI_REGIONS = frozenset({"us", "eu"})
_DEFAULT_REGION = "us-central1"
_VERSION = "v1beta1"


class GoogleVertexProvider(Provider, row="google-vertex"):
    """
    Where Vertex AI is, and how to log in; see :class:`~syncagent.providers.base.Provider`.

    Who logs in is the first that was given of: *api_key*, *credentials*, *service_account_info*,
    *service_account_file*; else Google's application default credentials, which are looked for at the first
    request. All but the key need the package ``google-auth`` (``pip install 'syncagent[vertex]'``). The default
    credentials are never sent to a *base_url*: pass them as *credentials* where they belong there.

    Args:
        service_account_file: the path of a service account's key.
        service_account_info: such a key as a dict.
        project_id: the project; by default ``GOOGLE_CLOUD_PROJECT``, else the credentials'. None with *api_key*.
        region: such as ``europe-west4``, ``us``, ``eu`` or ``global``; by default ``GOOGLE_CLOUD_LOCATION``, else
            ``us-central1``.
        api_key: a key of Vertex AI's express mode, or a function that is asked for it at every try.
        credentials: an object of google-auth, with the scope ``cloud-platform``.
        base_url: another address of the same API; project and region are appended where there is a project.
        options: the further keywords of :class:`~syncagent.providers.base.Provider`.

    Raises:
        UserError: the region is no region's name, or *base_url* or *api_key* cannot be used.
    """

    def __init__(
        self,
        service_account_file: Union[str, os.PathLike[str], None] = None,
        service_account_info: Optional[Mapping[str, Any]] = None,
        project_id: Optional[str] = None,
        region: Optional[str] = None,
        *,
        api_key: ApiKey = None,
        credentials: Any = None,
        base_url: Optional[str] = None,
        **options: Any,
    ) -> None:
        super().__init__(base_url, api_key, **options)
        self._own_url = base_url is not None
        self._key = api_key
        self._credentials = credentials
        self._file = service_account_file
        self._info = service_account_info
        self._project = project_id
        self._region = None if region is None else _checked(region, "region")
        self._known_project: Optional[str] = None

    def __repr__(self) -> str:
        shown = {"project_id": self._project, "region": self._region}
        given = ", ".join(f"{name}={value!r}" for name, value in shown.items() if value is not None)
        return f"{type(self).__name__}({given})"

    @property
    def base_url(self) -> Optional[str]:
        """The address that a request would go to now; without the project where only the credentials say it."""
        return self._url(self._project_now())

    def target(self, model_name: str, deadline: Optional[Deadline] = None) -> Target:
        """
        Where a request for *model_name* goes now.

        Raises:
            MissingKeyError: there are no credentials.
            MissingExtraError: google-auth is needed, and not installed.
            UserError: the credentials cannot be used, or no project is known.
            ModelAPIError, DeadlineExceeded, RunCancelled: looking for the default credentials failed.
        """
        if self._key:
            return Target(self._url(self._project), Login(self, self._key), model_name)
        auth = self._login(model_name, deadline)
        project = self._project_now()
        if project is None and not self._own_url:
            raise UserError(
                "Vertex AI needs a project: pass GoogleVertexProvider(project_id=...), or set the "
                "`GOOGLE_CLOUD_PROJECT` environment variable."
            )
        return Target(self._url(project), auth, model_name)

    def check(self, model_name: str) -> None:
        """
        Raise what :meth:`target` would raise; no token is fetched.

        Raises:
            MissingKeyError, MissingExtraError, UserError: as :meth:`target`.
        """
        target = self.target(model_name)
        if isinstance(target.auth, Login):
            target.auth("POST", target.base_url, {}, b"")

    def _login(self, model_name: str, deadline: Optional[Deadline]) -> Optional[Auth]:
        given = self._credentials is not None or self._file is not None or self._info is not None
        if self._own_url and not given:
            return None
        from ._google_auth import GoogleLogin, default_credentials, service_account

        if self._credentials is None:
            if given:
                credentials = service_account(self._file, self._info)
                self._known_project = credentials.project_id
            else:
                limit = Deadline() if deadline is None else deadline
                credentials, self._known_project = default_credentials(self.transport, model_name, limit)
            self._credentials = credentials
        return GoogleLogin(self._credentials, self.transport, model_name, deadline)

    def _project_now(self) -> Optional[str]:
        return self._project or os.environ.get("GOOGLE_CLOUD_PROJECT") or self._known_project

    def _url(self, project: Optional[str]) -> str:
        region = self._region
        if region is None:
            given = os.environ.get("GOOGLE_CLOUD_LOCATION")
            region = _checked(given, "GOOGLE_CLOUD_LOCATION") if given else _DEFAULT_REGION
        if self._own_url:
            url = super().base_url or ""
        elif project is None or region == "global":
            url = f"https://aiplatform.googleapis.com/{_VERSION}"
        elif region in _MULTI_REGIONS:
            url = f"https://aiplatform.{region}.rep.googleapis.com/{_VERSION}"
        else:
            url = f"https://{region}-aiplatform.googleapis.com/{_VERSION}"
        return url if project is None else f"{url}/projects/{quote(project, safe='')}/locations/{region}"


def _checked(region: str, what: str) -> str:
    """A region becomes a part of the host's name: nothing else may come in with it."""
    if not isinstance(region, str) or not _REGION.fullmatch(region):
        raise UserError(f"{what} is the name of a region such as 'us-central1' or 'global'; got {region!r:.80}.")
    return region
