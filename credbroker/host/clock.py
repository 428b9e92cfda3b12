"""The machine's clock, in the one place that reads it.

Two kinds of time live here. `now()` is the wall clock, which people and tokens speak and which may
jump. `elapsed()` counts seconds since boot, sleep of the machine included, and never jumps: every
time-out and deadline is measured with it.
"""

from __future__ import annotations

import datetime
import time


class SystemClock:
    """Time as this machine has it. Follows `ports.Clock`."""

    def __init__(self, offset_seconds: float = 0.0) -> None:
        """Shift the wall clock by `offset_seconds`, for trying out a replica whose clock is off."""
        self._offset = datetime.timedelta(seconds=offset_seconds)

    def now(self) -> datetime.datetime:
        """Return the wall-clock time, aware, in UTC."""
        return datetime.datetime.now(datetime.timezone.utc) + self._offset

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
