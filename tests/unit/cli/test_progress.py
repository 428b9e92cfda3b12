"""What takes longer than a second is told, on a terminal, and leaves nothing there."""

from __future__ import annotations

import threading

import pytest

from credbroker.cli.progress import progress
from tests.unit.cli.conftest import Terminal

LINES = ["Waiting for x, 1 s ... ", "Waiting for x, 2 s ... ", ""]


class Ticks:
    """Lets so many seconds pass, and then waits for the end in earnest."""

    def __init__(self, seconds: int) -> None:
        self.left = seconds
        self.passed = threading.Event()

    def wait(self, over: threading.Event, _: float) -> bool:
        """Pass a second, or wait."""
        if self.left:
            self.left -= 1
            return False
        self.passed.set()
        return over.wait()


def test_a_long_wait_is_told_each_second_and_then_forgotten() -> None:
    """The line is gone at the end, also of a wait that failed."""
    for error in (None, OSError("Away.")):
        err, ticks = Terminal(), Ticks(2)
        err.is_terminal = True
        try:
            with progress(err, "Waiting for x,", ticks.wait):
                ticks.passed.wait()
                if error is not None:
                    raise error
        except OSError:
            assert error is not None
        assert err.getvalue().split("\r\x1b[K")[1:] == LINES


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_short_wait_and_a_log_hear_nothing(is_terminal: bool) -> None:
    """Not even what would erase a line."""
    err = Terminal()
    err.is_terminal = is_terminal
    with progress(err, "Waiting for x,", Ticks(0 if is_terminal else 2).wait):
        pass
    assert err.getvalue() == ""


def test_a_terminal_that_is_gone_stops_nobody() -> None:
    """The answer may be for a file."""

    class Gone(Terminal):
        def write(self, _: str) -> int:
            raise OSError("Input/output error")

    err, ticks = Gone(), Ticks(1)
    err.is_terminal = True
    with progress(err, "Waiting for x,", ticks.wait):
        pass
