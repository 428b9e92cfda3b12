"""The demo at a quick pace: it holds, and it would see it if it did not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from credbroker.demo.main import play
from credbroker.demo.stage import Pace, Stage
from credbroker.demo.story import Story
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    from pathlib import Path

QUICK = Pace(access_seconds=8, outage_seconds=4.5)


@pytest.mark.slow
async def test_the_demo_holds_and_a_leak_would_make_it_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job has a good token at every instant through a crash and an outage; nothing leaks."""
    (tmp_path / "stage").mkdir(mode=0o700)
    stage = Stage(tmp_path / "stage", SystemClock(), SystemEntropy(), QUICK)
    report = await play(stage, tmp_path / "report.json", keep=False)
    assert report.good, capsys.readouterr().out
    assert report.samples > 20 * QUICK.access_seconds
    assert report.renewals >= 5
    # One for the person, one for the job's first token and for each renewal; none for nothing.
    assert report.issuer_refreshes == report.renewals + 2
    assert json.loads((tmp_path / "report.json").read_text()) == {
        "samples": report.samples,
        "invalid_samples": 0,
        "renewals": report.renewals,
        "issuer_refreshes": report.issuer_refreshes,
        "broker_restarts": 1,
        "outage_seconds": QUICK.outage_seconds,
        "refresh_token_found_outside": 0,
        "seconds": report.seconds,
    }

    leak = stage.logs / "broker.log"
    with leak.open("a") as log:
        log.write(f"refreshing with {stage.issuer.refresh_tokens_issued[-1]}\n")
    told: list[str] = []
    assert Story(stage, told.append).search() == 1
    assert told == [f"  refresh token, raw, in {leak}"]
