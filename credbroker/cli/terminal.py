"""Says how long a person still has: one line, rewritten each second on a terminal.

Where standard error is no terminal, one line at the start is all there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO, Type

from credbroker.cli.durations import spoken

if TYPE_CHECKING:
    from types import TracebackType

    from credbroker.client.blocking import BlockingClock

_ERASE_LINE = "\r\x1b[K"
_TICK_SECONDS = 1.0


class Countdown:
    """Waits until a deadline, showing what is left; the line is gone when it ends."""

    def __init__(self, clock: BlockingClock, err: TextIO, deadline: float) -> None:
        """Count down to `deadline`, in seconds since boot."""
        self._clock = clock
        self._err = err
        self._deadline = deadline
        self._rewrites = err.isatty()

    def __enter__(self) -> Countdown:
        if not self._rewrites:
            self._err.write(f"Waiting for you, for {spoken(self.left())} at the most ...\n")
            self._err.flush()
        return self

    def __exit__(
        self,
        kind: Type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._rewrites:
            self._err.write(_ERASE_LINE)
            self._err.flush()

    def left(self) -> float:
        """Return how many seconds are left; negative when it is over."""
        return self._deadline - self._clock.elapsed()

    def wait(self, seconds: float) -> None:
        """Wait, keeping the line up to date."""
        end = self._clock.elapsed() + seconds
        while self._clock.elapsed() < end:
            if self._rewrites:
                self._err.write(f"{_ERASE_LINE}Waiting for you, {spoken(self.left())} left ... ")
                self._err.flush()
            self._clock.block(min(_TICK_SECONDS, end - self._clock.elapsed()))
