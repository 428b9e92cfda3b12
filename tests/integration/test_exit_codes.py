"""Each exit code of the glossary, by whole programs, and what goes where: answers out, words beside.

One login for a hundred callers is here, too: it is the exit code that they would all else have had.
"""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING

import pytest

from credbroker.delivery import lease_file
from credbroker.domain.errors import BrokerUnreachable, GrantPaused, NotAllowed, TooSoonExpired
from credbroker.wire.native import LOGINS, TOKENS
from tests.integration.person_world import machine_in, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.person_world import Machine

pytestmark = pytest.mark.slow

CALLERS = 100
UNTIL_RENEWED = """
first=$(cat "$BEARER_TOKEN_FILE")
echo out; echo err >&2
while [ "$(cat "$BEARER_TOKEN_FILE")" = "$first" ]; do sleep 0.1; done
exit 42
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with a broker, and nobody logged in."""
    with machine_in(tmp_path) as machine:
        yield machine


def test_0_is_done(machine: Machine) -> None:
    """The answer is one line; nothing else is said to a script."""
    machine.log_in()
    done = machine.run("token", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert {"access_token", "expires_at", "issuer", "scope", "audience", "jti"} <= set(
        json.loads(done.stdout)
    )
    assert machine.run("status", "--check", "--for", "8h").returncode == 0


def test_1_is_unforeseen(machine: Machine) -> None:
    """No stack without `--debug`, and no answer."""
    machine.environ["PYTHONPATH"] = f"{machine.folder}:{machine.environ['PYTHONPATH']}"
    (machine.folder / "sitecustomize.py").write_text(
        "import credbroker.cli.status as command\n"
        "def run(args): raise ZeroDivisionError('not for people')\n"
        "command.run = run\n"
    )
    done = machine.run("status")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "credbroker: Something unforeseen went wrong (ZeroDivisionError)."
        " Run it again with --debug to see where.\n"
    )
    assert "Traceback" in machine.run("status", "--debug").stderr


@pytest.mark.parametrize(
    "words",
    [
        ("token", "--no-such-option"),
        ("token", "--scope", "storage.read"),
        ("login", "--qr", "sometimes"),
        ("nonsense",),
        ("exec", "--", "/nowhere/program"),
    ],
)
def test_2_is_usage_or_settings(machine: Machine, words: tuple[str, ...]) -> None:
    """Said in a sentence or by the usage."""
    machine.log_in()
    done = machine.run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


def test_3_is_a_broker_that_is_away(machine: Machine) -> None:
    """For each command that needs it; `status` shows what is known all the same."""
    machine.log_in()
    machine.served.stop()
    for words in (("token",), ("login", "cms"), ("status", "--check"), ("exec", "--", "true")):
        done = machine.run(*words)
        assert (done.returncode, done.stdout) == (3, ""), (words, done)
        assert "cannot be reached" in done.stderr
    assert machine.run("status").returncode == 3


@pytest.mark.parametrize("words", [("token",), ("exec", "--", "true"), ("status", "--check")])
def test_4_is_a_login_that_is_needed(machine: Machine, words: tuple[str, ...]) -> None:
    """None was made, or it is over: told at once, with the command, and no login is begun."""
    first = machine.run(*words)
    assert (first.returncode, machine.broker.requests) == (4, [])
    assert first.stderr.endswith("Log in with: credbroker login\n")
    machine.log_in()
    machine.end_login()
    over = machine.run(*words)
    assert (over.returncode, over.stdout) == (4, "")
    assert "Log in again with: credbroker login cms --role default" in over.stderr
    assert [one.target for one in machine.broker.requests].count(LOGINS) == 0


def test_4_is_a_login_that_was_refused_too(machine: Machine) -> None:
    """Or one that the issuer wants something else for."""
    machine.broker.denied = True
    assert machine.run("login", "cms").returncode == 4
    machine.log_in()
    machine.broker.problems.append(GrantPaused("The issuer wants its rules signed."))
    assert machine.run("token", "--login").returncode == 4
    assert "cms+default.json" in machine.leases


def test_5_is_refused(machine: Machine) -> None:
    """By the broker's policy, or by what a token is good for."""
    machine.log_in()
    machine.broker.problems.append(NotAllowed("Not you.", "Ask somebody else."))
    done = machine.run("token")
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == "credbroker: Not you. Ask somebody else. (request req-1)\n"
    machine.run("token")
    refused = machine.run("inspect", "--can", "write", "https://se.example.org/out")
    assert refused.returncode == 5
    assert "write https://se.example.org/out: no" in refused.stdout


def test_6_is_too_soon(machine: Machine) -> None:
    """No token that lives so long, by either's word; no login that lasts so long."""
    machine.log_in()
    assert machine.run("token", "--minimum", "2h").returncode == 6
    machine.broker.problems.append(TooSoonExpired("No token lives that long."))
    assert machine.run("token", "--minimum", "2h").returncode == 6
    done = machine.run("status", "--check", "--for", "30d")
    assert (done.returncode, done.stdout) == (6, "")
    assert "sooner than 30 d" in done.stderr


def test_130_is_stopped(machine: Machine) -> None:
    """A login that is broken off leaves no lease."""
    machine.broker.approved = False
    said = machine.folder / "said"
    child = machine.start("login", "cms", err=said)
    until(lambda: "Waiting for you" in said.read_text(), said.read_text)
    child.send_signal(signal.SIGINT)
    assert child.wait() == 130
    assert said.read_text().endswith("\ncredbroker: stopped\n")
    assert machine.leases == []


def test_what_a_program_says_and_how_it_ends_is_passed_on(machine: Machine) -> None:
    """`exec`: exit code, signals, renewal and retry beside it; what became of the token is in the log."""
    machine.log_in()
    machine.broker.lifetime_seconds = 6
    machine.broker.problems.extend([None, BrokerUnreachable("The broker is away.")])
    done = machine.run("exec", "--", "sh", "-c", UNTIL_RENEWED)
    assert (done.returncode, done.stdout, done.stderr) == (42, "out\n", "err\n")
    killed = machine.run("exec", "--", "sh", "-c", "kill -TERM $$")
    assert killed.returncode == 128 + signal.SIGTERM
    log = (machine.folder / "state" / "credbroker" / "exec.log").read_text()
    events = re.findall(r" credbroker-exec: (\w+) pid=", log)
    assert events[:3] == ["ready", "kept", "renewed"]
    assert 'why="The broker is away."' in log
    assert not list(machine.folder.glob("credbroker-exec-*"))


@pytest.mark.timeout(240)
def test_a_hundred_callers_with_an_expired_login_are_one_login(machine: Machine) -> None:
    """One asks the person, the others wait and use what came of it."""
    machine.log_in()
    machine.end_login()
    machine.broker.approved = False
    logs = [machine.folder / f"caller-{number}" for number in range(CALLERS)]
    children = [machine.start("token", "--login", err=log) for log in logs]
    try:

        def said(text: str) -> int:
            return sum(text in log.read_text() for log in logs)

        until(
            lambda: said("under way") == CALLERS - 1 and said("ABCD-EFGH") == 1,
            lambda: [log.read_text() for log in logs],
            seconds=120,
        )
        machine.broker.approved = True
        assert {child.wait() for child in children} == {0}
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert machine.broker.count(LOGINS) == 1
    assert machine.broker.count(TOKENS) >= CALLERS
    lease = lease_file.read(lease_file.person_path(machine.environ, "cms", "default"))
    assert lease.lease_token.reveal() not in machine.broker.ended
