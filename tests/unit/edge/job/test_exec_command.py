"""`credbroker exec`: a program with a token file of its own, and a log of what became of it."""

from __future__ import annotations

import datetime
import os
import sys
from typing import TYPE_CHECKING

import pytest

from credbroker.delivery import lease_file
from credbroker.domain.errors import (
    BrokerUnreachable,
    LeaseEnded,
    LocalFileUnfit,
    LoginNeeded,
    NotAllowed,
)
from credbroker.edge.job import exec_command
from credbroker.edge.job.exec_command import LoginSource, Teller, opened_log, token_folder
from credbroker.edge.job.keeping import Agent
from credbroker.host.entropy import SystemEntropy
from credbroker.wire.native import TOKENS, AskToken
from tests.unit.edge.job.conftest import SHOW

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Table

pytestmark = pytest.mark.usefixtures("signals_as_before")

PYTHON = ("--", sys.executable, "-I", "-S", "-c")


def log_of(table: Table) -> str:
    """Return what the log says."""
    return (table.folder / "state" / "credbroker" / "exec.log").read_text()


def test_a_program_runs_with_a_token_of_its_own(
    table: Table, capfd: pytest.CaptureFixture[str]
) -> None:
    """The usual file is not touched, its own is gone at the end, standard error is the program's."""
    table.log_in()
    table.environ["BEARER_TOKEN"] = "of somebody else"
    wish = ("--scope", "storage.read:/a", "--audience", "https://dav")
    assert table.run(exec_command, *wish, *PYTHON, SHOW) == 42
    (given,) = table.broker.given
    assert (given.scopes, given.audiences) == (["storage.read:/a"], ["https://dav"])
    assert capfd.readouterr() == (f"{given.access_token.reveal()} False\n", "")
    assert [one.name for one in table.folder.iterdir()] == ["state"]
    assert (table.answered(), table.said()) == ("", "")
    log = log_of(table)
    assert "credbroker-exec: ready pid=" in log
    assert given.access_token.reveal() not in log
    assert (table.folder / "state/credbroker/exec.log").stat().st_mode & 0o777 == 0o600


def test_without_a_program_it_is_the_persons_shell(table: Table) -> None:
    """As the environment names it."""
    table.log_in()
    table.environ["SHELL"] = "/bin/false"
    assert table.run(exec_command) == 1


@pytest.mark.parametrize(
    "error", [BrokerUnreachable("Away."), LeaseEnded("Over."), NotAllowed("Not you.")]
)
def test_what_keeps_the_first_token_away_is_raised(table: Table, error: Exception) -> None:
    """Nothing is run then."""
    table.log_in()
    table.broker.problems.append(error)  # type: ignore[arg-type] # they are ours
    with pytest.raises(type(error)):
        table.run(exec_command, *PYTHON, f"open({str(table.folder / 'ran')!r}, 'w')")
    assert not (table.folder / "ran").exists()


def test_a_login_that_is_needed_can_be_made_on_the_way(table: Table) -> None:
    """As with `token`."""
    table.log_in()
    table.broker.ended.update(table.broker.leases)
    assert table.run(exec_command, "--login", *PYTHON, "raise SystemExit(3)") == 3
    assert "ABCD-EFGH" in table.said()


def test_a_program_that_cannot_be_run_is_said(table: Table) -> None:
    """And leaves no token behind."""
    table.log_in()
    with pytest.raises(LocalFileUnfit, match="cannot be run"):
        table.run(exec_command, "--", "/nowhere/program")
    assert [one.name for one in table.folder.iterdir()] == ["state"]


def source_of(table: Table) -> LoginSource:
    """Return a source whose first token has been handed on."""
    path = table.log_in()
    lease = lease_file.read(path)
    first = table.desk().broker_of(lease).ask_token(AskToken())
    source = LoginSource(table.desk(), lease, None, first)
    assert source.ask_token(AskToken()) is first
    return source


def test_the_first_token_is_not_asked_for_twice(table: Table) -> None:
    """The next one is; times are the broker's."""
    source = source_of(table)
    assert table.broker.count(TOKENS) == 1
    source.ask_token(AskToken())
    assert table.broker.count(TOKENS) == 2
    assert source.now() == table.clock.now()


