"""Real OpenBao servers for tests.

One data folder is set up per session; each server starts from a copy of it in about 0.2 s. Every
server is ended when its test or module ends, by its process id, whatever the outcome.

- `openbao`: a running server for one test alone.
- `shared_openbao`: one for all tests of a module; each test uses paths of its own.
- `openbao_factory()`: any number of further servers, ended with the test.
- `admin_hvac(server)`: an hvac client that may look at everything.
"""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Protocol

import pytest

from credbroker.demo.certificates import Authority, make_authority
from credbroker.demo.openbao import OpenBaoError, OpenBaoServer, OpenBaoSettings, find_binary
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.stores.broker_place import ROLE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import hvac

SETTINGS = OpenBaoSettings(with_admin=True)


class OpenBaoFactory(Protocol):
    """Starts servers that end with the test."""

    def __call__(
        self, *, token_ttl_seconds: int | None = None, token_max_ttl_seconds: int | None = None
    ) -> OpenBaoServer:
        """Return a running server; logins of the broker last as long as is said here, if it is."""


def admin_hvac(server: OpenBaoServer) -> hvac.Client:
    """Return an hvac client that may read and change everything on `server`."""
    return server.admin_client()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The certificate authority of this test run."""
    return make_authority(tmp_path_factory.mktemp("authority"), SystemClock())


@pytest.fixture(scope="session")
def openbao_bake(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Path:
    """The folder of a server that was set up and stopped."""
    try:
        find_binary()
    except OpenBaoError as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp("openbao-bake")
    server = prepare(folder, authority)
    try:
        server.start()
        server.stop()
    finally:
        server.kill()
    return folder


@pytest.fixture
def openbao(
    tmp_path_factory: pytest.TempPathFactory, openbao_bake: Path, authority: Authority
) -> Iterator[OpenBaoServer]:
    """A running server for this test alone."""
    with running_copy(openbao_bake, tmp_path_factory, authority) as server:
        yield server


@pytest.fixture(scope="module")
def shared_openbao(
    tmp_path_factory: pytest.TempPathFactory, openbao_bake: Path, authority: Authority
) -> Iterator[OpenBaoServer]:
    """A running server for all tests of this module."""
    with running_copy(openbao_bake, tmp_path_factory, authority) as server:
        yield server


@pytest.fixture
def openbao_factory(
    tmp_path_factory: pytest.TempPathFactory, openbao_bake: Path, authority: Authority
) -> Iterator[OpenBaoFactory]:
    """A way to more servers; all end with the test."""
    with contextlib.ExitStack() as servers:

        def start(
            *, token_ttl_seconds: int | None = None, token_max_ttl_seconds: int | None = None
        ) -> OpenBaoServer:
            copy = running_copy(openbao_bake, tmp_path_factory, authority)
            server = servers.enter_context(copy)
            wanted = {"token_ttl": token_ttl_seconds, "token_max_ttl": token_max_ttl_seconds}
            change_role(server, {key: value for key, value in wanted.items() if value is not None})
            return server

        yield start


def prepare(folder: Path, authority: Authority) -> OpenBaoServer:
    """Return a server for `folder`, not yet started, by this machine's clock and chance."""
    return OpenBaoServer(folder, authority, SystemClock(), SystemEntropy(), settings=SETTINGS)


@contextlib.contextmanager
def running_copy(
    bake: Path, folders: pytest.TempPathFactory, authority: Authority
) -> Iterator[OpenBaoServer]:
    """Run a server on a copy of `bake`, and end it."""
    folder = folders.mktemp("openbao") / "server"
    shutil.copytree(bake, folder, ignore=shutil.ignore_patterns("*.log"))
    server = prepare(folder, authority)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def change_role(server: OpenBaoServer, changes: dict[str, int]) -> None:
    """Change the broker's AppRole role; nothing happens when there is nothing to change."""
    if changes:
        admin_hvac(server).write_data(f"auth/approle/role/{ROLE_NAME}", data=changes)
