"""What the interop tests share: an issuer nobody here wrote, who logs in there, and a whole broker."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from credbroker.domain.attenuation import ANY_AUDIENCE
from credbroker.host.entropy import SystemEntropy
from tests.interop.condor.daemon import SOURCE
from tests.interop.person import Person
from tests.interop.provider_server import (
    ProviderServer,
    ProviderSettings,
    install,
    missing_program,
)
from tests.interop.site import COMPUTE, STORAGE, Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.demo.openbao import OpenBaoServer

# HTCondor's source comes with no package: where no folder of it is named, nothing asks for it.
collect_ignore = [] if os.environ.get(SOURCE) else ["test_credmon_unmodified.py"]


@pytest.fixture(scope="session")
def installed_provider() -> None:
    """Afterwards the issuer is installed; it is skipped with a sentence where it cannot be."""
    if missing := missing_program():
        pytest.skip(missing)
    install()


@pytest.fixture(scope="session")
def oidc_provider(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, installed_provider: None
) -> Iterator[ProviderServer]:
    """A running `oidc-provider` for all tests; each test logs in for itself."""
    with running_provider(tmp_path_factory.mktemp("oidc-provider"), authority) as server:
        yield server


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
    shared_openbao: OpenBaoServer,
    installed_provider: None,
) -> Iterator[Site]:
    """A running broker between OpenBao and an issuer of its own with short-lived tokens."""
    settings = ProviderSettings(audiences=(ANY_AUDIENCE, STORAGE, COMPUTE), access_token_seconds=10)
    folder = tmp_path_factory.mktemp("issuer-of-site")
    with running_provider(folder, authority, settings) as provider:
        site = Site(tmp_path_factory.mktemp("site"), authority, shared_openbao, provider)
        try:
            site.start_broker()
            yield site
        finally:
            site.close()


@pytest.fixture
async def person(oidc_provider: ProviderServer) -> AsyncIterator[Person]:
    """Somebody with a fresh browser."""
    async with Person("alice", oidc_provider.ca_file) as somebody:
        yield somebody


@contextmanager
def running_provider(
    folder: Path, authority: Authority, settings: ProviderSettings | None = None
) -> Iterator[ProviderServer]:
    """Run an issuer for a while."""
    server = ProviderServer(folder, authority, SystemEntropy(), settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()