def test_a_new_login_is_taken_up_while_the_program_runs(table: Table) -> None:
    """Until it comes, a lease that is over is a login that is needed, which ends nothing."""
    source = source_of(table)
    table.broker.ended.update(table.broker.leases)
    with pytest.raises(LoginNeeded) as needed:
        source.ask_token(AskToken())
    assert needed.value.remedy == "Log in again with: credbroker login cms --role default"
    path = lease_file.person_paths(table.environ)[0]
    path.unlink()
    with pytest.raises(LoginNeeded):
        source.ask_token(AskToken())
    table.log_in()
    assert source.ask_token(AskToken()).given.jti == "jti-2"


def test_a_person_is_told_once_what_only_a_person_can_mend(table: Table) -> None:
    """Once until it is mended; each event is in the log, each with this run's number."""
    table.err.is_terminal = True
    with opened_log(table.environ) as log:
        teller = Teller(table.desk(), log)
        teller.say("kept", why="Away.", remedy=None, seconds_left=600)
        for _ in range(2):
            teller.say("kept", why="Over.", remedy="Log in.", seconds_left=600)
        teller.say("renewed", jti="j")
        teller.say("kept", why="Over.", remedy="Log in.", seconds_left=60)
    assert table.said() == (
        "credbroker: Over. The token here lasts for 10 min. Log in.\n"
        "credbroker: Over. The token here lasts for 1 min. Log in.\n"
    )
    lines = log_of(table).splitlines()
    assert len(lines) == 5
    assert all(f" pid={os.getpid()} " in line for line in lines)


def test_what_goes_into_a_file_is_not_told_to_a_program(table: Table) -> None:
    """Without a terminal there is the log."""
    with opened_log(table.environ) as log:
        Teller(table.desk(), log).say("kept", why="Over.", remedy="Log in.", seconds_left=600)
    assert table.said() == ""


def test_a_log_is_gone_on_with_and_makes_room(table: Table) -> None:
    """What it was before is kept once; a log that cannot be written costs nothing."""
    folder = table.folder / "state" / "credbroker"
    for _ in range(2):
        with opened_log(table.environ) as log:
            log.write("a line\n")
    assert log_of(table) == "a line\na line\n"
    (folder / "exec.log").write_text("x" * (exec_command.LARGEST_LOG_BYTES + 1))
    with opened_log(table.environ) as log:
        log.write("a line\n")
    assert log_of(table) == "a line\n"
    assert (folder / "exec.log.old").exists()
    (folder / "exec.log").unlink()
    (folder / "exec.log").symlink_to(folder / "elsewhere")
    with opened_log(table.environ) as log:
        log.write("a line\n")
    assert not (folder / "elsewhere").exists()


def test_the_token_file_is_in_the_sessions_folder_or_else_in_the_persons(table: Table) -> None:
    """A session's folder that is gone, or no folder, does not count."""
    assert token_folder(table.environ) == table.folder
    for named in ("", "relative", str(table.folder / "gone")):
        table.environ["XDG_RUNTIME_DIR"] = named
        assert token_folder(table.environ) == table.folder / "state" / "credbroker"


def test_after_a_new_login_one_refusal_ends_nothing(table: Table) -> None:
    """The end of the first login is over and done with, once another one was taken up."""
    path = table.log_in(lease_ends_at=table.clock.now() + datetime.timedelta(hours=1))
    lease = lease_file.read(path)
    first = table.desk().broker_of(lease).ask_token(AskToken())
    source = LoginSource(table.desk(), lease, None, first)
    agent = Agent(
        source, lease, table.folder / "token", table.clock, SystemEntropy(), lambda *_, **__: None
    )
    source.on_login = agent.go_on_under
    table.clock.after(1800, table.log_in)
    refused_at = table.clock.elapsed() + 5400
    told: list[str] = []
    ends_at = table.clock.elapsed() + 4 * 3600

    def say(event: str, **_: object) -> None:
        told.append(event)
        if event == "renewed" and table.clock.elapsed() >= refused_at and "kept" not in told:
            table.broker.problems.append(NotAllowed("Not now."))

    agent.say, agent.job_runs = say, lambda: table.clock.elapsed() < ends_at
    agent.run()
    assert "kept" in told
    assert told[-2:] == ["renewed", "job over"]
