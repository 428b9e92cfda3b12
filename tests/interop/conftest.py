"""What the interop tests share: an issuer nobody here wrote, and a person who logs in there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credbroker.demo.certificates import make_authority
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from tests.interop.person import Person
from tests.interop.provider_server import ProviderServer, install, missing_program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(scope="session")
def oidc_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderServer]:
    """A running `oidc-provider` for all tests; each test logs in for itself."""
    if missing := missing_program():
        pytest.skip(missing)
    install()
    folder = tmp_path_factory.mktemp("oidc-provider")
    server = ProviderServer(folder, make_authority(folder, SystemClock()), SystemEntropy())
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def person(oidc_provider: ProviderServer) -> AsyncIterator[Person]:
    """Somebody with a fresh browser."""
    async with Person("alice", oidc_provider.ca_file) as somebody:
        yield somebody
