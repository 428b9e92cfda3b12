"""The keeper: renews ahead what is in use, keeps the rest from idling out, lets the unused go.

- What is in use is renewed by the replica that serves it, shortly before its consumers come back.
- Every other deed is for the grants of this replica's shards, which it learns from the store and
  from what it stores itself. A pass costs as much as is due.
- Reads, and the deeds at each issuer, have lanes of their own: a slow issuer delays its own grants,
  a damaged record nobody. Whatever goes wrong with one grant stays with it.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

import structlog

from credbroker.broker.custody.refreshing import Refreshing, Wish
from credbroker.broker.ending import Ending
from credbroker.broker.holding import HeldTokens, InUse
from credbroker.broker.keeper.candidates import Candidates
from credbroker.broker.keeper.kept_index import DAMAGED, UNREAD, KeptIndex, Standing
from credbroker.broker.keeper.lanes import Lane
from credbroker.broker.running import Means
from credbroker.broker.trail import names
from credbroker.broker.walking import pages
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import CredbrokerError, RecordDamaged
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.keeping import (
    DAY_SECONDS,
    LEAST_PAUSE_SECONDS,
    Deed,
    DeedKind,
    KeepingRules,
    expiry_warning,
    next_deed,
)
from credbroker.domain.shards import SHARDS, shard_of, shards_of
from credbroker.ports import RecordStore, Stored

TICK_SECONDS = 1.0
LIST_SECONDS = 600.0
# By then the replica has seen its neighbours' heartbeats and does not read their shards.
FIRST_LIST_SECONDS = 2.0
# After a change among the replicas, or a list that was not to be had.
LIST_SOON_SECONDS = 30.0
AT_ONCE_READ = 16
AT_ONCE_PER_ISSUER = 8
# A refresh is over by then, or goes on without being waited for.
PATIENCE_SECONDS = 300.0
MOST_PER_PASS = 5000

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Neighbours(Protocol):
    """The replicas that live; see `broker.custody.replicas`."""

    @property
    def name(self) -> str:
        """This replica's own name."""

    def live(self) -> Collection[str]:
        """Return the names of all that live, by the last view of them."""


class Renewing(Protocol):
    """Who knows what may be asked for, and how to get it; see `broker.minting`."""

    def whole_right(self, grant: Grant) -> Right:
        """Return all that a grant gives. Raises `NotFound` if its role is not served any more."""

    async def renew_ahead(self, wish: Wish, seconds: float) -> None:
        """Fetch anew what somebody lives on, waiting at most `seconds`."""


