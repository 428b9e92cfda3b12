"""The command `agent`: its options, and its end."""

from __future__ import annotations

import argparse
import os
import signal
from typing import TYPE_CHECKING

import pytest

from credbroker.delivery import lease_file
from credbroker.domain.errors import Malformed
from credbroker.edge import agent
from credbroker.host.entropy import SystemEntropy
from tests.unit.edge.job.test_keeping import LEASE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lease_path(tmp_path: Path) -> Path:
    """A job's lease file."""
    lease_file.write(tmp_path / "lease.json", LEASE, SystemEntropy())
    return tmp_path / "lease.json"


def parsed(*arguments: str) -> argparse.Namespace:
    """Parse the agent's options."""
    parser = argparse.ArgumentParser()
    agent.add_arguments(parser)
    return parser.parse_args(arguments)


def test_a_job_lease_is_asked_under_by_its_own_rights(lease_path: Path) -> None:
    """Scopes and audiences come from the lease file, the token file from the environment."""
    args = parsed("--job", str(lease_path), "--while-pid", str(os.getpid()))
    made = agent._agent(args, {"BEARER_TOKEN_FILE": "/job/token"}, lambda *_: None)
    assert made.lease == LEASE
    assert str(made.path) == "/job/token"
    assert made.job_runs()


def test_the_token_file_must_be_named(lease_path: Path) -> None:
    """There is no place that is right for every job."""
    with pytest.raises(Malformed, match="which file"):
        agent._agent(parsed("--job", str(lease_path)), {}, lambda *_: None)


def test_being_told_to_stop_is_a_good_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGTERM ends the agent as ^C does, with exit code 0."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(agent, "_agent", lambda *_: Stopped())
    try:
        assert agent.run(parsed("--job", "x")) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "told to stop" in capsys.readouterr().err


class Stopped:
    """An agent that is stopped as soon as it runs."""

    def run(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.sigtimedwait([], 5)
