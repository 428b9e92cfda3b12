"""Notices that Vault was set back to an earlier state, and stops what would use spent values again.

A record in Vault counts up with every beat of every replica; each host remembers on its own disk
how far it came, and of each grant what was done with it. Vault answering with less was restored
from a snapshot.

- A refresh goes out only after `confirm`: Vault is where it was, by a reading begun after the claim
  was stored, and this host's disk says that the value is being used. Whatever a restore takes from
  Vault before that reading shows in it; what it takes later is on the disk.
- Who sees less calls a halt in the record, by check-and-set on the very record that was read: an
  active node on its way out may answer with old readings, but it takes no writes.
- A halt leaps the counter ahead of what any host remembers: the halt itself tells the others, who
  need not call one each; and a snapshot with a halt in it, restored later, is older than its end.
- During a halt no host remembers the counter, so that the right snapshot after a wrong one is not
  older than what they saw, and ends the halt by itself.

What nobody can notice: a snapshot restored within one beat of being taken, by a host that did not
use the grant itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from credbroker.broker.custody.replicas import Replicas
from credbroker.broker.custody.sorting import LEAP, REWIND_SEGMENT, Seen, Sorting
from credbroker.broker.running import Deeds, Means
from credbroker.broker.storing import put_surely
from credbroker.domain.errors import LocalFileUnfit, StoreRewound, StoreUnclear
from credbroker.domain.grants import Grant
from credbroker.domain.marks import RewindMark
from credbroker.ports import HostMarks, RecordStore, StaleVersionError, Stored

# A halt lasts longer than this: nobody lifts one before every replica was seen to be silent.
RECENT_SECONDS = 20.0

log = structlog.get_logger(__name__)


class Rewinding:
    """Keeps the counter, and this host's memory of it."""

    def __init__(
        self,
        records: RecordStore[RewindMark],
        marks: HostMarks,
        sorting: Sorting,
        replicas: Replicas,
        means: Means,
    ) -> None:
        """Count in the one record of `records`, remember in `marks`, and sort after a restore."""
        self._records = records
        self._marks = marks
        self._sorting = sorting
        self._replicas = replicas
        self._audit = means.audit
        self._clock = means.clock
        self._looks = _Shared(self._look, means.deeds)
        self._mark = RewindMark()
        self._counter = 0
        self._unwritten: dict[str, int] = {}
        self._suspicion = ""
        self._fell_back = False
        self._forgetful = False
        self._era = 0
        self._looked_at = float("-inf")

    @property
    def era(self) -> int | None:
        """A number that changes with each halt; None if one may have come and gone unseen.

        What was remembered of Vault's records in one era says nothing about them in another: a
        restored Vault counts its versions again.
        """
        recent = self._clock.elapsed() - self._looked_at < RECENT_SECONDS
        return self._era if recent and not self.halted else None

    @property
    def halted(self) -> bool:
        """True if a halt stood in the record when it was last read."""
        return self._mark.halted_at is not None

    @property
    def _highest(self) -> int:
        return max(self._counter, self._marks.counter)

    def check(self) -> None:
        """Raise `StoreRewound` while there is a halt, as far as this process knows; asks nobody."""
        _check(self._mark)

    def saw(self, grant: Grant) -> None:
        """Note a record that is, or was, the newest; on disk with the next beat or `confirm`."""
        segment = grant.key.segment()
        number = Seen.in_record(grant).number
        if number > self._seen(segment):
            self._unwritten[segment] = number

    async def confirm(self, grant: Grant) -> None:
        """Return if this grant's refresh token may be posted; the last question before it is.

        To be asked with the record as claimed, once the claim is stored: only then no restore fits
        in between. Raises `StoreRewound`; `StaleVersionError` if this was not the newest record;
        `StoreUnavailable` and its like if Vault does not say.
        """
        if not self._sorting.may_rotate(grant):
            return
        self.check()
        await self._check_newest(grant)
        _check((await self._looks.once_more()).value)
        # Only now: a claim in a restored Vault says nothing about what happened in the one before.
        self.saw(grant)
        await self._write()

    async def beat(self) -> None:
        """Look, raise the counter, remember; or obey a halt and sort what this host remembers.

        Raises `StoreUnavailable` and its like; the next beat goes on.
        """
        self._fell_back = self._fell_back or self._replicas.fell_back
        stored = await self._looks.once_more()
        await self._write()
        await self._sorting.sort(stored.value)
        if stored.value.halted_at is None:
            await self._raise_counter(stored)
            await self._write()

    async def _look(self) -> Stored[RewindMark]:
        """Read the record; call a halt if it has fallen back or is gone, or if one is due anyway."""
        while True:
            stored = await self._records.get(REWIND_SEGMENT)
            leapt = stored is not None and stored.value.counter >= self._highest + LEAP
            try:
                if stored is None and self._highest == 0:
                    await self._put(RewindMark(counter=1), 0)
                elif stored is None or stored.value.counter < self._highest:
                    await self._call_halt(stored, "The counter fell back.")
                elif stored.value.halted_at is None and (why := self._why_halt(leapt=leapt)):
                    await self._call_halt(stored, why)
                else:
                    self._era += stored.value.halted_at is not None or leapt
                    self._looked_at = self._clock.elapsed()
                    self._mark, self._suspicion, self._fell_back = stored.value, "", False
                    if not self.halted:
                        self._counter = stored.value.counter
                    return stored
            except StaleVersionError:
                continue  # what was read was not the newest: look again

    def _why_halt(self, *, leapt: bool) -> str:
        """Return why a halt is due though the counter stands; empty if none is.

        If the counter leapt, a halt came and went while this replica was away: that is why its
        heartbeat is an older one.
        """
        fell_back = self._fell_back and not leapt
        return self._suspicion or ("This replica's heartbeat fell back." if fell_back else "")

    async def _check_newest(self, grant: Grant) -> None:
        """A record behind our memory is marked by check-and-set, which proves it; then a halt is due."""
        segment = grant.key.segment()
        number = self._seen(segment)
        seen = Seen.from_number(number)
        if grant.generation == seen.generation and seen.posts and grant.steps <= seen.steps:
            # A post that we know of is not in this record's past; the look that follows says so.
            self._suspicion = "A grant's record fell back."
        if grant.generation >= seen.generation:
            return
        if not await self._sorting.sort_one(segment, number):
            raise StaleVersionError
        self._suspicion = "A grant's generation fell back."

    async def _call_halt(self, stored: Stored[RewindMark] | None, why: str) -> None:
        """Write the halt over what was read. Raises `StaleVersionError` if it was not the newest."""
        found = stored.value.counter if stored is not None else 0
        expected, by = self._highest, self._replicas.name
        # Records keep whole seconds; with more, our own write would not be known again.
        now = self._clock.now().replace(microsecond=0)
        counter = max(found, expected) + LEAP
        halt = RewindMark(counter=counter, halted_at=now, halted_by=by)
        await self._put(halt, stored.version if stored is not None else 0)
        log.error("store_rewound", why=why, found=found, expected=expected)
        await self._audit.record("store_rewound", by=by, why=why, found=found, expected=expected)

    async def _raise_counter(self, stored: Stored[RewindMark]) -> None:
        higher = replace(stored.value, counter=stored.value.counter + 1)
        try:
            await self._records.put(REWIND_SEGMENT, higher, stored.version)
        except (StaleVersionError, StoreUnclear):
            return  # somebody else raised it, or the next beat will see what became of it
        self._counter = max(self._highest, higher.counter)

    async def _put(self, mark: RewindMark, version: int) -> None:
        def is_ours(there: RewindMark) -> bool:
            return (there.halted_at, there.halted_by) == (mark.halted_at, mark.halted_by)

        await put_surely(self._records, REWIND_SEGMENT, mark, version, is_ours=is_ours)

    async def _write(self) -> None:
        """Bring what was noted to the host's disk.

        A disk that fails stops no refresh: it matters only if Vault is set back meanwhile.
        """
        noted, self._unwritten = self._unwritten, {}
        try:
            await self._marks.remember(self._counter, noted)
            self._forgetful = False
        except LocalFileUnfit as error:
            if not self._forgetful:
                log.error("host_forgets", why=error.sentence)  # noqa: TRY400
            self._forgetful = True

    def _seen(self, segment: str) -> int:
        return max(self._marks.generation(segment), self._unwritten.get(segment, 0))


def _check(mark: RewindMark) -> None:
    if mark.halted_at is not None:
        raise StoreRewound("OpenBao/Vault was restored from a snapshot: nothing is refreshed.")


class _Shared:
    """Lets many callers share one answer, each of them one that was asked for after it came."""

    def __init__(self, ask: Callable[[], Awaitable[Stored[RewindMark]]], deeds: Deeds) -> None:
        self._ask = ask
        self._deeds = deeds
        self._asking: asyncio.Task[Stored[RewindMark]] | None = None
        self._next: asyncio.Task[Stored[RewindMark]] | None = None

    async def once_more(self) -> Stored[RewindMark]:
        """Return an answer that nobody had asked for before this call."""
        if self._next is None:
            self._next = self._deeds.begin(self._after(self._asking), "look for a restore")
        return await asyncio.shield(self._next)

    async def _after(self, before: asyncio.Task[Stored[RewindMark]] | None) -> Stored[RewindMark]:
        if before is not None:
            await asyncio.wait({before})
        self._asking, self._next = self._next, None
        return await self._ask()
