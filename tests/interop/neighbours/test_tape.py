"""gfal2, unmodified, stages files from tape with the tokens that our issuer signs.

The settings and the program are those of docs/neighbours/tape.md; the tape endpoint is the tests' own.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.interop.neighbours.pages import block, communities, put
from tests.interop.neighbours.tape import TapeEndpoint
from tests.interop.neighbours.test_gfal2 import LIMIT_SECONDS, PYTHON, missing_program
from tests.interop.neighbours.xrootd import hashed_authorities

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from tests.interop.neighbours.conftest import OpenIssuer
    from tests.interop.neighbours.issuer_world import IssuerWorld

pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(missing_program() is not None, reason=str(missing_program())),
]

PAGE, CLIENT, PLAIN = "tape.md", "stager", "plain-stager"


@dataclass(frozen=True, slots=True)
class Archive:
    """A tape endpoint, the issuer that it trusts, and who it is trusted by."""

    issuer: IssuerWorld
    tape: TapeEndpoint
    certificates: Path

    def run(self, folder: Path, what: str, scope: str) -> subprocess.CompletedProcess[str]:
        """Run the page's program with a token of this scope."""
        token_file = folder / "bt_u1000"
        token_file.write_text(self.issuer.token(CLIENT, scope, self.tape.audience))
        names = {
            "se.example.org:8443": self.tape.audience.removeprefix("https://"),
            "/run/user/1000": str(folder),
            "time.sleep(60)": "time.sleep(0.1)",
        }
        (folder / "stage.py").write_text(put(block(PAGE, "# stage.py"), names))
        return subprocess.run(
            [PYTHON, str(folder / "stage.py"), what],
            env={"PATH": os.defpath, "X509_CERT_DIR": str(self.certificates)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )


@pytest.fixture(scope="module")
def archive(
    tmp_path_factory: pytest.TempPathFactory, open_issuer: OpenIssuer, authority: Authority
) -> Iterator[Archive]:
    """An archive of the community of docs/neighbours/tape.md, with one client more."""
    folder = tmp_path_factory.mktemp("tape")
    tape = TapeEndpoint(*authority.issue("se", folder))
    try:
        community = communities(PAGE, {"https://se.example.org:8443": tape.audience})["dteam"]
        clients = community["clients"]
        clients[PLAIN] = {**clients[CLIENT], "stage_adds_read": False}
        issuer = open_issuer(community)
        tape.start(issuer.url, issuer.jwks)
        yield Archive(issuer, tape, hashed_authorities(folder, authority))
    finally:
        tape.close()


def test_a_file_is_staged_polled_and_released(archive: Archive, tmp_path: Path) -> None:
    """Each request of gfal2 carries the token, and each is let through by its scope."""
    archive.tape.asked.clear()
    scope = "storage.stage:/data storage.read:/data"
    done = archive.run(tmp_path, "staged", scope)
    assert done.stdout == "online and released\n", done.stderr
    operations = ["POST stage", "GET stage", "GET stage", "POST release"]
    assert archive.tape.asked == [(operation, scope) for operation in operations]


def test_polling_alone_shows_where_a_file_is(archive: Archive, tmp_path: Path) -> None:
    """And stages nothing."""
    archive.tape.asked.clear()
    assert archive.run(tmp_path, "archived", "storage.poll:/data").returncode == 0
    assert archive.tape.asked == [("POST archiveinfo", "storage.poll:/data")]
    assert "403" in archive.run(tmp_path, "staged", "storage.poll:/data").stderr


@pytest.mark.parametrize("scope", ["storage.read:/data", "storage.poll:/other"])
def test_neither_reading_nor_another_path_shows_it(
    archive: Archive, tmp_path: Path, scope: str
) -> None:
    """What is not in the scope is not done."""
    assert "403" in archive.run(tmp_path, "archived", scope).stderr


def test_staging_alone_is_refused_or_comes_with_reading(archive: Archive) -> None:
    """As the client's settings say; the answer tells which scopes there are."""
    asked = {
        "grant_type": "client_credentials",
        "scope": "storage.stage:/data",
        "audience": archive.tape.audience,
    }
    added = archive.issuer.post("token", CLIENT, **asked)
    assert set(added.json["scope"].split()) == {"storage.stage:/data", "storage.read:/data"}
    refused = archive.issuer.post("token", PLAIN, **asked)
    assert (refused.status, refused.json["error"]) == (400, "invalid_scope")
    assert "storage.read:/data" in refused.json["error_description"]
