"""The machine's clock, in the one place that reads it.

Two kinds of time live here. `now()` is the wall clock, which people and tokens speak and which may
jump. `elapsed()` counts seconds since boot, sleep of the machine included, and never jumps: every
time-out and deadline is measured with it.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False  # what mypy takes for the one in typing, which takes longer to load than this
if TYPE_CHECKING:
    import datetime


class SystemClock:
    """Time as this machine has it. Follows `ports.Clock`."""

    def __init__(self, offset_seconds: float = 0.0) -> None:
        """Shift the wall clock by `offset_seconds`, for trying out a replica whose clock is off."""
        self._offset_seconds = offset_seconds

    def now(self) -> datetime.datetime:
        """Return the wall-clock time, aware, in UTC."""
        import datetime  # who only needs seconds starts quicker without it

        if not self._offset_seconds:
            return datetime.datetime.now(datetime.timezone.utc)  # in half the time
        return datetime.datetime.fromtimestamp(self.seconds(), datetime.timezone.utc)

    def seconds(self) -> float:
        """Return the wall-clock time in seconds since 1970."""
        return time.time() + self._offset_seconds

    def elapsed(self) -> float:
        """Return seconds since boot; counts time asleep too, and never goes back."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        """Wait, letting other tasks run."""
        import asyncio  # one-shot commands, which only read the time, start quicker without it

        await asyncio.sleep(max(0.0, seconds))

    def block(self, seconds: float) -> None:
        """Wait without an event loop, for one-shot commands and the agent."""
        time.sleep(max(0.0, seconds))
