"""When Vault last came back, as this process saw it.

While it was away a successor may have gone to a spool instead. So for a while after an outage nobody
calls an old claim left behind: the spools are handed in first. A process that has just started
cannot know, and counts as if an outage had ended right then.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Generic, TypeVar

from credbroker.domain.errors import StoreUnavailable
from credbroker.ports import Clock, RecordStore, StaleVersionError, Stored

T = TypeVar("T")
R = TypeVar("R")

OUTAGE_SECONDS = 1.0


class Outages:
    """What came of every call to Vault says whether it is away.

    One call that fails is no outage: it takes failures over a second with no answer in between.
    """

    def __init__(self, clock: Clock) -> None:
        """Begin as if an outage had ended just now."""
        self._clock = clock
        self._ended_at = clock.elapsed()
        self._failing_since: float | None = None
        self._away = False

    @property
    def lasting(self) -> bool:
        """True while Vault is away."""
        return self._away

    def answered(self) -> None:
        """Note that Vault did what it was asked."""
        self._failing_since = None
        if self._away:
            self._away, self._ended_at = False, self._clock.elapsed()

    def failed(self) -> None:
        """Note that Vault did not answer, or could not serve."""
        now = self._clock.elapsed()
        if self._failing_since is None:
            self._failing_since = now
        self._away = self._away or now - self._failing_since >= OUTAGE_SECONDS

    def seconds_since(self) -> float:
        """Return the seconds since the last outage ended; 0 while one lasts."""
        return 0.0 if self._away else self._clock.elapsed() - self._ended_at


class Watched(Generic[T]):
    """Records whose every call is noted in `outages`. Follows `ports.RecordStore`."""

    def __init__(self, records: RecordStore[T], outages: Outages) -> None:
        """Watch the calls to `records`."""
        self._records = records
        self.outages = outages

    async def get(self, segment: str) -> Stored[T] | None:
        """Return the newest version; see `ports.RecordStore.get`."""
        return await self._noted(self._records.get(segment))

    async def put(self, segment: str, value: T, expected_version: int) -> int:
        """Write by check-and-set; see `ports.RecordStore.put`."""
        return await self._noted(self._records.put(segment, value, expected_version))

    async def segments(self, after: str = "", limit: int = 5000) -> list[str]:
        """Return the segments that have records; see `ports.RecordStore.segments`."""
        return await self._noted(self._records.segments(after, limit))

    async def _noted(self, call: Awaitable[R]) -> R:
        try:
            result = await call
        except StaleVersionError:
            self.outages.answered()
            raise
        except StoreUnavailable:
            self.outages.failed()
            raise
        self.outages.answered()
        return result
