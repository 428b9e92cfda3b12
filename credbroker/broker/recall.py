"""Remembers records for a few seconds, so that the steady state asks the store for nothing twice.

A record is read again after `FRESH_SECONDS`; that bounds how long a change can go unnoticed. Where
word comes of what changes, as it does of leases and grants, it is kept until then.
While the store is silent or refuses, the last known record is returned, marked as not fresh: good
enough to hand on tokens that are already held, not to fetch new ones. Nobody who asks for a known
record waits for a silent store longer than `PATIENCE_SECONDS`, and then not for every record again;
who can do nothing without the store's word waits until it must be answered itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from credbroker.broker.running import Deeds
from credbroker.broker.storing import answered
from credbroker.domain.errors import RecordDamaged, StoreMisconfigured, StoreUnavailable
from credbroker.ports import Clock, RecordStore

T = TypeVar("T")

# Callers such as htgettoken give up after 10 s; they are answered before.
ANSWER_SECONDS = 9.0
FRESH_SECONDS = 5.0
UNKNOWN_SECONDS = 30.0
PATIENCE_SECONDS = 1.5
KEPT_SECONDS = 3600.0
ROOM = 20_000

_IN_DOUBT = float("-inf")
"""When a record was read that nobody may go by."""


@dataclass(frozen=True, slots=True)
class Recalled(Generic[T]):
    """A record as last read; `fresh` if that is new enough to go by."""

    value: T | None
    fresh: bool


class Recall(Generic[T]):
    """Reads records through a short memory."""

    def __init__(
        self,
        records: RecordStore[T],
        clock: Clock,
        *,
        room: int = ROOM,
        fresh_seconds: float = FRESH_SECONDS,
    ) -> None:
        """Remember what `records` says; above `room` records, what nobody asks for is let go.

        What is known is good for `fresh_seconds`, or until `drop` or `doubt` says otherwise.
        """
        self._records = records
        self._clock = clock
        self._fresh_seconds = fresh_seconds
        self._deeds = Deeds(clock)
        self._room = self._full = room
        self._known: dict[str, tuple[T | None, float]] = {}
        self._changing_until: dict[str, float] = {}
        self._silent_until = float("-inf")

    async def get(
        self, segment: str, seconds: float = ANSWER_SECONDS, *, oldest: float = float("inf")
    ) -> Recalled[T]:
        """Return the record; raise what the store raises if it is not known and cannot be read.

        One that is not known is waited for up to `seconds`; one that was read more than `oldest`
        seconds ago is read again. A damaged record is refused even if an earlier version is known.
        """
        value, fresh = self._remembered(segment, oldest)
        if fresh:
            return Recalled(value, fresh=True)
        if value is None:
            return Recalled(await self._read_within(segment, seconds), fresh=True)
        if self._clock.elapsed() < self._silent_until:
            return Recalled(value, fresh=False)
        try:
            read = await self._read_within(segment, min(seconds, PATIENCE_SECONDS))
            return Recalled(read, fresh=True)
        except RecordDamaged:
            raise
        except (StoreUnavailable, StoreMisconfigured):
            self._silent_until = self._clock.elapsed() + FRESH_SECONDS
            value, _ = self._remembered(segment)
            if value is None:
                raise  # dropped while the store was waited for
            return Recalled(value, fresh=False)

    def last_word(self, segment: str) -> T | None:
        """Return what is remembered, however old, without asking."""
        return self._known.get(segment, (None, _IN_DOUBT))[0]

    async def confirmed(self, segment: str, seconds: float) -> T | None:
        """Return the record by the store's word, waiting for it up to `seconds`.

        Raises what the store raises, and `StoreUnavailable` if it says nothing in time.
        """
        value, fresh = self._remembered(segment)
        return value if fresh else await self._read_within(segment, seconds)

    async def anew(self, segment: str, seconds: float) -> T | None:
        """Return the record as the store has it now, whatever is remembered; raises as `confirmed`."""
        return await self._read_within(segment, seconds)

    def learn(self, segment: str, value: T | None) -> None:
        """Remember what was just written."""
        self._keep(segment, value, self._clock.elapsed())

    def drop(self, segment: str) -> None:
        """Know nothing of a record any more; what is on its way from the store is too old."""
        self._keep(segment, None, _IN_DOUBT)

    def expect_change(self, segment: str, seconds: float) -> None:
        """Read a record again before going by it, and for `seconds` again and again.

        It may be changing just now. The last word on it is served only while the store is away.
        """
        now = self._clock.elapsed()
        value, _ = self._known.get(segment, (None, _IN_DOUBT))
        if value is not None:
            self._known[segment] = (value, _IN_DOUBT)
        if len(self._changing_until) >= self._full:
            self._changing_until = {
                at: end for at, end in self._changing_until.items() if end > now
            }
        until = self._changing_until.get(segment, _IN_DOUBT)
        self._changing_until[segment] = max(until, now + seconds)

    def doubt(self) -> None:
        """Go by nothing any more that was read until now; serve it only while the store is away."""
        self._known = {segment: (value, _IN_DOUBT) for segment, (value, _) in self._known.items()}

    def _remembered(self, segment: str, oldest: float = float("inf")) -> tuple[T | None, bool]:
        """Return what is known, and whether that is new enough to go by."""
        value, read_at = self._known.get(segment, (None, _IN_DOUBT))
        now = self._clock.elapsed()
        good_for = UNKNOWN_SECONDS if value is None else min(self._fresh_seconds, oldest)
        if self._changing_until.get(segment, _IN_DOUBT) > now:
            good_for = min(good_for, FRESH_SECONDS)
        return value, now - read_at < good_for

    async def _read_within(self, segment: str, seconds: float) -> T | None:
        """Read; what comes later than that is still learnt."""
        reading = self._deeds.begin(self._read(segment), "read a record")
        return await answered(self._deeds, reading, seconds)

    async def _read(self, segment: str) -> T | None:
        known, asked_at = self._known.get(segment), self._clock.elapsed()
        stored = await self._records.get(segment)
        self._silent_until = float("-inf")
        meanwhile = self._known.get(segment)
        if meanwhile is not None and meanwhile is not known:
            if meanwhile[1] == _IN_DOUBT:
                return await self._read(segment)
            # Learnt while the answer was on its way: a logout must not be undone by an old read.
            return meanwhile[0]
        value = stored.value if stored is not None else None
        self._keep(segment, value, asked_at)
        return value

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
            if now - at < (KEPT_SECONDS if value is not None else UNKNOWN_SECONDS)
        }
        # Looking through all of them must stay rare however many are in use.
        self._full = max(self._room, 2 * len(self._known))
