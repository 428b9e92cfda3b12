"""Remembers records for a few seconds, so that the steady state asks the store for nothing twice.

A record is read again after `FRESH_SECONDS`; that bounds how long a revocation can go unnoticed.
While the store does not answer, the last known record is returned, marked as not fresh: good enough
to hand on tokens that are already held, not to fetch new ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from credbroker.domain.errors import StoreUnavailable
from credbroker.ports import Clock, RecordStore

T = TypeVar("T")

FRESH_SECONDS = 5.0
KEPT_SECONDS = 3600.0
ROOM = 20_000


@dataclass(frozen=True, slots=True)
class Recalled(Generic[T]):
    """A record as last read; `fresh` if it was asked for within `FRESH_SECONDS`."""

    value: T | None
    fresh: bool


class Recall(Generic[T]):
    """Reads records through a short memory."""

    def __init__(self, records: RecordStore[T], clock: Clock, *, room: int = ROOM) -> None:
        """Remember what `records` says; above `room` records, what nobody asks for is let go."""
        self._records = records
        self._clock = clock
        self._room = self._full = room
        self._known: dict[str, tuple[T | None, float]] = {}

    async def get(self, segment: str) -> Recalled[T]:
        """Return the record; raise `StoreUnavailable` if it is not known and cannot be read."""
        now = self._clock.elapsed()
        known = self._known.get(segment)
        if known is not None and now - known[1] < FRESH_SECONDS:
            return Recalled(known[0], fresh=True)
        try:
            stored = await self._records.get(segment)
        except StoreUnavailable:
            if known is None or known[0] is None:
                raise
            return Recalled(known[0], fresh=False)
        meanwhile = self._known.get(segment)
        if meanwhile is not None and meanwhile is not known:
            # Learnt while the answer was on its way: a logout must not be undone by an old read.
            return Recalled(meanwhile[0], fresh=True)
        value = stored.value if stored is not None else None
        self._keep(segment, value, now)
        return Recalled(value, fresh=True)

    def learn(self, segment: str, value: T | None) -> None:
        """Remember what was just written."""
        self._keep(segment, value, self._clock.elapsed())

    def _keep(self, segment: str, value: T | None, at: float) -> None:
        if len(self._known) >= self._full:
            self._forget_old()
        self._known[segment] = (value, at)

    def _forget_old(self) -> None:
        """Make room: unknown ones first, then what nobody asked about for long."""
        now = self._clock.elapsed()
        self._known = {
            segment: (value, at)
            for segment, (value, at) in self._known.items()
            if now - at < (KEPT_SECONDS if value is not None else FRESH_SECONDS)
        }
        # Looking through all of them must stay rare however many are in use.
        self._full = max(self._room, 2 * len(self._known))
