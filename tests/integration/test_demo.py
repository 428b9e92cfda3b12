"""The demo at a quick pace: it holds, and it would see it if it did not."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from credbroker.demo import main
from credbroker.demo.main import play
from credbroker.demo.report import LONGEST_GAP_SECONDS
from credbroker.demo.stage import Pace, Stage
from credbroker.demo.story import End, Outage, Story
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    from pathlib import Path

QUICK = Pace(access_seconds=8, outage_seconds=4.5)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage for a quick play."""
    (tmp_path / "stage").mkdir(mode=0o700)
    return Stage(tmp_path / "stage", SystemClock(), SystemEntropy(), QUICK)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_the_demo_holds_and_a_leak_would_make_it_fail(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job has a good token at every instant through a crash and an outage; nothing leaks."""
    report = await play(stage, tmp_path / "report.json", keep=False)
    assert report.good, (report.shortcomings(), capsys.readouterr().out)
    assert report.samples > 10 * QUICK.access_seconds
    assert report.renewals >= 4
    assert report.issuer_refreshes >= report.renewals  # one for each token that was new
    assert QUICK.outage_seconds <= report.outage_seconds < QUICK.outage_seconds + 5
    assert json.loads((tmp_path / "report.json").read_text()) == {
        "samples": report.samples,
        "invalid_samples": 0,
        "renewals": report.renewals,
        "issuer_refreshes": report.issuer_refreshes,
        "broker_restarts": 1,
        "outage_seconds": report.outage_seconds,
        "refresh_token_found_outside": 0,
        "seconds": report.seconds,
    }

    leak = stage.logs / "broker.log"
    with leak.open("a") as log:
        log.write(f"refreshing with {stage.issuer.refresh_tokens_issued[-1]}\n")
    told: list[str] = []
    assert Story(stage, told.append).search() == 1
    assert told == [f"  refresh token, raw, in {leak}"]


class Sabotaged(Story):
    """The same story with five things wrong, each of which must be noticed."""

    async def _start_job(self) -> None:
        await super()._start_job()
        leaked = self._stage.issuer.refresh_tokens_issued[-1]
        (lease,) = self._stage.home.rglob("*.json")  # which the logout takes away
        lease.write_text(json.dumps(json.loads(lease.read_text()) | {"note": leaked}))
        self._stage.start("leaky", "--version", leaked)

    async def _issuer_outage(self) -> Outage:
        async def stay() -> None:
            """Do nothing of the kind."""

        assert self._reader is not None
        self._reader.send_signal(signal.SIGSTOP)
        self._stage.issuer.go_dark = stay  # type: ignore[method-assign] # that is the sabotage
        outage = await super()._issuer_outage()
        self._reader.send_signal(signal.SIGCONT)
        return outage

    async def _end_job(self) -> End:
        assert self._agent is not None
        self._agent.kill()
        return await super()._end_job()


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_demo_that_does_not_hold_says_what_did_not(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Leaks in a file that goes and in a short command, a blind job, no outage, a dead agent."""
    monkeypatch.setattr(main, "Story", Sabotaged)
    report = await play(stage, None, keep=False)
    assert not report.good
    assert report.shortcomings() == [
        f"The job looked away for more than {LONGEST_GAP_SECONDS:.0f} s.",
        "The issuer was not away, or the agent did not ask meanwhile.",
        "The agent did not end well with its job.",
        "The token file outlived its job.",
        "A refresh token was found where it must not be.",
    ]
    told = capsys.readouterr().out
    assert "refresh token, raw, in the arguments of leaky" in told
    assert "+default.json" in told
