"""The end of a halt: an operator's word, once every replica has sorted what its host remembers.

Whoever lifts a halt need not be a replica; all it goes by stands in Vault. That the list of people
is exact rests on the replicas having sorted, so a halt is not lifted before.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from credbroker.broker.custody.replicas import KNOWN_SECONDS, LIVE_SECONDS
from credbroker.broker.custody.sorting import LEAP, NAMELESS, REWIND_SEGMENT
from credbroker.broker.running import Means
from credbroker.broker.storing import put_surely
from credbroker.broker.walking import pages, walk
from credbroker.domain.errors import Busy, RecordDamaged
from credbroker.domain.grants import Grant
from credbroker.domain.keeping import PROBE_CREDKEY
from credbroker.domain.losses import RESTORED
from credbroker.domain.marks import Heartbeat, RewindMark
from credbroker.domain.names import GrantKey
from credbroker.ports import RecordStore, StaleVersionError, Stored


@dataclass(frozen=True, slots=True)
class MustLogIn:
    """Somebody whose login was lost by the restore."""

    key: GrantKey
    subject: str


@dataclass(frozen=True, slots=True)
class Restored:
    """Whom the restore cost the login; `nameless` logins are unknown to the restored Vault."""

    people: tuple[MustLogIn, ...]
    nameless: int
    damaged: int


class Lifting:
    """Takes an operator's word for all replicas."""

    def __init__(
        self,
        grants: RecordStore[Grant],
        records: RecordStore[RewindMark],
        heartbeats: RecordStore[Heartbeat],
        means: Means,
    ) -> None:
        """Lift what stands in the one record of `records`; who must have sorted, `heartbeats` say."""
        self._grants = grants
        self._records = records
        self._heartbeats = heartbeats
        self._audit = means.audit

    async def lift(self, without: Collection[str] = ()) -> Restored:
        """Let refreshes go on, and return whose login was lost; once lifted, only the latter.

        Raises `Busy`, naming them, while there are replicas that have not sorted; those that are
        gone for good are named in `without`. Raises `StoreUnavailable` kinds.
        """
        while (stored := await self._records.get(REWIND_SEGMENT)) is not None:
            if stored.value.halted_at is None:
                break
            await self._check_all_sorted(stored, without)
            counter = stored.value.counter + LEAP
            lifted = replace(stored.value, counter=counter, halted_at=None, halted_by="")
            await self._audit.record("halt_lifted", without=sorted(without), counter=counter)
            try:
                await put_surely(
                    self._records, REWIND_SEGMENT, lifted, stored.version,
                    is_ours=lambda there: there == lifted,  # noqa: B023 - used before the next
                )  # fmt: skip
            except StaleVersionError:
                continue
        return await self.whom_it_cost()

    async def whom_it_cost(self) -> Restored:
        """Return whose login a restore has cost, of those who have not logged in again."""
        people: list[MustLogIn] = []
        nameless = damaged = 0
        async for found in walk(self._grants):
            if found.stored is None:
                damaged += 1
            elif found.stored.value.reason == RESTORED:
                grant = found.stored.value
                if grant.subject == NAMELESS:
                    nameless += 1
                elif grant.key.credkey != PROBE_CREDKEY:
                    people.append(MustLogIn(grant.key, grant.subject))
        return Restored(tuple(people), nameless, damaged)

    async def _check_all_sorted(self, stored: Stored[RewindMark], without: Collection[str]) -> None:
        # Replicas that joined after the snapshot are unknown to Vault until they have beaten again.
        # During a halt the record rests, so it is as old as the halt, or younger.
        wait = LIVE_SECONDS - stored.age_seconds
        if wait > 0:
            raise Busy(
                "There may be replicas that OpenBao/Vault has not heard of since it was restored.",
                f"Ask again in {wait:.0f} s.",
            )
        missing = sorted(await self._known() - set(stored.value.sorted_by) - set(without))
        if missing:
            raise Busy(
                f"Replicas that have not sorted their grants yet: {', '.join(missing)}.",
                "Wait until they have, or start them; those that are gone for good are named with:"
                f" --without {missing[0]}",
            )

    async def _known(self) -> set[str]:
        """Return the names of all replicas that were alive in the last 30 days."""
        known: set[str] = set()
        async for page in pages(self._heartbeats):
            for segment in page:
                try:
                    stored = await self._heartbeats.get(segment)
                except RecordDamaged:
                    continue
                if stored is not None and stored.age_seconds < KNOWN_SECONDS:
                    known.add(stored.value.replica)
        return known
