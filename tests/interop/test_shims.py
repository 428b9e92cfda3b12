"""htgettoken's own regression stories, with our stand-ins in its place.

They are the very tests that the unmodified client runs; their numbers are in their first lines. Only what
the client shows with `-d` is another story, since ours shows no token.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from credbroker.zipapp import build
from tests.interop import test_htgettoken as stories
from tests.interop.htgettoken.install import Release
from tests.interop.stand_ins import write_stand_ins

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interop.htgettoken.client import Shell
    from tests.interop.htgettoken.fixtures import MoveIn
    from tests.interop.htgettoken.site import Site

pytest_plugins = ["tests.interop.htgettoken.fixtures"]
pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

SILENT = ("--nooidc", "--nokerberos", "--nossh")

agent, bob = stories.agent, stories.bob
OF_THE_CLIENT_ALONE = {"test_a_client_that_shows_all_it_gets_shows_a_handle"}
globals().update(
    {
        name: story
        for name, story in vars(stories).items()
        if name.startswith("test_") and name not in OF_THE_CLIENT_ALONE
    }
)


@pytest.fixture(scope="module")
def release() -> Release:
    """The release that our stand-ins follow."""
    return Release("2.6")


@pytest.fixture(scope="module")
def htgettoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with our stand-ins, in place of the client's."""
    return write_stand_ins(tmp_path_factory.mktemp("stand-ins"))


def test_debug_output_shows_requests_and_no_token(ada: Shell) -> None:
    """Everybody's output that ada's commands gave so far is looked through for hers."""
    said = ada.run("-d", *SILENT)
    assert said.code == 0, said.all
    assert "GET /v1/secret/oauth/creds/" in said.err
    assert said.out == ""
    for secret in (ada.token(), ada.token_of_vault()):
        assert secret not in "".join(ada.heard)


def test_a_session_has_a_token_until_its_command_ends(ada: Shell, htsite: Site) -> None:
    """httokensh: with the command's exit code; afterwards neither token nor log is left."""
    bearer = ada.folder / "session"
    command = ("sh", "-c", f"htdecodetoken {bearer} | jq -r .sub; exit 3")
    said = ada.type("httokensh", *ada.options(*SILENT, "-o", str(bearer)), "--", *command)
    assert (said.code, said.out) == (3, f"{htsite.subject('ada')}\n"), said.all
    assert list(ada.folder.glob("session*")) == []


def test_stand_ins_of_the_archive_do_it_with_python_alone(move_in: MoveIn, tmp_path: Path) -> None:
    """A login and a read by `credbroker.pyz`, which has nothing else to lean on."""
    archive = tmp_path / "credbroker.pyz"
    build(archive)
    bob = move_in("bob")
    words = (sys.executable, "-I", str(archive), "shims", str(tmp_path / "bin"))
    assert bob.type(*words).code == 0
    bob.environment["PATH"] = f"{tmp_path / 'bin'}:{bob.environment['PATH']}"
    said = bob.log_in("--nokerberos", "--nossh")
    assert said.code == 0, said.all
    assert bob.run(*SILENT, "--scopes=compute.read").code == 0
    assert bob.claims()["scope"] == "compute.read"


def test_our_own_command_takes_the_same_words(ada: Shell) -> None:
    """And ends by its own exit codes: 4 where a login is needed, 5 where it is refused, 3 if nobody answers."""
    command = (sys.executable, "-m", "credbroker", "token", *ada.options())
    assert ada.type(*command, *SILENT).code == 0
    assert ada.type(*command, *SILENT, "--scopes=storage.modify:/").code == 5
    assert ada.type(*command, *SILENT, "-r", "production").code == 4
    nobody = (*command, *SILENT, "-a", "localhost:1")
    assert ada.type(*nobody).code == 3
