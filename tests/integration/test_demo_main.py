"""The demo's command: where its report goes is settled before anything starts; its end is not broken off."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from credbroker.demo import main
from credbroker.demo.stage import StageError
from credbroker.domain.errors import LocalFileUnfit
from credbroker.host.clock import SystemClock
from tests.unit.demo.test_report import GOOD

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_folder_is_left_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo that fails keeps its folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def asked(*arguments: str) -> argparse.Namespace:
    """Parse the demo's options."""
    parser = argparse.ArgumentParser()
    main.add_arguments(parser)
    return parser.parse_args(arguments)


def test_a_report_that_cannot_be_written_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after more than a minute."""
    monkeypatch.setattr(main, "Stage", None)
    with pytest.raises(LocalFileUnfit, match=r"report\.json cannot be written"):
        main.run(asked("--report", str(tmp_path / "nowhere" / "report.json")))


def test_a_report_of_an_earlier_run_does_not_outlive_a_run_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finds a report there finds that of the last run."""
    (tmp_path / "report.json").write_text(GOOD.as_json())

    def fail(*_: object) -> None:
        raise StageError("OpenBao did not start.")

    monkeypatch.setattr(main, "Stage", fail)
    assert main.run(asked("--report", str(tmp_path / "report.json"))) == 1
    assert not (tmp_path / "report.json").exists()


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_and_no_further_one_breaks_that_off(
    monkeypatch: pytest.MonkeyPatch, first: signal.Signals
) -> None:
    """Nor does a terminal that was closed leave anything running."""
    ended: list[bool] = []

    class Slow:
        """A stage that takes its time to end, while somebody is impatient."""

        def __init__(self, *_: object) -> None:
            self.clock = SystemClock()

        async def close(self) -> None:
            for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(os.getpid(), name)
                await self.clock.sleep(0.01)
            ended.append(True)

    class Endless:
        """A story without an end."""

        def __init__(self, *_: object) -> None:
            pass

        async def play(self, **_: Any) -> None:
            os.kill(os.getpid(), first)
            await asyncio.Event().wait()

    monkeypatch.setattr(main, "Stage", Slow)
    monkeypatch.setattr(main, "Story", Endless)
    with pytest.raises(KeyboardInterrupt):
        main.run(asked())
    assert ended == [True]
