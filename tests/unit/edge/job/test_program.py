"""The job's program: started once, told what its agent is told, and its end is the agent's."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from credbroker.domain.errors import LocalFileUnfit
from credbroker.edge.job import program as module
from credbroker.edge.job.program import Program, WakingClock

pytestmark = pytest.mark.usefixtures("signals_as_before")

ENDS_SOON = 20.0
ON_TERM = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("ready", flush=True)
signal.pause()
"""


def python(code: str) -> Program:
    """Return a program that runs this code."""
    return Program([sys.executable, "-I", "-S", "-c", code], dict(os.environ))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("", 0),
        ("import sys; sys.exit(42)", 42),
        ("import os; os.kill(os.getpid(), 9)", 137),
        ("import os; os.kill(os.getpid(), 15)", 143),
    ],
)
def test_its_exit_code_is_that_of_a_shell(code: str, expected: int) -> None:
    """A signal's number comes on top of 128."""
    run = python(code)
    assert (run.was_started, run.is_running()) == (False, True)
    run.start()
    assert run.exit_code() == expected
    assert (run.was_started, run.is_running()) == (True, False)


def test_it_finds_the_environment_that_it_is_given(capfd: pytest.CaptureFixture[str]) -> None:
    """And no shell in between."""
    run = Program(["/bin/echo", "$HOME", "a b"], {})
    run.start()
    assert run.exit_code() == 0
    assert capfd.readouterr().out == "$HOME a b\n"


def test_what_cannot_be_run_is_said_in_words() -> None:
    """With its name."""
    run = Program(["/nowhere/analysis"], {})
    with pytest.raises(LocalFileUnfit, match=r"/nowhere/analysis cannot be run: No such file"):
        run.start()
    assert not run.was_started


def test_a_signal_goes_to_the_program(capfd: pytest.CaptureFixture[str]) -> None:
    """It decides itself what to do; the wait for it ends at once."""
    run, clock = python(ON_TERM), WakingClock()
    run.take_signals()
    run.start()
    ends = clock.elapsed() + ENDS_SOON
    while "ready" not in capfd.readouterr().out and clock.elapsed() < ends:
        clock.block(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
    while run.is_running() and clock.elapsed() < ends:
        clock.block(ENDS_SOON)
    assert clock.elapsed() < ends
    assert run.exit_code() == 7
    os.kill(os.getpid(), signal.SIGUSR1)  # there is nobody left to tell


def test_before_it_is_started_a_signal_ends_the_agent() -> None:
    """With the exit code that the program would have had."""
    run = python("")
    run.take_signals()
    with pytest.raises(SystemExit) as left:
        os.kill(os.getpid(), signal.SIGHUP)
    assert left.value.code == 129


def test_what_was_told_to_be_ignored_stays_ignored() -> None:
    """As by nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    python("").take_signals()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_what_a_terminal_has_told_the_program_is_not_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second ^C makes many programs end in a hurry."""
    monkeypatch.setattr(module, "_is_in_front", lambda: True)
    run = python("import time; time.sleep(60)")
    run.take_signals()
    run.start()
    os.kill(os.getpid(), signal.SIGINT)
    assert run.is_running()
    os.kill(os.getpid(), signal.SIGTERM)
    assert run.exit_code() == 143


def test_a_wait_ends_when_a_child_does() -> None:
    """Not a second later."""
    clock = WakingClock()
    run = python("")
    run.start()
    begun = clock.elapsed()
    clock.block(ENDS_SOON)
    assert clock.elapsed() - begun < ENDS_SOON
    assert run.exit_code() == 0
    clock.block(0.0)


def test_a_notice_that_time_is_nearly_up_goes_to_the_program() -> None:
    """Batch systems send it before they end a job; the agent must not die of it."""
    run = python("import time; time.sleep(60)")
    run.take_signals()
    run.start()
    os.kill(os.getpid(), signal.SIGXCPU)
    assert run.exit_code() == 128 + signal.SIGXCPU


def test_a_program_that_may_not_be_told_costs_the_agent_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It runs as somebody else, by sudo say."""
    run = python("import sys; sys.stdin.read()")
    run.take_signals()
    run.start()
    tell = run._child.send_signal  # type: ignore[union-attr] # it was started

    def refuse(_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(run._child, "send_signal", refuse)
    os.kill(os.getpid(), signal.SIGTERM)
    tell(signal.SIGKILL)
    assert run.exit_code() == 137
