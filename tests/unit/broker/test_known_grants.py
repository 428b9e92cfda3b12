"""A grant in use costs no reading, and what becomes of it elsewhere is known within five seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from credbroker.broker.containing import (
    CONFIRMED_SECONDS,
    ENDED_KEPT_SECONDS,
    MISSED_SECONDS,
    READ_SECONDS,
)
from credbroker.broker.known_grants import CHANGING_SECONDS, PACE
from credbroker.broker.leasing import Caller
from credbroker.domain.attenuation import Wanted
from credbroker.domain.errors import (
    GrantLost,
    LeaseEnded,
    NotFound,
    OutsideCeiling,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.names import GrantKey
from credbroker.domain.revocations import Kind
from credbroker.domain.rotation import log_out
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from tests.fakes.clock import turns
from tests.unit.broker.world import (
    GRANTED,
    KEY,
    LINE,
    ORIGIN,
    SEGMENT,
    WANT_READ,
    Replica,
    World,
)

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")
WITHIN_SECONDS = 5.0
DUE = 600.0
OVER = (LeaseEnded, GrantLost, NotFound)


class Fleet:
    """Three replicas that read the marks as they do in life, and a lease of the grant they share."""

    def __init__(self) -> None:
        self.world = World()
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Have everybody know the grant."""
        world = self.world
        self.replicas = [world.replica(f"replica-{at}") for at in range(3)]
        for one in self.replicas:
            self.tasks.append(asyncio.ensure_future(one.engine.containing.run()))
        await turns()
        await world.give_grant()
        _, self.caller = await world.give_lease(self.replicas[0])
        # Of another login on the same line: no lease of its own ends with a logout.
        self.token, self.other = await world.give_lease(self.replicas[1])
        for one in (*self.replicas, *self.replicas):  # after a fetch the grant is read once more
            assert await self.is_served(one)

    async def done(self, deed: Any) -> Any:
        """Run a deed while time stands still."""
        task = asyncio.ensure_future(deed)
        await turns()
        assert task.done()
        return task.result()

    async def mint(
        self, replica: Replica, wanted: Wanted = WANT_READ, caller: Caller | None = None
    ) -> Any:
        """Mint as a surface does, letting a second pass if that is what it takes."""
        minting = replica.minting.mint_access_token(caller or self.other, wanted)
        task = replica.start(minting)
        await turns()
        if not task.done():
            await self.world.clock.pass_time(1 / PACE.per_second)
        return (await task).token

    async def is_served(self, replica: Replica) -> bool:
        """Tell whether the second lease still gets a token here."""
        try:
            await self.mint(replica)
        except OVER:
            return False
        return True


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    """Three replicas that end with the test."""
    made = Fleet()
    await made.start()
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


# -- what it costs ---------------------------------------------------------------------------------


async def test_a_minute_of_reads_costs_no_call_but_those_for_the_marks(fleet: Fleet) -> None:
    """Neither for leases nor for grants, at three replicas, of which each has its token at hand."""
    world = fleet.world
    await fleet.world.clock.pass_time(WITHIN_SECONDS)
    for one in fleet.replicas:
        await one.leasing.identify(fleet.token, ORIGIN)
    before = world.grants.reads, world.leases.reads, world.narrow.reads, len(world.grants.history)
    marks = world.revocations.reads
    for _ in range(600):
        for one in fleet.replicas:
            caller = await one.leasing.identify(fleet.token, ORIGIN)
            await one.minting.mint_access_token(caller, WANT_READ)
        await world.clock.pass_time(0.1)
    after = world.grants.reads, world.leases.reads, world.narrow.reads, len(world.grants.history)
    assert after == before
    most = len(Kind) * (60 / (0.75 * READ_SECONDS) + 1)
    assert world.revocations.reads - marks <= 3 * most


