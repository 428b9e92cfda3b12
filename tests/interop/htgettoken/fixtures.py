"""What the tests with the unmodified client share: the client, a site, and people who move in there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from tests.interop.htgettoken.client import Shell
from tests.interop.htgettoken.install import install, missing_program
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


@pytest.fixture(scope="session")
def htgettoken(pytestconfig: pytest.Config) -> Path:
    """The folder with the client's commands; skipped with a sentence where they cannot be had."""
    if missing := missing_program():
        pytest.skip(missing)
    return install(pytestconfig.cache.mkdir("htgettoken"))


@pytest.fixture(scope="module")
def htsite(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, shared_openbao: OpenBaoServer
) -> Iterator[Site]:
    """A running broker between OpenBao and the development issuer."""
    site = Site(tmp_path_factory.mktemp("htsite"), authority, shared_openbao)
    try:
        site.start()
        yield site
    finally:
        site.close()


@pytest.fixture(scope="module")
def move_in(htsite: Site, htgettoken: Path) -> MoveIn:
    """A way to homes at the site."""
    homes = 0

    def moved_in(name: str) -> Shell:
        nonlocal homes
        homes += 1
        return Shell(htsite, name, htgettoken, f"{name}-{homes}")

    return moved_in


@pytest.fixture(scope="module")
def ada(move_in: MoveIn) -> Shell:
    """Somebody who has logged in once and whom no test logs out."""
    shell = move_in("ada")
    said = shell.log_in("--nokerberos", "--nossh")
    assert said.code == 0, said.all
    return shell