class Keeping:
    """Keeps the grants of this replica's shards, and what this replica serves.

    `passes` counts the passes that are finished; none waits for a server.
    """

    def __init__(
        self,
        grants: RecordStore[Grant],
        refreshing: Refreshing,
        minting: Renewing,
        ending: Ending,
        held: HeldTokens,
        *,
        replicas: Neighbours,
        rules: KeepingRules,
        means: Means,
    ) -> None:
        """Keep `grants` by `rules`; renew ahead what is in use of the tokens that are `held`."""
        self._grants = grants
        self._refreshing = refreshing
        self._minting = minting
        self._ending = ending
        self._held = held
        self._replicas = replicas
        self._rules = rules
        self._audit = means.audit
        self._clock = means.clock
        self._entropy = means.entropy
        self._index = KeptIndex()
        self._candidates = Candidates(minting.whole_right, held, means.clock)
        self._tasks: asyncio.TaskGroup | None = None
        self._listing = Lane(1, partial(self._safely, self._list), self._start)
        self._reading = Lane(AT_ONCE_READ, partial(self._safely, self._look), self._start)
        self._at_issuers: dict[str, Lane[str | InUse]] = {}
        self._neighbours: frozenset[str] = frozenset()
        self._shards = frozenset(range(SHARDS))
        self._list_at = means.clock.elapsed() + FIRST_LIST_SECONDS
        self._listed = self._told_warm = False
        self._began_at = means.clock.elapsed()
        self._warned: dict[str, float] = {}
        self._expiring: dict[str, float] = {}
        self.passes = 0
        self.listeners: list[Callable[[Grant], None]] = []
        """Told of each grant that is read for keeping, or stored by this replica."""

    async def run(self) -> None:
        """Keep for ever."""
        async with asyncio.TaskGroup() as self._tasks:
            while True:
                self._pass()
                self.passes += 1
                await self._clock.sleep(TICK_SECONDS)

    def noted(self, grant: Grant) -> None:
        """Learn of a record that this replica has just stored."""
        segment = grant.key.segment()
        self._candidates.learn(grant)
        self._tell(grant)
        if not self._is_ours(segment):
            return
        first_met = segment not in self._index
        self._index.stand(segment, _standing(grant))
        # A claim of ours is followed by its outcome: nothing to look at unless we die first.
        if first_met or grant.state is not GrantState.CLAIMED:
            deed = self._next_deed(segment, Stored(grant, 0, 0.0))
            self._index.look(segment, self._in(deed.again_seconds))

    def candidates(self, issuer: str) -> Iterator[Wish]:
        """Walk what may be tried at an issuer in trouble, what costs least first."""
        return self._candidates.of(issuer)

    def horizon(self, issuer: str) -> datetime.datetime | None:
        """Return when the first token expires that somebody lives on here; None if nobody does."""
        return self._candidates.horizon(issuer)

    def census(self) -> Mapping[Standing, int]:
        """Return how many grants of this replica's shards stand how, by issuer and state."""
        return self._index.census()

    def due(self) -> Mapping[str, int]:
        """Return how many deeds are due and not done, by issuer; most are renewals."""
        return {issuer: lane.unfinished for issuer, lane in self._at_issuers.items()}

    @property
    def expiring(self) -> int:
        """How many of them will need a new login in the next days."""
        return len(self._expiring)

    @property
    def is_warm(self) -> bool:
        """True once every grant of this replica's shards was read."""
        return self._listed and UNREAD not in self._index.census()

    # -- what is due ---------------------------------------------------------------------------

    def _pass(self) -> None:
        self._share_out()
        now = self._clock.elapsed()
        if not self._told_warm and self.is_warm:
            self._told_warm = True
            log.info("keeper_warm", grants=len(self._index), seconds=round(now - self._began_at, 1))
        if now >= self._list_at:
            self._list_at = now + LIST_SECONDS
            self._listing.add("")
        for segment in self._index.take_due(now, MOST_PER_PASS):
            self._reading.add(segment)
        for due in self._held.take_due():
            self._lane(due.key.issuer).add(due, first=True)

    def _share_out(self) -> None:
        """Take over, and hand over, shards when replicas have come or gone."""
        neighbours = frozenset(self._replicas.live())
        if neighbours == self._neighbours:
            return
        self._neighbours = neighbours
        self._shards = shards_of(self._replicas.name, neighbours)
        self._index.keep_only(self._is_ours)
        for told in (self._warned, self._expiring):
            for segment in [segment for segment in told if segment not in self._index]:
                del told[segment]
        soon = FIRST_LIST_SECONDS if not self._listed else LIST_SOON_SECONDS
        self._list_at = min(self._list_at, self._in(soon))

    async def _list(self, after: str) -> None:
        """Have every grant read, past `after`, that belongs to our shards and is not known yet."""
        try:
            async for page in pages(self._grants, after):
                for segment in filter(self._is_ours, page):
                    if segment not in self._index:
                        self._index.stand(segment, UNREAD)
                        self._reading.add(segment)
        except CredbrokerError as error:
            log.warning("grants_not_listed", why=error.sentence)
            self._list_at = self._in(LIST_SOON_SECONDS)
        else:
            self._listed = True

    def _is_ours(self, segment: str) -> bool:
        return shard_of(segment) in self._shards

    # -- one grant -----------------------------------------------------------------------------

    async def _look(self, segment: str) -> None:
        """Read a grant, and hand it to its issuer's lane if it needs anything."""
        if segment not in self._index:
            return  # another replica keeps it by now
        stored = await self._read(segment)
        if stored is None:
            return
        deed = self._next_deed(segment, stored)
        if deed.kind is DeedKind.REST:
            self._index.look(segment, self._in(deed.again_seconds))
        else:
            self._lane(stored.value.key.issuer).add(segment)

    async def _take_turn(self, due: str | InUse) -> None:
        await (self._renew_ahead(due) if isinstance(due, InUse) else self._act(due))

    async def _act(self, segment: str) -> None:
        """Read a grant anew, now that its turn has come, and do what it needs."""
        stored = await self._read(segment)
        if stored is None:
            return
        deed = self._next_deed(segment, stored)
        try:
            await self._do(deed, segment, stored.value)
        except CredbrokerError as error:
            log.debug("keeping_failed", grant=segment, deed=deed.kind.value, why=error.sentence)
        self._index.look_unless_set(segment, self._in(deed.again_seconds))

    async def _do(self, deed: Deed, segment: str, grant: Grant) -> None:
        if deed.kind is DeedKind.REFRESH:
            right = self._minting.whole_right(grant)
            wish = Wish(grant.key, grant.line, right, kept=True)
            await self._refreshing.refresh(wish, PATIENCE_SECONDS)
        elif deed.kind is DeedKind.WARN:
            await self._warn(segment, grant)
        elif deed.kind is DeedKind.SETTLE:
            await self._refreshing.settled(grant.key, grant.line)
            await self._read(segment)
        elif deed.kind is DeedKind.LET_GO:
            await self._ending.let_go(grant)
            await self._read(segment)

    async def _renew_ahead(self, due: InUse) -> None:
        token = self._held.get(due.line, due.right)
        if token is None or token.expires_at != due.expires_at:
            return  # one of its consumers was quicker, or logged out
        try:
            # On behalf of those who come back for it: the grant is in use.
            wish = Wish(due.key, due.line, due.right)
            await self._minting.renew_ahead(wish, PATIENCE_SECONDS)
        except CredbrokerError as error:
            log.debug("not_renewed_ahead", issuer=due.key.issuer, why=error.sentence)

    async def _warn(self, segment: str, grant: Grant) -> None:
        unused_since = grant.used_at or grant.created_at
        about = {**names(grant.key), "unused_since": unused_since}
        log.warning("grant_dormant", **about)
        await self._audit.record("grant_dormant", **about)
        self._warned[segment] = self._clock.elapsed()

    async def _read(self, segment: str) -> Stored[Grant] | None:
        """Return a record, or None having seen to it that it is looked at again when it may help."""
        try:
            stored = await self._grants.get(segment)
        except RecordDamaged as error:
            if self._index.standing(segment) != DAMAGED:
                log.error("grant_damaged", grant=segment, why=error.sentence)  # noqa: TRY400
            self._index.stand(segment, DAMAGED)
            self._index.look(segment, self._in(DAY_SECONDS))
            return None
        except CredbrokerError:
            pause = LEAST_PAUSE_SECONDS * (1.0 + self._entropy.fraction())
            self._index.look_unless_set(segment, self._in(pause))
            return None
        if stored is None or not self._is_ours(segment):
            self._index.drop(segment)
            return None
        self._learn(segment, stored.value)
        return stored

    def _learn(self, segment: str, grant: Grant) -> None:
        self._index.stand(segment, _standing(grant))
        self._candidates.learn(grant)
        self._tell(grant)
        days = expiry_warning(grant, self._clock.now(), self._rules.warn_seconds)
        if days is None:
            self._expiring.pop(segment, None)
        elif self._clock.elapsed() >= self._expiring.get(segment, 0.0):
            self._expiring[segment] = self._in(DAY_SECONDS)
            issuer, credkey, role = grant.key.issuer, grant.key.credkey, grant.key.role
            log.warning(
                "grant_expires", issuer=issuer, credkey=credkey, role=role, days_left=round(days, 1)
            )

    def _tell(self, grant: Grant) -> None:
        for listener in self.listeners:
            listener(grant)

    def _next_deed(self, segment: str, stored: Stored[Grant]) -> Deed:
        warned_at = self._warned.get(segment)
        warned_seconds = None if warned_at is None else self._clock.elapsed() - warned_at
        return next_deed(
            stored.value, stored.age_seconds, self._clock.now(), self._rules, warned_seconds
        )

    # -- lanes ---------------------------------------------------------------------------------

    def _lane(self, issuer: str) -> Lane[str | InUse]:
        lane = self._at_issuers.get(issuer)
        if lane is None:
            lane = Lane(AT_ONCE_PER_ISSUER, partial(self._safely, self._take_turn), self._start)
            self._at_issuers[issuer] = lane
        return lane

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._tasks is not None, "nothing is due before `run`"
        self._tasks.create_task(work)

    async def _safely(self, step: Callable[[T], Awaitable[None]], thing: T) -> None:
        try:
            await step(thing)
        except Exception:
            log.exception("keeping_broke", grant=thing)
            if isinstance(thing, str):
                self._index.look_unless_set(thing, self._in(DAY_SECONDS))

    def _in(self, seconds: float) -> float:
        return self._clock.elapsed() + seconds


def _standing(grant: Grant) -> Standing:
    return grant.key.issuer, grant.state.value