async def test_a_grant_that_is_missing_is_looked_for_once_a_second(fleet: Fleet) -> None:
    """However many ask for it, and however often."""
    world, one = fleet.world, fleet.replicas[0]
    world.grants._newest.pop(SEGMENT)
    await one.engine.containing.changing(SEGMENT)
    assert not await fleet.is_served(one)
    told, before = 0, world.grants.reads

    async def hammer() -> None:
        nonlocal told
        while True:
            with pytest.raises(NotFound):
                await one.minting.mint_access_token(fleet.other, WANT_READ)
            told += 1

    world.clock.advance(PACE.burst / PACE.per_second)
    hammering = [asyncio.ensure_future(hammer()) for _ in range(20)]
    await world.clock.pass_time(30.0)
    for task in hammering:
        task.cancel()
    await asyncio.gather(*hammering, return_exceptions=True)
    assert told >= 20 * (30 + PACE.burst - 2)
    assert world.grants.reads - before <= 30 * PACE.per_second + PACE.burst


async def test_who_is_looked_for_by_thousands_is_forgotten_again(fleet: Fleet) -> None:
    """Grants that nobody stored fill no memory."""
    world, known = fleet.world, fleet.replicas[0].minting._known
    for at in range(3000):
        await known.at(GrantKey(KEY.issuer, f"guest-{at}", KEY.role), 9.0)
        world.clock.advance(0.01 / PACE.per_second)
    assert len(known._made_up_at) <= 1100
    assert not known._in_turn


# -- what becomes of it elsewhere ------------------------------------------------------------------


async def test_a_logout_holds_at_every_replica_within_five_seconds(fleet: Fleet) -> None:
    """Also for leases that nobody ended, and where a good token is at hand."""
    await fleet.done(fleet.replicas[0].ending.log_out(fleet.caller))
    assert not await fleet.is_served(fleet.replicas[0])
    await fleet.world.clock.pass_time(WITHIN_SECONDS)
    for one in fleet.replicas:
        assert not await fleet.is_served(one)
    await fleet.world.clock.pass_time(ENDED_KEPT_SECONDS + CHANGING_SECONDS)
    for one in fleet.replicas:
        assert not await fleet.is_served(one)


async def test_a_replica_that_dies_after_a_logout_was_stored_leaves_nobody_unaware(
    fleet: Fleet,
) -> None:
    """The mark was there before; who read the grant in between reads it again."""
    world = fleet.world
    await fleet.done(fleet.replicas[0].minting.announce(world.grant))
    for _ in range(10):
        await world.clock.pass_time(2.0)
        for one in fleet.replicas:
            assert await fleet.is_served(one)
    stored = await world.grants.get(SEGMENT)
    assert stored is not None
    await world.grants.put(SEGMENT, log_out(stored.value, "tombstone"), stored.version)
    await world.clock.pass_time(WITHIN_SECONDS)
    for one in fleet.replicas:
        assert not await fleet.is_served(one)


async def test_a_logout_whose_tombstone_landed_without_an_answer_holds_here_too(
    fleet: Fleet,
) -> None:
    """Nobody knew of it but the store."""
    world = fleet.world
    put = world.grants.put

    async def unanswered(segment: str, value: Grant, expected_version: int) -> int:
        await put(segment, value, expected_version)
        world.grants.fail_next(AWAY, on="get")
        raise StoreUnclear("No answer.")

    world.grants.put = unanswered  # type: ignore[method-assign]  # for the tombstone
    with pytest.raises(StoreUnclear):
        await fleet.done(fleet.replicas[0].ending.log_out(fleet.caller))
    assert world.grant.state is GrantState.ENDED
    await world.clock.pass_time(WITHIN_SECONDS)
    for one in fleet.replicas:
        assert not await fleet.is_served(one)


async def test_a_logout_that_cannot_be_announced_changes_nothing(fleet: Fleet) -> None:
    """Not at the issuer either: it can be asked for again."""
    world = fleet.world
    before = world.grant
    for _ in range(20):
        world.revocations.fail_next(AWAY)
    with pytest.raises(StoreUnavailable):
        await fleet.done(fleet.replicas[0].ending.log_out(fleet.caller))
    world.revocations.mend()
    assert world.grant == before
    assert not world.issuer.revoked
    await fleet.done(fleet.replicas[0].ending.log_out(fleet.caller))


