"""What an agent says: one line for each event, and never the reason for its end."""

from __future__ import annotations

import errno
import io

from credbroker.edge.job.log import Log
from tests.fakes.step_clock import StepClock


def test_an_event_is_one_line_whatever_its_words() -> None:
    """Line ends and quotes from elsewhere cannot forge a second one; what is None is left out."""
    out = io.StringIO()
    Log(StepClock(), out).say("kept", why='a\n"b"', plain="c", nothing=None, times=2)
    time, _, said = out.getvalue().partition(" ")
    assert time.endswith("Z")
    assert said == 'credbroker-agent: kept why="a\\n\\"b\\"" plain=c times=2\n'


def test_no_server_fills_the_log() -> None:
    """What one says in an error is cut."""
    out = io.StringIO()
    Log(StepClock(), out).say("kept", why="x" * 1_000_000)
    assert len(out.getvalue()) < 2_000


def test_a_line_that_cannot_be_written_is_lost_and_nothing_else() -> None:
    """Because the disk is full, or there is no standard error."""

    class FullDisk(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    closed = io.StringIO()
    closed.close()
    for out in (FullDisk(), closed, None):
        Log(StepClock(), out).say("kept")
