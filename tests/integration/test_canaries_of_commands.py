"""Whatever goes wrong in a command, and however loud it is asked to be, it shows no token and no lease.

Answers carry tokens where that is what was asked for; what is said beside them never does.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from credbroker.client.http11 import Answer
from credbroker.delivery import lease_file
from credbroker.domain.errors import GrantPaused, NotAllowed
from credbroker.wire.native import TOKENS
from tests.integration.person_world import CREDBROKER, PATIENCE_SECONDS, HeldBroker, machine_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credbroker.client.http11 import Request
    from tests.canaries import Canaries
    from tests.integration.person_world import Machine

FORMS = ((), ("--json",), ("--auth-header",), ("--env",), ("-o", "-"))


class EchoingBroker(HeldBroker):
    """Something in the broker's place that repeats what it is sent, and what it gave before."""

    echoes = False

    def __call__(self, request: Request) -> Answer:
        """Answer a request for a token with rubbish that holds it."""
        if not self.echoes or request.target != TOKENS:
            return super().__call__(request)
        shown = request.headers.get("Authorization", "")
        given = [one.access_token.reveal() for one in self.given]
        body = json.dumps({"access_token": [shown, *given], "expires_at": shown})
        return Answer(200, {}, body.encode())


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine whose broker may begin to echo."""
    monkeypatch.setattr("tests.integration.person_world.HeldBroker", EchoingBroker)
    with machine_in(tmp_path) as machine:
        yield machine


def plant(canaries: Canaries, machine: Machine) -> None:
    """Look for every lease and every access token that was given so far."""
    for lease in machine.broker.leases:
        canaries.plant("lease token", lease.rpartition(".")[2])
    for one in machine.broker.given:
        canaries.plant("access token", one.access_token.reveal())


def run(canaries: Canaries, machine: Machine, *words: str, answers: bool = False) -> int:
    """Run a command as loud as can be, and look at all it says; at its answer, unless that is a token."""
    done = machine.run(*words, "--debug")
    canaries.search_text(f"{words}: said", done.stderr.encode())
    if not answers:
        canaries.search_text(f"{words}: answered", done.stdout.encode())
    return done.returncode


def test_commands_show_no_secret_whatever_goes_wrong(canaries: Canaries, machine: Machine) -> None:
    """From login to logout; refused, echoed at, with a broken lease file, without a broker."""
    assert isinstance(machine.broker, EchoingBroker)
    assert run(canaries, machine, "login", "cms") == 0
    for form in FORMS:
        assert run(canaries, machine, "token", "--fresh", *form, answers=True) == 0
    assert run(canaries, machine, "status") == 0
    for problem in (NotAllowed("Not you."), GrantPaused("Sign the rules.")):
        machine.broker.problems.append(problem)
        assert run(canaries, machine, "token", "--fresh", "--no-login") > 0
    machine.broker.echoes = True
    assert run(canaries, machine, "token", "--fresh", "--no-login") == 3
    machine.broker.echoes = False
    path = lease_file.person_path(machine.environ, "cms", "default")
    whole = path.read_bytes()
    for broken in (
        whole[:-5],
        whole.replace(b"cb_", b"cb"),
        whole.replace(b'"', b"'"),
        b"[" + whole,
    ):
        path.write_bytes(broken)
        for words in (("token", "--no-login"), ("status",), ("logout",)):
            run(canaries, machine, *words)
    path.write_bytes(whole)
    path.chmod(0o644)
    assert run(canaries, machine, "token", "--fresh", "--no-login") > 0
    path.chmod(0o600)
    assert run(canaries, machine, "logout") == 0
    machine.served.stop()
    assert run(canaries, machine, "login", "cms") == 3
    plant(canaries, machine)


@pytest.mark.parametrize("form", FORMS[1:])
def test_a_failure_over_a_secret_does_not_show_it(
    canaries: Canaries, machine: Machine, form: tuple[str, ...]
) -> None:
    """A token that cannot be written anywhere is not written into the error message instead."""
    machine.log_in()
    with open("/dev/full", "wb") as full:  # noqa: PTH123  # a device, not a file of ours
        done = subprocess.run(
            [*CREDBROKER, "token", "--fresh", *form, "--debug"],
            env=machine.environ, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
            check=False, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
    assert done.returncode != 0
    canaries.search_text("what was said", done.stderr)
    plant(canaries, machine)


def test_a_file_that_cannot_be_written_does_not_show_the_token(
    canaries: Canaries, machine: Machine
) -> None:
    """Where the file should go there is a folder, no folder, or no room."""
    machine.log_in()
    (machine.folder / "folder").mkdir()
    for place in ("folder", "nowhere/token"):
        assert run(canaries, machine, "token", "--fresh", "-o", str(machine.folder / place)) != 0
    assert run(canaries, machine, "token", "--fresh", "-o", "/dev/full", answers=True) != 0
    plant(canaries, machine)


def test_a_token_that_cannot_be_read_is_not_quoted(canaries: Canaries, machine: Machine) -> None:
    """`inspect` says what is wrong with it and not what it is."""
    machine.log_in()
    given = machine.run("token", "-o", "-").stdout.strip()
    broken = [given[:-30], given.replace(".", "!"), given + "." + given, "x" + given[1:]]
    for number, text in enumerate(broken):
        file = machine.folder / f"broken-{number}"
        file.write_text(text)
        file.chmod(0o600)
        run(canaries, machine, "inspect", str(file))
    plant(canaries, machine)
