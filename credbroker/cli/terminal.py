"""What only a terminal shows: colours, and a countdown, one line that is rewritten each second.

Where standard error is no terminal, or one that erases nothing, one line at the start is all there is
of the countdown. Colours are only where the terminal has them and the person did not ask for none (`NO_COLOR`).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Mapping, TextIO, Type

from credbroker.cli.durations import spoken

if TYPE_CHECKING:
    from types import TracebackType

    from credbroker.client.blocking import BlockingClock

ERASE_LINE = "\r\x1b[K"
_TICK_SECONDS = 1.0
_PLAIN = "\x1b[0m"


class Colour(enum.Enum):
    """How something is set off, by the number that terminals have for it (ECMA-48 section 8.3.117)."""

    BOLD = 1
    RED = 31
    GREEN = 32
    YELLOW = 33


def is_dumb(environ: Mapping[str, str]) -> bool:
    """True for a terminal that only goes on writing, as an editor's shell; by its name in TERM."""
    return environ.get("TERM", "dumb") == "dumb"


def has_colours(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """True if `stream` is a terminal with colours, and its person wants them."""
    return not environ.get("NO_COLOR") and not is_dumb(environ) and stream.isatty()


def painted(text: str, colour: Colour) -> str:
    """Return `text` in a colour."""
    return f"\x1b[{colour.value}m{text}{_PLAIN}"


class Countdown:
    """Waits until a deadline, showing what is left; the line is gone when it ends."""

    def __init__(
        self, clock: BlockingClock, err: TextIO, deadline: float, *, is_dumb: bool = False
    ) -> None:
        """Count down to `deadline`, in seconds since boot, on a terminal that may be dumb."""
        self._clock = clock
        self._err = err
        self._deadline = deadline
        self._rewrites = err.isatty() and not is_dumb

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
            self._err.write(ERASE_LINE)
            self._err.flush()

    def left(self) -> float:
        """Return how many seconds are left; negative when it is over."""
        return self._deadline - self._clock.elapsed()

    def wait(self, seconds: float) -> None:
        """Wait, keeping the line up to date."""
        end = self._clock.elapsed() + seconds
        while self._clock.elapsed() < end:
            if self._rewrites:
                self._err.write(f"{ERASE_LINE}Waiting for you, {spoken(self.left())} left ... ")
                self._err.flush()
            self._clock.block(min(_TICK_SECONDS, end - self._clock.elapsed()))
