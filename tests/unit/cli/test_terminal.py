"""What only a terminal shows: a countdown on one line, which is one line in a log, and colours."""

from __future__ import annotations

import pytest

from credbroker.cli.terminal import Colour, Countdown, has_colours, is_dumb, painted
from tests.fakes.step_clock import StepClock
from tests.unit.cli.conftest import Terminal


def test_on_a_terminal_the_line_is_rewritten_and_then_gone() -> None:
    """Each second shows what is left; the end erases it, even after ^C."""
    clock, err = StepClock(), Terminal()
    err.is_terminal = True

    def stop() -> None:
        raise KeyboardInterrupt

    clock.after(2.5, stop)
    countdown = Countdown(clock, err, clock.elapsed() + 65)
    with pytest.raises(KeyboardInterrupt), countdown:
        countdown.wait(60)
    shown = err.getvalue().split("\r\x1b[K")
    assert shown[1:] == [
        "Waiting for you, 1 min 5 s left ... ",
        "Waiting for you, 1 min 4 s left ... ",
        "Waiting for you, 1 min 3 s left ... ",
        "",
    ]
    assert countdown.left() == 62


def test_in_a_log_there_is_one_line() -> None:
    """No control characters where nobody can see them work."""
    clock, err = StepClock(), Terminal()
    with Countdown(clock, err, clock.elapsed() + 600) as countdown:
        countdown.wait(30)
    assert err.getvalue() == "Waiting for you, for 10 min at the most ...\n"


@pytest.mark.parametrize(
    ("is_terminal", "environ", "has_them"),
    [
        (True, {"TERM": "xterm-256color"}, True),
        (True, {"TERM": "xterm-256color", "NO_COLOR": ""}, True),
        (True, {"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {}, False),
        (False, {"TERM": "xterm-256color"}, False),
    ],
)
def test_colours_are_for_terminals_that_have_them_and_people_who_want_them(
    is_terminal: bool, environ: dict[str, str], has_them: bool
) -> None:
    """NO_COLOR counts when it is not empty, as its page has it."""
    out = Terminal()
    out.is_terminal = is_terminal
    assert has_colours(out, environ) is has_them


def test_a_colour_ends_with_its_text() -> None:
    """What follows is as before."""
    assert painted("ready", Colour.GREEN) == "\x1b[32mready\x1b[0m"


def test_a_terminal_that_cannot_erase_gets_one_line() -> None:
    """As in an editor's shell: what erases would stand there as rubbish, once a second."""
    clock, err = StepClock(), Terminal()
    err.is_terminal = True
    with Countdown(clock, err, clock.elapsed() + 600, is_dumb=is_dumb({"TERM": "dumb"})) as one:
        one.wait(3)
    assert err.getvalue() == "Waiting for you, for 10 min at the most ...\n"
