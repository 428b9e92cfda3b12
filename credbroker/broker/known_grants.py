"""The grants as this process knows them: kept until word comes that one may be changing.

- Whoever logs somebody out, or brings a new login, leaves a mark that every replica reads with the
  revocations (`broker.containing`). So a grant in use costs no reading, and a change holds everywhere
  within 5 s while OpenBao/Vault answers.
- The mark of a logout is left before the tombstone is written: a replica that dies between the two
  leaves nothing that nobody hears of. Who reads a mark reads the grant again and again for a while.
- A grant that is missing, ended, or another login's is looked for in the store by each who asks, so
  that a new login is seen at once; but none more than once in a second, a few aside.
"""

from __future__ import annotations

import asyncio

from credbroker.broker.containing import Containing
from credbroker.broker.recall import ANSWER_SECONDS, Recall
from credbroker.broker.running import Deeds
from credbroker.broker.storing import answered
from credbroker.domain.errors import LeaseEnded
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.limits import Allowance
from credbroker.domain.names import GrantKey
from credbroker.ports import Clock, RecordStore

# So many at once, as people do who log out and in again, need not wait for each other.
PACE = Allowance(per_second=1.0, burst=5)
# A logout has revoked at the issuer and written by then, or has failed.
CHANGING_SECONDS = 180.0

_LEAST_ROOM = 1000


class KnownGrants:
    """All grants, as this process knows them."""

    def __init__(self, grants: RecordStore[Grant], containing: Containing, clock: Clock) -> None:
        """Know what `grants` says; `containing` tells of changes."""
        self._recall = Recall(grants, clock, fresh_seconds=float("inf"))
        self._containing = containing
        containing.memories.append(self)
        self._clock = clock
        self._deeds = Deeds(clock)
        self._in_turn: dict[str, asyncio.Task[Grant | None]] = {}
        self._made_up_at: dict[str, float] = {}
        self._room = _LEAST_ROOM

    async def at(
        self,
        key: GrantKey,
        seconds: float,
        *,
        line: str | None = None,
        oldest: float = float("inf"),
    ) -> tuple[Grant | None, bool]:
        """Return the grant at `key`, if there is one, and whether that is so by the store's word.

        That word is at most `oldest` seconds old, unless the store is away; and so are the marks.
        One that is not there, has ended, was revoked or is not of this `line` is looked for in the
        store, waiting up to `seconds`: its person may have logged in since. Raises as `Recall.get` does.
        """
        segment = key.segment()
        if self._is_good(self._recall.last_word(segment), line):
            recalled = await self._recall.get(segment, seconds, oldest=oldest)
            if self._is_good(recalled.value, line):
                return recalled.value, recalled.fresh and self._containing.is_current
        return await self._anew(segment, seconds), True

    async def announce(self, key: GrantKey) -> None:
        """Have every replica look at this grant again, for minutes: it is changing.

        Raises `Busy` and `StoreUnavailable` kinds; then it is told as soon as the store takes it.
        """
        await self._containing.changing(key.segment())

    def learn(self, grant: Grant) -> None:
        """Know what was just written."""
        self._recall.learn(grant.key.segment(), grant)

    def look_again(self, key: GrantKey) -> None:
        """Read a grant once more before going by it: it was used."""
        self._recall.expect_change(key.segment(), 0.0)

    def drop(self, segment: str) -> None:
        """Read a record before going by it, and again and again for minutes; see `Memory`."""
        self._recall.expect_change(segment, CHANGING_SECONDS)

    def doubt(self) -> None:
        """Read every record once more before going by it; see `Memory`."""
        self._recall.doubt()

    def _is_good(self, grant: Grant | None, line: str | None) -> bool:
        if grant is None or not _is_it(grant, line):
            return False
        try:
            self._containing.judge_proof(grant.key, grant.created_at)
        except LeaseEnded:
            return False
        return True

    async def _anew(self, segment: str, seconds: float) -> Grant | None:
        """Return the grant as the store has it after this moment; one reading serves all who wait."""
        reading = self._in_turn.get(segment)
        if reading is None:
            reading = self._deeds.begin(self._read_in_turn(segment), "look for a grant")
            self._in_turn[segment] = reading
        return await answered(self._deeds, reading, seconds)

    async def _read_in_turn(self, segment: str) -> Grant | None:
        made_up_at = self._made_up_at.get(segment, 0.0)
        wait_seconds = PACE.wait_seconds(made_up_at, self._clock.elapsed())
        if wait_seconds > 0:
            await self._clock.sleep(wait_seconds)
        # Whoever comes from here on must be told what is so then.
        self._in_turn.pop(segment, None)
        self._count(segment)
        return await self._recall.anew(segment, ANSWER_SECONDS)

    def _count(self, segment: str) -> None:
        now = self._clock.elapsed()
        if len(self._made_up_at) >= self._room:
            self._made_up_at = {one: at for one, at in self._made_up_at.items() if at > now}
            self._room = max(_LEAST_ROOM, 2 * len(self._made_up_at))
        self._made_up_at[segment] = PACE.once_more(self._made_up_at.get(segment, now), now)


def _is_it(grant: Grant | None, line: str | None) -> bool:
    """True if this is the living grant of `line`, or of any."""
    return grant is not None and grant.state is not GrantState.ENDED and line in {None, grant.line}
