"""The demo at a quick pace: it holds, and it would see it if it did not.

Two are played side by side, since each mostly waits: the demo itself, and one whose broker has a
leak.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from credbroker.demo.main import play
from credbroker.demo.stage import Pace, Stage
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    from pathlib import Path

QUICK = Pace(access_seconds=8, outage_seconds=4.5)


class LeakyStage(Stage):
    """Everything as it should be, but that the broker's second start logs a refresh token."""

    async def start_broker(self) -> None:
        """Start the broker, and write into its log what was issued so far."""
        await super().start_broker()
        with (self.logs / "broker.log").open("a") as log:
            log.writelines(f"refreshing with {it}\n" for it in self.issuer.refresh_tokens_issued)


@pytest.mark.slow
async def test_the_demo_holds_and_a_leak_would_make_it_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job has a good token at every instant through a crash and an outage; nothing leaks."""
    stages = []
    for name, kind in (("whole", Stage), ("leaky", LeakyStage)):
        (tmp_path / name).mkdir(mode=0o700)
        stages.append(kind(tmp_path / name, SystemClock(), SystemEntropy(), QUICK))
    report_file = tmp_path / "report.json"
    good, leaky = await asyncio.gather(
        play(stages[0], report_file, keep=False), play(stages[1], None, keep=False)
    )
    said = capsys.readouterr().out
    assert good.good, said
    assert good.samples > 20 * QUICK.access_seconds
    assert good.renewals >= 5
    # The login's own token, the job's first one, one for each renewal; none was fetched for nothing.
    assert good.issuer_refreshes == good.renewals + 2
    assert good.broker_restarts == 1
    assert json.loads(report_file.read_text()) == {
        "samples": good.samples,
        "invalid_samples": 0,
        "renewals": good.renewals,
        "issuer_refreshes": good.issuer_refreshes,
        "broker_restarts": 1,
        "outage_seconds": QUICK.outage_seconds,
        "refresh_token_found_outside": 0,
        "seconds": good.seconds,
    }
    assert not leaky.good
    assert leaky.refresh_token_found_outside == 1
    assert f"refresh token, raw, in {stages[1].logs / 'broker.log'}" in said
    assert f"{stages[0].logs}" not in said