async def test_what_a_new_login_may_is_known_elsewhere_within_five_seconds(fleet: Fleet) -> None:
    """It goes on with the line, so nothing else would tell."""
    world, (here, there, _) = fleet.world, fleet.replicas
    wider = Wanted(scopes=ScopeSet.parse("storage.modify:/"))
    with pytest.raises(OutsideCeiling):
        await fleet.mint(there, wider)
    grant = world.grant
    more = ScopeSet.parse(f"{GRANTED} storage.modify:/")
    new = replace(grant, scopes=more, login_id="login-2", write_id="login-2")
    await fleet.done(here.engine.taking_in.keep(new))
    await world.clock.pass_time(WITHIN_SECONDS)
    assert world.grant.line == LINE
    assert (await fleet.mint(there, wider)).scopes


async def test_a_new_login_is_seen_at_once_by_whoever_comes_after_it(fleet: Fleet) -> None:
    """Also where somebody has just found that there is none."""
    world, (here, there, _) = fleet.world, fleet.replicas
    await fleet.done(here.ending.log_out(fleet.caller))
    await world.clock.pass_time(WITHIN_SECONDS)
    assert not await fleet.is_served(there)
    anew = Secret("refresh token", "second")
    await world.rewrite(line="line-2", state=GrantState.READY, refresh_token=anew)
    _, new = await world.give_lease(here, line="line-2")
    assert (await fleet.mint(there, caller=new)).value


async def test_a_token_that_another_replica_got_is_used(fleet: Fleet) -> None:
    """What is remembered of the grant is older than that."""
    world, (here, there, _) = fleet.world, fleet.replicas
    await world.clock.pass_time(DUE)
    fetched = await fleet.mint(here)
    assert (await fleet.mint(there)).value == fetched.value
    assert set(world.issuer.posts.values()) == {1}


async def test_who_may_have_missed_marks_reads_every_grant_again(fleet: Fleet) -> None:
    """Cut off for as long as it takes for marks to be dropped."""
    world, (here, there, _) = fleet.world, fleet.replicas
    fleet.tasks[1].cancel()
    await fleet.done(here.ending.log_out(fleet.caller))
    await world.clock.pass_time(MISSED_SECONDS + 1)
    del world.revocations._newest[Kind.LEASE.value]
    assert await fleet.is_served(there)
    await fleet.done(there.engine.containing.read())
    assert not await fleet.is_served(there)


# -- while the store is away -----------------------------------------------------------------------


async def test_while_the_store_is_away_what_is_held_is_served_without_waiting(
    fleet: Fleet,
) -> None:
    """And nothing is fetched once the marks are old: they may have changed."""
    world, one = fleet.world, fleet.replicas[0]

    async def refuse(segment: str) -> Any:
        raise AWAY

    world.revocations.get = refuse  # type: ignore[method-assign]  # away for as long as it takes
    world.grants.get = refuse  # type: ignore[method-assign]  # the same
    await world.clock.pass_time(CONFIRMED_SECONDS + READ_SECONDS)
    posts = dict(world.issuer.posts)
    held = await fleet.done(one.minting.mint_access_token(fleet.other, WANT_READ))
    await world.clock.pass_time(DUE)
    again = await fleet.done(one.minting.mint_access_token(fleet.other, WANT_READ))
    assert again.token is held.token
    with pytest.raises(StoreUnavailable):
        await fleet.mint(one, Wanted(scopes=ScopeSet.parse("compute.read")))
    assert dict(world.issuer.posts) == posts


async def test_a_login_is_served_on_although_word_of_a_change_came_before_the_outage(
    fleet: Fleet,
) -> None:
    """A new login leaves the same mark as a logout; who lives on it has done nothing wrong."""
    world, (here, there, _) = fleet.world, fleet.replicas
    await fleet.done(here.minting.announce(world.grant))
    await world.clock.pass_time(WITHIN_SECONDS)
    for _ in range(100):
        world.grants.fail_next(AWAY)
    assert await fleet.is_served(there)
