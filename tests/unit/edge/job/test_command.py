"""The options of `agent --job`, how its parts are joined, and how it ends."""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from credbroker.client.blocking import Door
from credbroker.client.broker import Broker
from credbroker.delivery import lease_file
from credbroker.domain.errors import LeaseEnded, LocalFileUnfit, Malformed, NotAllowed
from credbroker.edge.job import command
from credbroker.edge.job.beside_condor import BesideCondor
from credbroker.edge.job.chain import Chained
from credbroker.edge.job.program import Program, WakingClock
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from tests.fakes.broker import FakeBroker
from tests.fakes.step_clock import StepClock
from tests.unit.edge.job.conftest import SHOW
from tests.unit.edge.job.test_keeping import LEASE

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.edge.job.keeping import Agent

pytestmark = pytest.mark.usefixtures("signals_as_before")


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> FakeBroker:
    """The broker behind every door."""
    fake = FakeBroker(SystemClock())
    monkeypatch.setattr(Door, "send", lambda _, request: fake(request))
    return fake


@pytest.fixture
def lease_path(tmp_path: Path, broker: FakeBroker) -> Path:
    """A job's lease file; its secrets are used once."""
    lease = dataclasses.replace(
        LEASE,
        lease_token=broker.new_lease("run42", starts=3),
        starts=3,
        lease_ends_at=LEASE.lease_ends_at.replace(year=2099),
    )
    lease_file.write(tmp_path / "lease.json", lease, SystemEntropy())
    return tmp_path / "lease.json"


