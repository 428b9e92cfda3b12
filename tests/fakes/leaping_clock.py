"""The machine's clock, which a test can make leap ahead. Follows `ports.Clock`.

For tests with real connections: those wait by real time, whoever sleeps by this clock is spared it.
"""

from __future__ import annotations

import asyncio
import datetime

from credbroker.host.clock import SystemClock


class LeapingClock(SystemClock):
    """Time goes by as on the machine, and by leaps."""

    def __init__(self) -> None:
        """Begin at the machine's own time."""
        super().__init__()
        self._leapt = 0.0
        self._leap = asyncio.Event()

    def now(self) -> datetime.datetime:
        """Return the wall-clock time, leaps included."""
        return super().now() + datetime.timedelta(seconds=self._leapt)

    def elapsed(self) -> float:
        """Return seconds since boot, leaps included."""
        return super().elapsed() + self._leapt

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`, or for leaps that make up for them."""
        end = self.elapsed() + seconds
        while (left := end - self.elapsed()) > 0:
            leap = self._leap
            try:
                async with asyncio.timeout(left):
                    await leap.wait()
            except TimeoutError:
                return

    def leap(self, seconds: float) -> None:
        """Let `seconds` have passed, and wake everybody who sleeps to look at the time."""
        self._leapt += seconds
        self._leap.set()
        self._leap = asyncio.Event()
