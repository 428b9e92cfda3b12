"""What the tests with the unmodified client share: its releases, a site, people who move in there.

Whoever moves in here has the client show all that it gets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from tests.interop.htgettoken.client import Shell
from tests.interop.htgettoken.install import Release, install, missing_program, releases
from tests.interop.htgettoken.running import running
from tests.interop.htgettoken.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.demo.openbao import OpenBaoServer


class MoveIn(Protocol):
    """Gives somebody a home with the client in it."""

    def __call__(self, name: str) -> Shell:
        """Return a home where nobody is logged in; each call makes another one."""


@pytest.fixture(scope="session", params=releases(), ids=str)
def release(request: pytest.FixtureRequest) -> Release:
    """The release of the client that the test runs with."""
    found: Release = request.param
    return found


@pytest.fixture(scope="session")
def htgettoken(release: Release, pytestconfig: pytest.Config) -> Path:
    """The folder with the client's commands; skipped with a sentence where they cannot be had."""
    if missing := missing_program():
        pytest.skip(missing)
    return install(release, pytestconfig.cache.mkdir(f"htgettoken-{release}"))


@pytest.fixture(scope="module")
def htsite(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, shared_openbao: OpenBaoServer
) -> Iterator[Site]:
    """A running broker between OpenBao and the development issuer."""
    with running(Site(tmp_path_factory.mktemp("htsite"), authority, shared_openbao)) as site:
        yield site


@pytest.fixture(scope="module")
def move_in(htsite: Site, htgettoken: Path) -> MoveIn:
    """A way to homes at the site."""

    def moved_in(name: str) -> Shell:
        shell = Shell(htsite, name, htgettoken)
        shell.environment["HTGETTOKENOPTS"] = "-d"
        return shell

    return moved_in


@pytest.fixture(scope="module")
def ada(move_in: MoveIn) -> Shell:
    """Somebody who has logged in once and whom no test logs out."""
    shell = move_in("ada")
    said = shell.log_in("--nokerberos", "--nossh")
    assert said.code == 0, said.all
    return shell
