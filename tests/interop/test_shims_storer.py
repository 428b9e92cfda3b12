"""HTCondor's own storer with our stand-ins first on PATH: what it types, and the program itself.

- What it types is replayed word for word; the program is run, unmodified, where the folder of HTCondor's
  source is named. HTCondor's tools beside it behave as the real ones were seen to.
- The storer wants the long-lasting vault token on the first line of standard output, the address on the
  second, and the address alone where no new token was made.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fakes.condor_tools import CondorTools
from tests.interop.condor.daemon import SOURCE
from tests.interop.htgettoken.client import Said
from tests.interop.htgettoken.site import ISSUER
from tests.interop.htgettoken.terminal import Terminal
from tests.interop.stand_ins import write_stand_ins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.interop.htgettoken.client import Shell
    from tests.interop.htgettoken.fixtures import MoveIn
    from tests.interop.htgettoken.site import Site

pytest_plugins = ["tests.interop.htgettoken.fixtures"]
pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

STORER = Path("src/condor_credd/condor_credmon_oauth/condor_credential_storer")
NARROWED = "compute.read"
LONGEST_SECONDS = 60.0


@pytest.fixture(scope="module")
def htgettoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with our stand-ins, in place of the client's."""
    return write_stand_ins(tmp_path_factory.mktemp("stand-ins"))


@pytest.fixture
def ada(move_in: MoveIn) -> Shell:
    """Somebody who has not logged in, whose token file nobody named."""
    shell = move_in("ada")
    del shell.environment["BEARER_TOKEN_FILE"]
    shell.environment["HTGETTOKENOPTS"] = ""
    return shell


def test_what_the_storer_types_gives_what_it_reads(ada: Shell, htsite: Site) -> None:
    """A login, the exchange of its token for the person's own, and a submit that finds it in place."""
    kept, bearer = ada.folder / f"vt-{ISSUER}", ada.folder / f"bt-{ISSUER}"
    where = ("-a", ada.server, f"--cafile={htsite.ca_file}", "-i", ISSUER)
    lasting = (
        "--vaulttokenttl=28d", "-o", str(bearer), *where, f"--vaulttokeninfile={kept}",
        "--vaulttokenfile=/dev/stdout", "--showbearerurl",
    )  # fmt: skip
    silent = ada.type("htgettoken", *lasting, "--nooidc", "-q")
    assert (silent.code, silent.all) == (1, "")
    lines = at_terminal(ada, "htgettoken", *lasting).out.splitlines()
    assert lines[1:] == [f"{htsite.url.replace('127.0.0.1', 'localhost')}{path('creds')}"]
    exchange = (
        *where, f"--scopes={NARROWED}", "--vaulttokeninfile=/dev/stdin", "--nooidc", "--nokerberos",
        "--nossh", "-o", f"{bearer}_ro", f"--vaulttokenfile={kept}", "--showbearerurl", "-q",
    )  # fmt: skip
    narrow = ada.type("htgettoken", *exchange, piped=f"{lines[0]}\n")
    assert (narrow.code, narrow.err) == (0, "")
    assert narrow.out == f"https://{ada.server}{path('sts')}\n"
    assert kept.read_text().strip() not in {"", lines[0]}
    again = ada.type("htgettoken", *lasting, "--nooidc", "-q")
    assert (again.code, again.out) == (0, f"https://{ada.server}{path('creds')}\n")


@pytest.mark.skipif(not os.environ.get(SOURCE), reason=f"${SOURCE} names no source of HTCondor")
def test_the_storer_itself_works(ada: Shell, htsite: Site, tmp_path: Path, storer_id: str) -> None:
    """One login; two names are stored; the next submit asks nobody and stores nothing."""
    options = f"-a {ada.server} --cafile={htsite.ca_file}"
    tools = CondorTools(tmp_path / "condor", {"SEC_CREDENTIAL_GETTOKEN_OPTS": options})
    ada.environment["PATH"] = f"{tools.bin}:{ada.environment['PATH']}"
    ada.environment["CONDOR_VAULT_STORER_ID"] = storer_id
    storer = str(Path(os.environ[SOURCE]).resolve() / STORER)
    request = f"{ISSUER}&handle=ro&scopes={NARROWED}"
    first = at_terminal(ada, storer, request)
    assert first.code == 0, first.all
    stored = tools.stored()
    url = f"https://{ada.server}{path('creds')}"
    tokens = {one.pop("vault_token") for one in stored.values()}
    assert len(tokens) == 1
    assert stored == {
        ISSUER: {"vault_url": url},
        f"{ISSUER}_ro": {"vault_url": url.replace("/creds/", "/sts/"), "scopes": NARROWED},
    }
    second = ada.type(storer, request)
    assert (second.code, second.err) == (0, "")
    assert sum("add-oauth" in call for call in tools.calls()) == 2


@pytest.fixture
def storer_id(tmp_path: Path) -> Iterator[str]:
    """By which the storer calls its files in /tmp; they are removed at the end."""
    name = f"credbroker-{os.getpid()}-{tmp_path.name}"
    yield name
    for left in Path("/tmp").glob(f"vt_{name}*"):
        left.unlink()


def path(kind: str) -> str:
    """Return where ada's tokens are read."""
    return f"/v1/secret/oauth/{kind}/{ISSUER}/ada:default"


def at_terminal(shell: Shell, *words: str) -> Said:
    """Run a command whose errors go to a terminal, and log in as soon as it asks for that."""
    with Terminal() as terminal:
        child = subprocess.Popen(
            words,
            stdin=terminal.inside,
            stdout=subprocess.PIPE,
            stderr=terminal.inside,
            env=shell.environment,
            start_new_session=True,
        )
        try:
            shell._answer(child, terminal, shell.confirm)
            out, _ = child.communicate(timeout=LONGEST_SECONDS)
        finally:
            child.kill()
            child.wait()
    shell.heard += [out.decode(), terminal.text]
    return Said(child.returncode, out.decode(), terminal.text)
