"""The job's program as a child of its agent: started, told what the agent is told, and waited for.

Until it is started a signal ends the agent, as it would end the program. From then on the program
gets the signals, and its exit code is the agent's. What the terminal has told the program already, as
with ^C, is not told again.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from typing import TYPE_CHECKING, List, Mapping, Optional, Sequence

from credbroker.domain.errors import LocalFileUnfit
from credbroker.host.clock import SystemClock

if TYPE_CHECKING:
    from types import FrameType

PASSED_ON = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGXCPU,
)
_FROM_TERMINALS = {signal.SIGINT, signal.SIGQUIT}


class Program:
    """One program, to be started once."""

    def __init__(self, words: Sequence[str], environ: Mapping[str, str]) -> None:
        """Have `words` ready to be run, without a shell, in this environment."""
        self._words = words
        self._environ = environ
        self._child: Optional[subprocess.Popen[bytes]] = None
        self._is_starting = False
        self._early: List[int] = []

    @property
    def was_started(self) -> bool:
        """True from the moment that there is something to wait for."""
        return self._child is not None

    def start(self) -> None:
        """Start it. Raises `LocalFileUnfit` if it cannot be run."""
        self._is_starting = True
        try:
            self._child = subprocess.Popen(  # noqa: S603 - the job's own words, without a shell
                self._words, env=self._environ
            )
        except OSError as failure:
            self._is_starting = False
            raise LocalFileUnfit(
                f"The program {self._words[0]} cannot be run: {failure.strerror}."
            ) from None
        for number in self._early:
            self._tell(number)

    def is_running(self) -> bool:
        """True until it has ended, also before it is started."""
        return self._child is None or self._child.poll() is None

    def exit_code(self) -> int:
        """Wait for its end; return its exit code, or 128 and the number of the signal it died of."""
        assert self._child is not None
        code = self._child.wait()
        return code if code >= 0 else 128 - code

    def take_signals(self) -> None:
        """Pass on from now on what this process is told; what it was told to ignore stays ignored."""
        for number in PASSED_ON:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: Optional[FrameType]) -> None:
        if self._child is not None:
            self._tell(number)
        elif self._is_starting:
            self._early.append(number)
        else:
            raise SystemExit(128 + number)

    def _tell(self, number: int) -> None:
        if self.is_running() and not (number in _FROM_TERMINALS and _is_in_front()):
            assert self._child is not None
            with contextlib.suppress(OSError):  # it may run as somebody else by now
                self._child.send_signal(number)


class WakingClock(SystemClock):
    """The machine's clock, whose waits end at once when a child has ended."""

    def __init__(self) -> None:
        """Be woken from now on; only the main thread may do this, and once."""
        super().__init__()
        self._woken, waking = os.pipe()
        for end in (self._woken, waking):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def block(self, seconds: float) -> None:
        """Wait, but not beyond the end of a child."""
        if select.select([self._woken], [], [], max(0.0, seconds))[0]:
            os.read(self._woken, 512)


def _is_in_front() -> bool:
    """True if a terminal tells its keys to this process and so to its child, too."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
