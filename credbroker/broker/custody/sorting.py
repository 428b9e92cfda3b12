"""After a restore: every host goes through the grants that it remembers.

- Whatever Vault has an older record of than a host remembers was used since: it is lost, and its
  generation is raised to the one remembered. What was used without anybody knowing how it ended
  counts as used, too. A grant that was ended since is ended again.
- Every write is made by check-and-set on what was read, so a successor that comes late is seen.
- Who has sorted everything says so in the record of the halt; see `broker.custody.lifting` for its end.
- A replica that was away until then sorts when it is back.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from credbroker.broker.custody.replicas import Replicas
from credbroker.broker.running import Means
from credbroker.broker.storing import put_surely
from credbroker.broker.trail import about
from credbroker.domain import rotation
from credbroker.domain.errors import RecordDamaged
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.losses import RESTORED
from credbroker.domain.marks import RewindMark
from credbroker.domain.names import GrantKey
from credbroker.domain.scopes import ScopeSet
from credbroker.ports import HostMarks, RecordStore, StaleVersionError

REWIND_SEGMENT = "rewind"
# The counter leaps so far with a halt, and with its end, that no host's memory is ahead of it.
LEAP = 1000
# A beat must not be held up for longer; what is left is sorted with the next ones.
SORTING_SECONDS = 5.0
AT_ONCE = 16
# What cannot be named: a grant made after the snapshot, of which only a host's memory knows.
NAMELESS = "-"
# A number holds the generation above 13 bits of steps and 3 bits of how the grant stood.
_GENERATION_BITS, _MOST_STEPS = 16, 2**13 - 1
_ENDED = 3

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a host remembers of a grant, as one number that only rises.

    `posts` of this generation's refresh token may be open; `rotated` tells if a refresh or a
    login ever put another value in its place; `steps` counts the writes within the generation; `ended` if the grant was logged out.
    """

    generation: int = 0
    rotated: bool = False
    posts: int = 0
    ended: bool = False
    steps: int = 0

    @classmethod
    def in_record(cls, grant: Grant) -> Seen:
        """Return what a record says."""
        ended = grant.state is GrantState.ENDED
        posts = 0 if ended else min(grant.posts, rotation.MOST_POSTS)
        rotated = grant.rotated or grant.replaced
        return cls(grant.generation, rotated, posts, ended, min(grant.steps, _MOST_STEPS))

    @classmethod
    def from_number(cls, number: int) -> Seen:
        """Read what `number` wrote."""
        standing = number & 0b11
        ended = standing == _ENDED
        posts, steps = 0 if ended else standing, (number >> 3) & _MOST_STEPS
        return cls(number >> _GENERATION_BITS, bool(number & 0b100), posts, ended, steps)

    @property
    def number(self) -> int:
        """The number to remember; a later generation, or a later record of one, make it higher."""
        standing = self.rotated << 2 | (_ENDED if self.ended else self.posts)
        return self.generation << _GENERATION_BITS | self.steps << 3 | standing


def _all_rotate(grant: Grant) -> bool:  # noqa: ARG001 - one of several such questions
    return True


