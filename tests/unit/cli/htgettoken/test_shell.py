"""A session with a token that stays fresh: what its command finds, when it is renewed, how it ends."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from credbroker.cli.htgettoken import shell
from credbroker.delivery import whole_file
from credbroker.domain.errors import BrokerUnreachable
from credbroker.domain.secret import Secret
from credbroker.wire.jwt import moment, peek
from tests.fakes.htvault import SHORTER_VAULT_TOKEN, access_token, bearer, login, refusal
from tests.unit.cli.htgettoken.conftest import AUTH_URL, CREATE, CREDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.htgettoken.conftest import Person

SILENT = ("--novaulttoken", "--vaulttokenminttl=0s")


def session(person: Person, *more: str) -> int:
    """Type httokensh, logged in."""
    return shell.stand_in([*person.words, *SILENT, *more], person.desk(), person.reach)


@pytest.fixture
def ada(person: Person) -> Person:
    """Somebody who has logged in, and has a folder for tokens."""
    person.has_logged_in()
    person.environ |= {"PATH": os.defpath, "BEARER_TOKEN": "hides all others"}
    return person


def test_the_command_finds_the_token_by_its_file(ada: Person) -> None:
    """And nothing that programs would take before it; at the end nothing is left."""
    seen = ada.folder / "seen"
    command = ("sh", "-c", f'echo "$BEARER_TOKEN_FILE ${{BEARER_TOKEN-none}}" > {seen}; exit 7')
    assert session(ada, "--", *command) == 7
    path, value = seen.read_text().split()
    assert (Path(path).parent, value) == (ada.folder, "none")
    assert path.endswith(f"/bt_u7.sh-{os.getpid()}")
    assert [one.name for one in ada.folder.iterdir() if one.name.startswith("bt_")] == []


@pytest.mark.parametrize("named", ["option", "environment"])
def test_a_file_that_is_named_is_used(ada: Person, named: str) -> None:
    """By option before environment."""
    path = ada.folder / "mine"
    ada.environ["BEARER_TOKEN_FILE"] = str(path if named == "environment" else ada.folder / "no")
    words = ("-o", str(path)) if named == "option" else ()
    assert session(ada, *words, "--", "sh", "-c", f"test -s {path}") == 0
    assert not path.exists()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("sh", "-c", "kill -TERM $$"), 128 + signal.SIGTERM),
        (("no-such-command",), 127),
        (("/etc/passwd",), 126),
    ],
)
def test_a_command_that_does_not_end_well_is_told_by_code(
    ada: Person, command: tuple[str, ...], code: int
) -> None:
    """As a shell would."""
    assert session(ada, "--", *command) == code


@pytest.mark.parametrize("words", [(), ("-h",), ("-a", "x"), ("--", "true")])
def test_how_it_is_used_is_told(person: Person, words: tuple[str, ...]) -> None:
    """With htgettoken's options, a separator, and exit code 1."""
    assert shell.stand_in(words, person.desk(), person.reach) == 1
    assert "Usage: httokensh" in person.err.getvalue()


def test_without_a_token_no_command_is_run(person: Person) -> None:
    """The reason is told."""
    ran = person.folder / "ran"
    assert session(person, "--", "touch", str(ran)) == 1
    assert not ran.exists()
    assert "Failure getting token" in person.err.getvalue()


class Running:
    """A command that runs for so long, by the test's clock; `looks` are called at their second."""

    def __init__(
        self, person: Person, seconds: float, *looks: tuple[float, Callable[[], object]]
    ) -> None:
        """Begin now."""
        self._clock, self._looks = person.clock, list(looks)
        self._begun = person.clock.elapsed()
        self._ends = self._begun + seconds

    def wait(self, timeout: float) -> int:
        """Let the time pass."""
        self._clock.advance(timeout)
        now = self._clock.elapsed()
        while self._looks and now >= self._begun + self._looks[0][0]:
            self._looks.pop(0)[1]()
        if now < self._ends:
            raise subprocess.TimeoutExpired("x", timeout)
        return 0


def run_for(
    person: Person,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    *looks: tuple[float, Callable[[], object]],
) -> int:
    """Run a command for so long, by the test's clock."""
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: Running(person, seconds, *looks))
    return session(person, "-o", str(person.bearer_file), "--", "x")


