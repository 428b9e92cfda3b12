"""The credmon's log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credbroker.domain.errors import LocalFileUnfit
from credbroker.edge.condor.log import Log
from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path


def test_an_event_is_a_line_with_its_fields(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Foreign text cannot make lines of its own; what is None is left out."""
    log = Log(FakeClock(), tmp_path / "log", to_stderr=True)
    log.say("no new token", user="alice", why="a\nb", do=None)
    log.close()
    line = '2026-06-01T12:00:00Z credbroker-credmon: no new token user=alice why="a\\nb"\n'
    assert (tmp_path / "log").read_text() == line
    assert capsys.readouterr().err == line


def test_a_log_that_was_rotated_away_is_opened_anew(tmp_path: Path) -> None:
    """And where it cannot be, the old one goes on."""
    log = Log(FakeClock(), tmp_path / "log")
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.reopen(tmp_path / "log")
    log.say("new")
    assert "new" in (tmp_path / "log").read_text()
    log.reopen(tmp_path / "nowhere" / "log")
    log.close()
    assert "stays where it was" in (tmp_path / "log").read_text()


def test_a_log_that_cannot_be_had_is_refused_and_no_link_is_written_through(tmp_path: Path) -> None:
    """HTCondor's folder of logs is HTCondor's account's."""
    (tmp_path / "log").symlink_to(tmp_path / "target")
    with pytest.raises(LocalFileUnfit, match="cannot be opened"):
        Log(FakeClock(), tmp_path / "log")
    assert not (tmp_path / "target").exists()


def test_no_server_fills_the_log(tmp_path: Path) -> None:
    """What one says in an error is cut: a user may have named a server of their own."""
    log = Log(FakeClock(), tmp_path / "log")
    log.say("no new token", why="x" * 1_000_000)
    log.close()
    assert (tmp_path / "log").stat().st_size < 2_000