def parsed(*arguments: object) -> argparse.Namespace:
    """Parse the options of a job's agent."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--job")
    command.add_arguments(parser)
    return parser.parse_args([str(one) for one in arguments])


def joined(args: argparse.Namespace, environ: dict[str, str]) -> Agent:
    """Return the agent that these options make."""
    with command._agent(args, environ, SystemClock(), lambda *_, **__: None) as agent:
        return agent


def test_a_job_lease_is_asked_under_by_its_own_rights(tmp_path: Path) -> None:
    """Scopes and audiences come from the lease file, the token file from the environment."""
    lease_file.write(tmp_path / "plain.json", LEASE, SystemEntropy())
    agent = joined(parsed("--job", tmp_path / "plain.json"), {"BEARER_TOKEN_FILE": "/job/token"})
    assert agent.lease == LEASE
    assert str(agent.path) == "/job/token"
    assert isinstance(agent.source, Broker)
    assert [one.name for one in tmp_path.iterdir()] == ["plain.json"]


def test_where_secrets_are_used_once_the_agent_goes_along_the_chain(lease_path: Path) -> None:
    """Its state lies in a private folder beside the lease file, or where it is said."""
    here = {"BEARER_TOKEN_FILE": "/job/token"}
    assert isinstance(joined(parsed("--job", lease_path), here).source, Chained)
    folder = lease_path.parent / ".credbroker"
    assert folder.stat().st_mode & 0o777 == 0o700
    joined(parsed("--job", lease_path), here)
    folder.rmdir()
    joined(parsed("--job", lease_path, "--state", lease_path.parent / "state"), here)
    assert not folder.exists()


def test_in_htcondor_the_agent_looks_into_the_folder_of_tokens(lease_path: Path) -> None:
    """The variable that HTCondor sets names it."""
    here = {"BEARER_TOKEN_FILE": "/job/token", "_CONDOR_CREDS": "/job/.condor_creds"}
    assert isinstance(joined(parsed("--job", lease_path), here).source, BesideCondor)


def test_the_token_file_must_be_named_unless_the_agent_runs_the_program(lease_path: Path) -> None:
    """There is no place that is right for every job; a program is told where it is."""
    with pytest.raises(Malformed, match="which file"):
        command.run(parsed("--job", lease_path), {})
    agent = joined(parsed("--job", lease_path, "--", "true"), {})
    assert agent.path == lease_path.parent / ".credbroker" / "lease.json.token"


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """With what to do instead."""
    (tmp_path / ".credbroker").write_text("")
    with pytest.raises(LocalFileUnfit, match="cannot be made") as unfit:
        command.run(parsed("--job", tmp_path / "lease.json", "--", "true"), {})
    assert "--state" in unfit.value.remedy


def test_being_told_to_stop_is_a_good_end(
    lease_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM ends the agent as ^C does, with exit code 0; the file stays."""
    monkeypatch.setattr(SystemClock, "block", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    path = lease_path.parent / "token"
    assert command.run(parsed("--job", lease_path, "--token-file", path), {}) == 0
    assert "told to stop" in capsys.readouterr().err
    assert path.exists()


def test_the_program_runs_with_a_token_and_its_end_is_the_agents(
    lease_path: Path, broker: FakeBroker, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is started once the first token is there; afterwards the file is gone, the state is not."""
    args = parsed("--job", lease_path, "--", sys.executable, "-I", "-S", "-c", SHOW)
    assert command.run(args, {"BEARER_TOKEN": "of somebody else"}) == 42
    said = capfd.readouterr()
    assert said.out == f"{broker.given[0].access_token.reveal()} False\n"
    assert "job over removed=" in said.err
    left = [one.name for one in (lease_path.parent / ".credbroker").iterdir()]
    assert left == ["lease.json.state"]


def test_programs_one_after_the_other_are_one_start(lease_path: Path, broker: FakeBroker) -> None:
    """A wrapper with more steps than starts goes on along its chain."""
    for _ in range(5):
        assert command.run(parsed("--job", lease_path, "--", "true"), dict(os.environ)) == 0
    (known,) = broker.chains.values()
    assert (len(known.made), known.alarm) == (1, None)


def test_without_a_token_the_program_is_not_started(lease_path: Path, broker: FakeBroker) -> None:
    """A refusal ends the agent with its own exit code."""
    broker.problems.append(NotAllowed("Not you."))
    args = parsed("--job", lease_path, "--", "touch", lease_path.parent / "ran")
    with pytest.raises(NotAllowed):
        command.run(args, dict(os.environ))
    assert not (lease_path.parent / "ran").exists()


def test_a_program_that_cannot_be_run_leaves_no_token(lease_path: Path) -> None:
    """And says why."""
    with pytest.raises(LocalFileUnfit, match="/nowhere cannot be run"):
        command.run(parsed("--job", lease_path, "--", "/nowhere"), dict(os.environ))
    assert not list((lease_path.parent / ".credbroker").glob("*.token"))


def test_a_lease_that_ends_does_not_end_the_program(
    lease_path: Path,
    broker: FakeBroker,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has a token still; its exit code is the agent's all the same."""
    clock, fifo, wait_for_end = StepClock(), lease_path.parent / "go on", Program.exit_code
    broker.clock = clock
    broker.problems.extend([None, LeaseEnded("It was ended.")])
    os.mkfifo(fifo)

    def let_it_go_on(program: Program) -> int:
        if program.is_running():
            assert (lease_path.parent / ".credbroker" / "lease.json.token").exists()
            fifo.write_text("on\n")
        return wait_for_end(program)

    monkeypatch.setattr(command, "WakingClock", lambda: clock)
    monkeypatch.setattr(Program, "exit_code", let_it_go_on)
    args = parsed("--job", lease_path, "--", "sh", "-c", 'read word < "$0"; exit 9', fifo)
    assert command.run(args, dict(os.environ)) == 9
    assert "no more tokens" in capfd.readouterr().err
    assert not list((lease_path.parent / ".credbroker").glob("*.token"))


def test_a_program_and_a_watched_one_do_not_go_together(lease_path: Path) -> None:
    """There is one whose end is the job's."""
    with pytest.raises(Malformed, match="watches no other"):
        command.run(parsed("--job", lease_path, "--while-pid", "1", "--", "true"), {})


def test_a_token_file_that_cannot_be_removed_does_not_change_the_exit_code(
    lease_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the program did is what the batch system is told; it may have taken the folder apart."""
    spoil = (
        'rm -r "$(dirname "$BEARER_TOKEN_FILE")"; touch "$(dirname "$BEARER_TOKEN_FILE")"; exit 7'
    )
    args = parsed("--job", lease_path, "--", "sh", "-c", spoil)
    assert command.run(args, dict(os.environ)) == 7
    assert "job over" in capfd.readouterr().err


def test_whatever_fails_in_the_agent_the_program_is_waited_for(
    lease_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Or the batch system would clear the sandbox away from under it."""

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(WakingClock, "block", fail)
    args = parsed("--job", lease_path, "--", "sh", "-c", "sleep 0.1; exit 9")
    assert command.run(args, dict(os.environ)) == 9
    assert 'no more tokens why="Something unforeseen' in capfd.readouterr().err
    assert not list((lease_path.parent / ".credbroker").glob("*.token"))


def test_told_to_stop_before_the_program_was_started_the_agent_leaves_no_token(
    lease_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal may come when the token is in the file already."""
    monkeypatch.setattr(Program, "start", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as left:
        command.run(parsed("--job", lease_path, "--", "true"), dict(os.environ))
    assert left.value.code == 128 + signal.SIGTERM
    assert not list((lease_path.parent / ".credbroker").glob("*.token"))


def test_a_strange_umask_leaves_the_agents_folder_usable(lease_path: Path) -> None:
    """For who is not root, too."""
    before = os.umask(0o777)
    try:
        joined(parsed("--job", lease_path), {"BEARER_TOKEN_FILE": "/job/token"})
    finally:
        os.umask(before)
    assert (lease_path.parent / ".credbroker").stat().st_mode & 0o777 == 0o700
