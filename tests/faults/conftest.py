"""What the tests of faults share: a certificate and back-off that takes no time."""

from __future__ import annotations

import gc
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faultserver import __main__ as by_hand
from tests.faultserver import loop_faults
from tests.transport.conftest import no_wait

__all__ = ["certificate", "frozen", "no_wait", "nothing_executed", "tls_context"]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that its own key signed, with the key behind it."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make a certificate with")
    return by_hand.certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def tls_context(request: pytest.FixtureRequest) -> Any:
    """The server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(request.getfixturevalue("certificate"))
    return context


@pytest.fixture(autouse=True)
def nothing_executed() -> Iterator[None]:
    """No call of the tool is left over from another fault."""
    loop_faults.executed.clear()
    yield
    loop_faults.executed.clear()


@pytest.fixture(scope="module", autouse=True)
def frozen() -> Iterator[None]:
    """The looks for leaks need not go through whatever was there before these tests: that takes 80 ms each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
