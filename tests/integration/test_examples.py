"""The examples that helps end with are typed as they stand, by a shell, on a person's machine.

The broker is a fake one behind real TLS, and takes the place of the address in the examples; programs
that are not ours are scripts that show what they were given. What needs more than a person's machine
has a test of its own, which a table here names.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from credbroker.__main__ import COMMANDS
from credbroker.cli.examples import entries
from tests.integration.person_world import HeldBroker, Machine, machine_in

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PERSONS = (
    "login", "token", "exec", "status", "inspect", "notices", "shims", "job", "completion", "logout",
)  # fmt: skip
"""Commands whose examples are typed here, one after the other, in this order."""

ENDS = {
    # The token is for reading alone, and says so with the code of a refusal.
    "credbroker inspect --can": 5,
    # Nobody listens there; it ends as htgettoken does then.
    "HTGETTOKENOPTS=": 1,
}
"""How those lines begin that do not end with 0, and what they end with."""

ELSEWHERE = {
    "credbroker deliver": "tests/unit/cli/test_deliver.py",
    "credbroker agent --job": "tests/integration/test_job_agent.py",
    "credbroker agent --list": "tests/integration/test_agent_list.py",
    "credbroker agent --sessions": "tests/integration/test_sessions.py",
    "credbroker condor-storer": "tests/integration/test_condor_storer.py",
    "CREDMON_OAUTH": "tests/integration/test_htcondor_page.py",
    "credbroker credmon --list": "tests/unit/edge/condor/test_command.py",
    "credbroker serve": "tests/integration/test_docs.py",
    "credbroker admin issuer probe": "tests/integration/test_admin.py",
    "credbroker admin issuer release": "tests/unit/admin/test_commands.py",
    "credbroker admin restored": "tests/integration/test_restored_snapshot.py",
    "credbroker admin contain": "tests/unit/admin/test_commands.py",
    "credbroker admin contained": "tests/integration/test_containment.py",
    "credbroker admin withdraw-key": "tests/integration/test_withdraw_key.py",
    "credbroker admin host-join": "tests/integration/test_sessions.py",
    "credbroker admin legacy": "tests/unit/admin/test_legacy.py",
    "credbroker admin vault-setup": "tests/integration/test_vault_setup.py",
    "credbroker audit verify": "tests/unit/admin/test_audit.py",
    "credbroker audit trace": "tests/unit/admin/test_audit.py",
    "credbroker config check": "tests/integration/test_admin.py",
    "credbroker config show": "tests/unit/admin/test_config_show.py",
    "credbroker config example": "tests/unit/admin/test_config_example.py",
    "credbroker config import-htvault": "tests/unit/admin/test_import_htvault.py",
    "credbroker policy explain": "tests/unit/admin/test_policy.py",
    "credbroker jwks export": "tests/integration/test_jwks_export.py",
    "credbroker demo": "tests/integration/test_demo.py",
}
"""How the other lines begin, and which test does such a thing with all that it needs. That the very
words are understood, `tests/house/test_made_of_commands.py` has."""

PROGRAMS = {
    "gfal-ls": 'test -n "$BEARER_TOKEN"; echo "$@"',
    "curl": "grep -q '^Authorization: Bearer ey'",
}


@dataclass
class Typist:
    """Who types the lines, in a home of their own."""

    machine: Machine
    home: Path

    def type(self, entry: list[str]) -> subprocess.CompletedProcess[str]:
        """Have a shell read a line, with this world's addresses in it."""
        line = "\n".join(entry).replace("https://broker.example.org:8200", self.machine.served.url)
        line = line.replace("htvault.example.org", "127.0.0.1:9")
        path = f"{self.home / 'programs'}{os.pathsep}{os.defpath}"
        return subprocess.run(
            ["/bin/sh", "-euc", line], cwd=self.home, stdin=subprocess.DEVNULL,
            env={**self.machine.environ, "PATH": path}, capture_output=True, text=True,
            check=False, timeout=50,
        )  # fmt: skip


@pytest.fixture(scope="module")
def typist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Typist]:
    """A person with the programs of the examples, who is not logged in."""
    with machine_in(tmp_path_factory.mktemp("examples")) as machine:
        home = Path(machine.environ["HOME"])
        programs = home / "programs"
        for folder in (programs, home / ".zfunc", home / ".config/fish/completions",
                       home / ".local/share/bash-completion/completions"):  # fmt: skip
            folder.mkdir(parents=True)
        (programs / "credbroker").symlink_to(Path(sys.executable).with_name("credbroker"))
        for path, script in ((home / "analysis", 'test -s "$BEARER_TOKEN_FILE"'),
                             *((programs / name, script) for name, script in PROGRAMS.items())):  # fmt: skip
            path.write_text(f"#!/bin/sh -eu\n{script}\n")
            path.chmod(0o755)
        assert isinstance(machine.broker, HeldBroker)
        yield Typist(machine, home)


def examples(name: str) -> list[list[str]]:
    """Return the lines of a command's example, each with those that go on with it."""
    return list(entries(importlib.import_module(COMMANDS[name].module).EXAMPLE))


def test_what_a_person_may_type_works_as_it_stands(typist: Typist) -> None:
    """From login to logout: every line of every example, with the code that it should end with."""
    for name in PERSONS:
        for entry in examples(name):
            line = entry[0].strip()
            wanted = next((code for begin, code in ENDS.items() if line.startswith(begin)), 0)
            done = typist.type(entry)
            assert done.returncode == wanted, (line, done)
            assert "Traceback" not in done.stderr, (line, done)


def test_no_example_is_passed_over() -> None:
    """Each line is typed above, or the test that is named does what it does."""
    others = [
        entry[0].strip() for name in COMMANDS if name not in PERSONS for entry in examples(name)
    ]
    begun = {line: [begin for begin in ELSEWHERE if line.startswith(begin)] for line in others}
    assert [line for line, found in begun.items() if not found] == []
    assert {begin for found in begun.values() for begin in found} == set(ELSEWHERE)
    for begin, place in ELSEWHERE.items():
        word = begin.split()[-1]
        assert word in (ROOT / place).read_text("utf-8"), (begin, place)