class Sorting:
    """Sorts the grants that this host remembers."""

    def __init__(
        self,
        grants: RecordStore[Grant],
        records: RecordStore[RewindMark],
        marks: HostMarks,
        replicas: Replicas,
        means: Means,
        *,
        may_rotate: Callable[[Grant], bool] = _all_rotate,
    ) -> None:
        """Sort `grants` by what `marks` remember, and say so in the one record of `records`.

        `may_rotate` is False for grants whose issuer gives the same value back each time: those
        lose nothing by a restore.
        """
        self._grants = grants
        self._records = records
        self._marks = marks
        self._replicas = replicas
        self._audit = means.audit
        self._clock = means.clock
        self._entropy = means.entropy
        self.may_rotate = may_rotate
        self._halted_at: datetime.datetime | None = None
        self._left: list[tuple[str, int]] | None = None

    async def sort(self, mark: RewindMark) -> None:
        """Sort what this host remembers, or a part of it, and say so once all is done.

        To be called with every beat and what the record said in it. Raises `StoreUnavailable` and
        its like; what is left is sorted with the next beat.
        """
        if mark.halted_at is None and not mark.sorted_by:
            return  # there never was a halt
        if self._halted_at != mark.halted_at:
            self._halted_at, self._left = mark.halted_at, None
        if self._replicas.name in mark.sorted_by:
            return
        if self._left is None:
            self._left = list(self._marks.generations().items())
        await self._sort_some(self._left)
        if not self._left and mark.halted_at is not None:
            await self._say_sorted(mark.halted_at)
            self._left = None

    async def sort_one(self, segment: str, number: int) -> bool:
        """Return True if Vault had less of a grant than this host remembers, and it is marked now.

        The mark is written over the very record that was read, so an old reading proves nothing.
        """
        seen = Seen.from_number(number)
        while True:
            try:
                stored = await self._grants.get(segment)
            except RecordDamaged:
                return False  # what cannot be read cannot be posted
            after = self._after(stored.value if stored is not None else None, seen)
            if after is None:
                return False
            version = stored.version if stored is not None else 0
            try:
                await self._put(segment, after, version)
            except StaleVersionError:
                continue  # somebody else wrote: look again
            if after.reason == RESTORED:
                await self._audit.record("login_lost_by_restore", **about(after))
            return True

    async def _sort_some(self, left: list[tuple[str, int]]) -> None:
        until = self._clock.elapsed() + SORTING_SECONDS
        while left and self._clock.elapsed() <= until:
            some = left[:AT_ONCE]
            await asyncio.gather(*(self.sort_one(segment, number) for segment, number in some))
            del left[: len(some)]

    def _after(self, found: Grant | None, seen: Seen) -> Grant | None:
        """Return what the record must become by what was seen; None if it may stay."""
        write_id = self._entropy.token(16)
        if found is None:
            return _nameless(seen, write_id, self._clock.now())
        if found.generation > seen.generation:
            return None
        if found.generation == seen.generation:
            # An older record of the same value matters only if a post of it was open since.
            known = found.steps >= seen.steps or not seen.posts
            known = known or found.is_over
            if known or not self.may_rotate(found):
                return None
            return rotation.outdated(found, seen.generation, write_id)
        if seen.ended:
            ended = rotation.log_out(found, write_id)
            return replace(ended, generation=seen.generation)
        if found.state is GrantState.ENDED:
            # There was a new login since, which the snapshot does not know.
            reason = RESTORED
            return replace(found, generation=seen.generation, write_id=write_id, reason=reason)
        if not (seen.rotated or seen.posts) or not self.may_rotate(found):
            # Its refresh token has been the same all the time.
            return replace(found, generation=seen.generation, steps=seen.steps, write_id=write_id)
        return rotation.outdated(found, seen.generation, write_id)

    async def _put(self, segment: str, after: Grant, version: int) -> None:
        await put_surely(
            self._grants, segment, after, version,
            is_ours=lambda there: there.write_id == after.write_id,
        )  # fmt: skip

    async def _say_sorted(self, halted_at: datetime.datetime) -> None:
        """Add our name, if the record still speaks of the halt that we sorted for."""
        name = self._replicas.name
        while True:
            stored = await self._records.get(REWIND_SEGMENT)
            if stored is None or stored.value.halted_at != halted_at:
                return
            if name in stored.value.sorted_by:
                return
            done = replace(stored.value, sorted_by=(*stored.value.sorted_by, name))
            try:
                await put_surely(
                    self._records, REWIND_SEGMENT, done, stored.version,
                    is_ours=lambda there: name in there.sorted_by,
                )  # fmt: skip
            except StaleVersionError:
                continue
            log.warning("restored_grants_sorted", replica=name)


def _nameless(seen: Seen, write_id: str, now: datetime.datetime) -> Grant:
    """Return a tombstone for a grant that Vault does not know: a new login goes on from there."""
    return Grant(
        key=GrantKey(NAMELESS, NAMELESS, NAMELESS),
        line=NAMELESS,
        issuer_url=NAMELESS,
        subject=NAMELESS,
        client_id=NAMELESS,
        scopes=ScopeSet(()),
        refresh_token=None,
        generation=seen.generation,
        state=GrantState.ENDED,
        write_id=write_id,
        created_at=now,
        refreshed_at=now,
        reason="" if seen.ended else RESTORED,
        rotated=seen.rotated,
    )
