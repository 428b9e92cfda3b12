"""Records in memory that fail when a test says so. Follows `ports.RecordStore`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from credbroker.ports import Clock, StaleVersionError, Stored
from tests.fakes.clock import turns

T = TypeVar("T")

Call = Literal["get", "put", "segments", "remove"]


@dataclass(frozen=True, eq=False)
class _Failure:
    error: Exception
    acted: bool
    on: Call | None


class MemoryRecords(Generic[T]):
    """The newest version of each record, what was written before it, and failures to come."""

    def __init__(self, clock: Clock | None = None) -> None:
        """Tell ages by `clock`; without one every record is new.

        With `put_seconds` above 0 a write takes so long before it is taken, and again after; with
        `get_seconds` above 0 a reading takes so long.
        """
        self._clock = clock
        self.put_seconds = 0.0
        self.get_seconds = 0.0
        self._newest: dict[str, tuple[T, int, float]] = {}
        self._failures: list[_Failure] = []
        self._delaying: Exception | None = None
        self._delayed: tuple[str, T, int] | None = None
        self.history: list[T] = []
        self.reads = 0

    def fail_next(self, error: Exception, *, acted: bool = False, on: Call | None = None) -> None:
        """Raise `error` at the next call (of kind `on`), after acting if `acted`; may be queued."""
        self._failures.append(_Failure(error, acted, on))

    def delay_next_put(self, error: Exception) -> None:
        """Answer the next write with `error` and take it only when `land` is called."""
        self._delaying = error

    async def land(self) -> None:
        """Take the write that was on its way; raises `StaleVersionError` if it comes too late."""
        assert self._delayed is not None, "no write is on its way"
        segment, value, expected_version = self._delayed
        self._delayed = None
        await self.put(segment, value, expected_version)

    def mend(self) -> None:
        """Forget the failures that are still to come."""
        self._failures.clear()

    def newest(self, segment: str) -> T:
        """Return the record without counting as a read."""
        return self._newest[segment][0]

    async def get(self, segment: str) -> Stored[T] | None:
        """Return the newest version; see `ports.RecordStore.get`."""
        self.reads += 1
        await turns(1)
        if self._clock is not None and self.get_seconds:
            await self._clock.sleep(self.get_seconds)
        if (failure := self._due("get")) is not None:
            raise failure.error
        found = self._newest.get(segment)
        return None if found is None else Stored(found[0], found[1], self._seconds() - found[2])

    async def put(self, segment: str, value: T, expected_version: int) -> int:
        """Write by check-and-set; see `ports.RecordStore.put`."""
        await self._on_the_way()
        if (delaying := self._delaying) is not None:
            self._delaying, self._delayed = None, (segment, value, expected_version)
            raise delaying
        failure = self._due("put")
        if failure is not None and not failure.acted:
            raise failure.error
        _, version, _ = self._newest.get(segment, (None, 0, 0.0))
        if version != expected_version:
            raise StaleVersionError
        self._newest[segment] = (value, version + 1, self._seconds())
        self.history.append(value)
        await self._on_the_way()
        if failure is not None:
            raise failure.error
        return version + 1

    async def segments(self, after: str = "", limit: int = 5000) -> list[str]:
        """Return the segments that have records; see `ports.RecordStore.segments`."""
        await turns(1)
        if (failure := self._due("segments")) is not None:
            raise failure.error
        return sorted(segment for segment in self._newest if segment > after)[:limit]

    async def remove(self, segment: str) -> None:
        """Delete a record; see `broker.keeper.clearing.Clearable.remove`."""
        await turns(1)
        if (failure := self._due("remove")) is not None:
            raise failure.error
        self._newest.pop(segment, None)

    async def _on_the_way(self) -> None:
        await turns(1)
        if self._clock is not None and self.put_seconds:
            await self._clock.sleep(self.put_seconds)

    def _due(self, call: Call) -> _Failure | None:
        failure = next((one for one in self._failures if one.on in {None, call}), None)
        if failure is not None:
            self._failures.remove(failure)
        return failure

    def _seconds(self) -> float:
        return self._clock.elapsed() if self._clock is not None else 0.0