def test_the_token_is_renewed_early_and_with_a_longer_minimum(
    ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter of its life before its end, since the server would else give the same again."""
    seen: list[str] = []

    def look() -> None:
        ada.server.plan(CREDS, bearer(ada.token(7200)))
        seen.append(ada.bearer_file.read_text())

    looks = [(at, look) for at in (2690, 2710, 2720)]
    assert run_for(ada, monkeypatch, 2730, *looks) == 0
    assert seen[0] != seen[1] == seen[2]
    reads = [one.target.partition("?")[2] for one in ada.server.asked if CREDS in one.target]
    assert reads == ["minimum_seconds=60", "minimum_seconds=901"]


def test_an_outage_ends_no_renewal(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an hour without the server, and the token in the file is never gone or over (incident 13)."""
    over: list[float] = []

    def look() -> None:
        token = ada.bearer_file.read_text().strip()
        ends = moment(peek(Secret("access token", token))[1], "exp")
        over.append((ends - ada.clock.now()).total_seconds())

    def away() -> None:
        ada.server.plan(CREDS, BrokerUnreachable("Away."))

    def back() -> None:
        ada.server.plan(CREDS, bearer(ada.token()))

    ada.server.plan(CREDS, bearer(ada.token()))
    looks = sorted([(2000, away), (3500, back), *((at, look) for at in range(10, 4000, 10))],
                   key=lambda one: one[0])  # fmt: skip
    assert run_for(ada, monkeypatch, 4000, *looks) == 0
    assert min(over) > 0
    tries = ada.server.count(CREDS)
    assert 3 <= tries <= 30
    assert not (ada.folder / "bt_u7.log").exists()


def test_the_log_stays_if_the_last_renewal_failed(
    ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the owner's alone, says why, and the person is told where it is."""
    away = (10, lambda: ada.server.plan(CREDS, refusal(403, "permission denied")))
    assert run_for(ada, monkeypatch, 2800, away) == 0
    log = ada.folder / "bt_u7.log"
    assert "permission denied" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "The last renewal failed" in ada.err.getvalue()
    assert not ada.bearer_file.exists()


def test_renewals_never_ask_anybody_to_log_in(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even at a terminal; and a link in the log's place is not followed."""
    ada.sits_at_a_terminal()
    other = ada.folder / "other"
    (ada.folder / "bt_u7.log").symlink_to(other)
    away = (10, lambda: ada.server.plan(CREDS, refusal(403, "permission denied")))
    monkeypatch.setattr(sys.modules[__name__], "SILENT", ("--nokerberos", "--nossh", SILENT[1]))
    assert run_for(ada, monkeypatch, 3000, away) == 0
    assert ada.server.count(AUTH_URL) == 0
    assert not other.exists()


def test_being_told_to_end_goes_on_to_the_command(ada: Person) -> None:
    """Which is waited for, so that nothing is left behind."""
    told = ada.folder / "told"
    command = f"trap 'touch {told}; exit 5' TERM; kill -TERM $PPID; while :; do sleep 0.05; done"
    before = signal.getsignal(signal.SIGTERM)
    assert session(ada, "--", "sh", "-c", command) == 5
    assert told.exists()
    assert signal.getsignal(signal.SIGTERM) == before


def test_without_options_of_its_own_a_session_keeps_its_own_vault_token(person: Person) -> None:
    """In a file by its words, which must still last six days."""
    options = shell._options(["-a", "x"], person.desk(), person.reach)
    assert str(options.vaulttokenfile).startswith("/tmp/vt_u7.sh-")
    assert options.vaulttokenminttl == "6d"
    said = shell._options(
        ["-a", "x", "--vaulttokenfile=/f", "--vaulttokenttl=1d"], person.desk(), person.reach
    )
    assert (said.vaulttokenfile, said.vaulttokenminttl) == ("/f", "0s")


def test_a_session_has_a_file_and_no_stream(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which could not be renewed, and whose name would be removed at the end."""
    removed: list[Path] = []
    monkeypatch.setattr(whole_file, "remove", removed.append)
    assert session(ada, "-o", "/dev/stdout", "--", "true") == 1
    assert "needs a file" in ada.err.getvalue()
    assert (removed, ada.server.asked) == ([], [])


def test_a_pipe_in_the_logs_place_holds_nothing_up(
    ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As somebody may put there in /tmp."""
    os.mkfifo(ada.folder / "bt_u7.log")
    assert run_for(ada, monkeypatch, 2800) == 0
    assert ada.server.count(CREDS) == 2


def test_a_vault_token_that_was_handed_over_is_read_once(
    ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows on standard input is the command's."""
    ada.inp.write("hvs.handed-over\n")
    ada.inp.seek(0)
    ada.server.plan(CREATE, login(client_token=SHORTER_VAULT_TOKEN))
    monkeypatch.setattr(sys.modules[__name__], "SILENT", (*SILENT, "--vaulttokeninfile=/dev/stdin"))
    assert run_for(ada, monkeypatch, 2800) == 0
    assert ada.server.asked[-1].headers["X-Vault-Token"] == SHORTER_VAULT_TOKEN
    assert (ada.server.count(CREDS), ada.server.count(CREATE)) == (2, 1)


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_wrong_makes_no_token_old(
    ada: Person, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Nor has the server asked again and again."""
    begun = ada.clock.now().timestamp() - hours * 3600
    ada.server.plan(CREDS, bearer(access_token(begun + 3600, begun)))
    assert run_for(ada, monkeypatch, 3500) == 0
    assert 2 <= ada.server.count(CREDS) <= 70


def test_being_told_to_end_while_the_command_begins_is_not_lost(
    ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it end the session alone, which would leave command and token behind."""
    told: list[int] = []

    def begins(*_: object, **__: object) -> Running:
        os.kill(os.getpid(), signal.SIGTERM)
        running = Running(ada, 1)
        running.send_signal = told.append  # type: ignore[attr-defined] # as a command has it
        return running

    monkeypatch.setattr(subprocess, "Popen", begins)
    assert session(ada, "--", "x") == 0
    assert told == [signal.SIGTERM]


def test_a_log_without_room_ends_no_session(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is renewed all the same."""
    opening = os.open

    def is_full(path: str, flags: int, *more: int, **named: int) -> int:
        is_log = str(path).endswith(".log")
        return opening("/dev/full" if is_log else path, flags, *more, **named)

    monkeypatch.setattr(os, "open", is_full)
    assert run_for(ada, monkeypatch, 2800) == 0
    assert ada.server.count(CREDS) == 2
