"""Every fault of the catalogue, with both providers, over HTTP and TLS: what the page says is what happens."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from tests.faultserver.catalog import FAULTS, SECTIONS, Fault, add
from tests.faultserver.dialects import DIALECTS
from tests.faultserver.http_faults import ok
from tests.transport.conftest import leak_free

from .playing import play

__all__ = ["leak_free"]


def _takes_time(fault: Fault) -> bool:
    return fault.deadline is not None or bool(fault.settings) or fault.name == "bomb"


CASES = [
    pytest.param(fault, dialect, tls, id=f"{fault.name}-{dialect}{'-tls' if tls else ''}")
    for fault in FAULTS.values()
    for dialect in fault.dialects
    for tls in (False, True)
    # What takes its time is shown to one provider over HTTP and to the other over TLS.
    if (tls or not fault.tls) and not (_takes_time(fault) and not fault.tls and tls != (dialect == "anthropic"))
]


@pytest.fixture
def tls(request: pytest.FixtureRequest) -> Optional[Any]:
    """The server's side of TLS and its certificate, where the case is one of TLS."""
    if not request.param:
        return None
    return request.getfixturevalue("tls_context"), request.getfixturevalue("certificate")


@pytest.mark.parametrize(("fault", "dialect", "tls"), CASES, indirect=["tls"])
def test_fault(fault: Fault, dialect: str, tls: Any, leak_free: None, no_wait: list[float]) -> None:
    """The right class, the right number of requests, in time; nothing is leaked, of sockets and of secrets."""
    play(fault, DIALECTS[dialect], no_wait, tls=tls, streamed=fault.streamed)


STREAMED = [
    pytest.param(fault, dialect, fault.tls, id=f"{fault.name}-{dialect}")
    for fault in FAULTS.values()
    for dialect in fault.dialects
    if fault.section in ("Connection", "Answer", "Status")
    and not (_takes_time(fault) and dialect == "anthropic")
]


@pytest.mark.parametrize(("fault", "dialect", "tls"), STREAMED, indirect=["tls"])
def test_streamed(fault: Fault, dialect: str, tls: Any, leak_free: None, no_wait: list[float]) -> None:
    """A caller who streams gets the same, but where the catalogue says otherwise."""
    play(fault, DIALECTS[dialect], no_wait, tls=tls, streamed=True)


def test_the_catalogue_is_whole() -> None:
    """Each section has faults, each name is one word, and no name is given twice."""
    assert [section for section in SECTIONS if not any(f.section == section for f in FAULTS.values())] == []
    assert all(name == name.lower() and " " not in name for name in FAULTS)
    with pytest.raises(ValueError, match="cannot be added"):
        add("Connection", "reset", "again", retried="no", bound="", serve=ok)
    with pytest.raises(ValueError, match="cannot be added"):
        add("Nowhere", "new", "something", retried="no", bound="", serve=ok)
