"""A clock that moves only when a test says so. Follows `ports.Clock`."""

from __future__ import annotations

import asyncio
import datetime


class FakeClock:
    """Time as a test sets it; a sleeper wakes when `advance` passes its end."""

    def __init__(self, start: datetime.datetime | None = None) -> None:
        """Begin at `start`, by default at noon UTC on 1 June 2026, 1000 s after boot."""
        self._now = start or datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
        self._elapsed = 1000.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def now(self) -> datetime.datetime:
        """Return the time the test set, aware, in UTC."""
        return self._now

    def elapsed(self) -> float:
        """Return seconds since a made-up boot."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until the test has advanced the clock by `seconds`."""
        woken = asyncio.Event()
        self._sleepers.append((self._elapsed + seconds, woken))
        await woken.wait()

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass and wake who is due."""
        self._now += datetime.timedelta(seconds=seconds)
        self._elapsed += seconds
        for end, woken in self._sleepers:
            if end <= self._elapsed:
                woken.set()
        self._sleepers = [one for one in self._sleepers if one[0] > self._elapsed]
