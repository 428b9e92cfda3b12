"""A process that can be stopped and that takes its time: its ports, as `kill -STOP` leaves them.

While a process is stopped none of its calls returns, though what it asked for may well be done. A
process that is killed is one that is never let go on. How long each call takes is drawn from a
seed, so that two processes meet in another order with each seed and in the same one with the same.
"""

from __future__ import annotations

import asyncio
import datetime
import random  # noqa: TID251 - seeded: the same order in every run
from collections import Counter, defaultdict
from collections.abc import Awaitable, Mapping
from typing import Any, Generic, TypeVar

from credbroker.domain.attenuation import Right
from credbroker.domain.grants import Grant
from credbroker.domain.outcomes import NotActedOn, Outcome
from credbroker.domain.secret import Secret
from credbroker.ports import BeforeFirstByte, Clock, Spool, Stored
from tests.fakes.clock import FakeClock
from tests.fakes.issuer import FakeIssuer
from tests.fakes.store import MemoryRecords

T = TypeVar("T")

PAUSES = (0.0, 0.0, 0.1, 0.4, 1.1)


class Stall:
    """Stops one process and lets it go on."""

    def __init__(self, clock: FakeClock, seed: int | None = None) -> None:
        """Let each call take a time that `seed` decides; without one, none."""
        self._clock = clock
        self._chance = random.Random(seed) if seed is not None else None
        self._going = asyncio.Event()
        self._going.set()

    @property
    def stopped(self) -> bool:
        """True while nothing goes on."""
        return not self._going.is_set()

    def stop(self) -> None:
        """Let no call return any more."""
        self._going.clear()

    def go_on(self) -> None:
        """Let the calls return that are over by now."""
        self._going.set()

    async def going(self) -> None:
        """Return once this process runs."""
        await self._going.wait()

    async def through(self, call: Awaitable[T]) -> T:
        """Return what the call does, once this process runs."""
        await self._take_time()
        try:
            result = await call
        except Exception:
            await self._come_back()
            raise
        await self._come_back()
        return result

    async def _come_back(self) -> None:
        await self._take_time()
        await self._going.wait()

    async def _take_time(self) -> None:
        pause = self._chance.choice(PAUSES) if self._chance is not None else 0.0
        if pause:
            await self._clock.sleep(pause)


class StalledClock:
    """This process's view of time: its wall clock is `offset` seconds off. Follows `ports.Clock`."""

    def __init__(self, clock: Clock, stall: Stall, offset: float) -> None:
        self._clock = clock
        self._stall = stall
        self._offset = datetime.timedelta(seconds=offset)

    def now(self) -> datetime.datetime:
        return self._clock.now() + self._offset

    def elapsed(self) -> float:
        return self._clock.elapsed()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        await self._stall.going()


class StalledRecords(Generic[T]):
    """Follows `ports.RecordStore`."""

    def __init__(self, records: MemoryRecords[T], stall: Stall) -> None:
        self._records = records
        self._stall = stall

    async def get(self, segment: str) -> Stored[T] | None:
        return await self._stall.through(self._records.get(segment))

    async def put(self, segment: str, value: T, expected_version: int) -> int:
        return await self._stall.through(self._records.put(segment, value, expected_version))

    async def segments(self, after: str = "", limit: int = 5000) -> list[str]:
        return await self._stall.through(self._records.segments(after, limit))

    async def remove(self, segment: str) -> None:
        await self._stall.through(self._records.remove(segment))


class StalledSpool:
    """Follows `ports.Spool`."""

    def __init__(self, spool: Spool, stall: Stall) -> None:
        self._spool = spool
        self._stall = stall

    async def keep(self, grant: Grant) -> str:
        return await self._stall.through(self._spool.keep(grant))

    async def drop(self, entry: str) -> None:
        await self._stall.through(self._spool.drop(entry))

    async def left(self) -> Mapping[str, Grant]:
        return await self._stall.through(self._spool.left())


class Posts:
    """What an outsider counts at the issuer's door."""

    def __init__(self) -> None:
        self.at: dict[str, list[float]] = defaultdict(list)
        self.proved_idle: Counter[str] = Counter()

    def open_ones(self, value: str) -> int:
        """Return how many posts of a value there were that no answer proved to have done nothing."""
        return len(self.at[value]) - self.proved_idle[value]


class StalledIssuer:
    """The issuer as one process reaches it. Follows `ports.Issuer`."""

    def __init__(self, issuer: FakeIssuer, stall: Stall, posts: Posts, clock: Clock) -> None:
        self._issuer = issuer
        self._stall = stall
        self._posts = posts
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._issuer, name)

    async def refresh(
        self,
        refresh_token: Secret,
        right: Right,
        before_first_byte: BeforeFirstByte,
        *,
        seconds: float,
    ) -> Outcome:
        value = refresh_token.reveal()

        async def first_byte() -> None:
            await before_first_byte()
            self._posts.at[value].append(self._clock.elapsed())

        async def counted() -> Outcome:
            outcome = await self._issuer.refresh(refresh_token, right, first_byte, seconds=seconds)
            if isinstance(outcome, NotActedOn):
                self._posts.proved_idle[value] += 1
            return outcome

        return await self._stall.through(counted())
