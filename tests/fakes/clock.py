"""A clock that moves only when a test says so. Follows `ports.Clock`."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Generator

# Enough for the longest chain of wake-ups between two waits for time.
_TURNS = 40


class _Turn:
    """Lets every other task that can run do one step."""

    def __await__(self) -> Generator[None, None, None]:
        yield


async def turns(count: int = _TURNS) -> None:
    """Let other tasks run until, in all likelihood, each waits for time or for a test."""
    for _ in range(count):
        await _Turn()


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
        sleeper = (self._elapsed + seconds, woken)
        self._sleepers.append(sleeper)
        try:
            await woken.wait()
        finally:
            self._sleepers = [one for one in self._sleepers if one is not sleeper]

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass and wake who is due."""
        self._now += datetime.timedelta(seconds=seconds)
        self._elapsed += seconds
        for end, woken in self._sleepers:
            if end <= self._elapsed:
                woken.set()
        self._sleepers = [one for one in self._sleepers if one[0] > self._elapsed]

    async def until_somebody_sleeps(self) -> None:
        """Return once a task waits for this clock."""
        while not self._sleepers:
            await _Turn()

    async def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass, from one sleeper's end to the next, each doing its work in between."""
        end = self._elapsed + seconds
        await turns()
        while due := [at for at, _ in self._sleepers if at <= end]:
            self.advance(max(0.0, min(due) - self._elapsed))
            await turns()
        self.advance(max(0.0, end - self._elapsed))
        await turns()
