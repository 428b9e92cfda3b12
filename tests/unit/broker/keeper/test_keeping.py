"""The keeper acts before anybody notices, on its own grants, and on nothing else."""

from __future__ import annotations

import asyncio
import datetime
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from structlog.typing import EventDict

from credbroker.broker.custody.refreshing import Refreshing, Wish
from credbroker.broker.ending import Ending
from credbroker.broker.holding import HeldTokens
from credbroker.broker.keeper import keeping
from credbroker.broker.keeper.keeping import Keeping
from credbroker.broker.leasing import Caller
from credbroker.broker.running import Deeds, Means
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import (
    CredbrokerError,
    IssuerUnreachable,
    NotFound,
    RecordDamaged,
    StoreUnavailable,
)
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.keeping import KeepingRules
from credbroker.domain.names import GrantKey
from credbroker.domain.secret import Secret
from credbroker.ports import Stored
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock, turns
from tests.fakes.entropy import FakeEntropy
from tests.fakes.store import MemoryRecords
from tests.unit.broker.test_holding import access_token
from tests.unit.broker.world import (
    DAY,
    ISSUER,
    READ,
    ROLE,
    SEGMENT,
    WANT_READ,
    Replica,
    World,
)

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")
DOWN = IssuerUnreachable("The issuer does not answer.")


@pytest.fixture(autouse=True)
def ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stories of hours look every ten seconds instead of every second."""
    monkeypatch.setattr(keeping, "TICK_SECONDS", 10.0)


@pytest.fixture
def long_ticks(monkeypatch: pytest.MonkeyPatch, ticks: None) -> None:
    """Let stories of days look every half an hour."""
    monkeypatch.setattr(keeping, "TICK_SECONDS", 1800.0)


@asynccontextmanager
async def running(*keepers: Keeping) -> AsyncIterator[None]:
    """Run keepers for as long as the test needs them."""
    tasks = [asyncio.ensure_future(keeper.run()) for keeper in keepers]
    await turns()
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in done), done


async def settled_world() -> tuple[World, Replica, Caller]:
    """Return a world with one replica, one grant and a caller on it."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    _, caller = await world.give_lease(replica)
    return world, replica, caller


def state_of(world: World) -> GrantState:
    """Return the state of the usual grant."""
    return world.grant.state


async def live_on(world: World, replica: Replica, caller: Caller) -> float:
    """Have a consumer fetch a token; return in how many seconds it will come back."""
    minted = await replica.minting.mint_access_token(caller, WANT_READ)
    back_seconds = (minted.renew_at - world.clock.now()).total_seconds()
    held = replica.refreshing._held
    held.served(caller.lease.key, caller.lease.line, READ, back_seconds)
    return back_seconds


async def test_passes_go_on_while_store_and_issuer_hang() -> None:
    """So the watchdog is fed: a pass waits for no server."""
    world, replica, caller = await settled_world()
    async with running(replica.engine.keeping):
        await live_on(world, replica, caller)
        world.grants.get_seconds = 30 * DAY
        before = replica.engine.keeping.passes
        await world.clock.pass_time(7200)
        assert replica.engine.keeping.passes == before + 7200 / keeping.TICK_SECONDS


# -- what is in use ------------------------------------------------------------------------------


async def test_a_consumer_finds_its_token_renewed_when_it_comes_back() -> None:
    """Each time, without waiting for the issuer."""
    world, replica, caller = await settled_world()
    async with running(replica.engine.keeping):
        for turn in range(1, 5):
            back_seconds = await live_on(world, replica, caller)
            assert len(world.issuer.posts) == turn
            await world.clock.pass_time(back_seconds)
            assert len(world.issuer.posts) == turn + 1
    assert set(world.issuer.posts.values()) == {1}


async def test_after_its_last_consumer_a_token_is_renewed_once_more_and_then_never() -> None:
    """A job that ended costs the issuer one refresh at the most."""
    world, replica, caller = await settled_world()
    async with running(replica.engine.keeping):
        await live_on(world, replica, caller)
        await world.clock.pass_time(7200)
    assert len(world.issuer.posts) == 2


async def test_only_the_replica_that_serves_a_token_renews_it() -> None:
    """Whichever keeps its shard."""
    world, replica, caller = await settled_world()
    other = world.replica("replica-2")
    async with running(replica.engine.keeping, other.engine.keeping):
        back_seconds = await live_on(world, other, caller)
        await world.clock.pass_time(back_seconds)
    assert len(world.issuer.posts) == 2
    held = [one.refreshing._held.get(caller.lease.line, READ) for one in (replica, other)]
    assert [token is not None for token in held] == [False, True]


async def test_what_is_renewed_for_its_consumers_counts_as_used() -> None:
    """Or it would be let go one day while jobs live on it."""
    world, replica, caller = await settled_world()
    async with running(replica.engine.keeping):
        await live_on(world, replica, caller)
        served_at = world.clock.now()
        await world.clock.pass_time(700)
    assert len(world.issuer.posts) == 2
    assert (world.grant.used_at or served_at) > served_at


async def test_a_consumer_that_logged_out_has_nothing_renewed() -> None:
    """Nor has the grant anything left that could be."""
    world, replica, caller = await settled_world()
    async with running(replica.engine.keeping):
        await live_on(world, replica, caller)
        await replica.ending.log_out(caller)
        await world.clock.pass_time(7200)
    assert len(world.issuer.posts) == 1


async def test_an_issuer_that_is_away_when_a_token_is_due_does_no_harm() -> None:
    """Its consumers are served what is left, and ask again themselves."""
    world, replica, caller = await settled_world()
    async with running(replica.engine.keeping):
        back_seconds = await live_on(world, replica, caller)
        world.issuer.down = DOWN
        await world.clock.pass_time(back_seconds)
        assert state_of(world) is GrantState.READY
        await live_on(world, replica, caller)
        horizon = replica.engine.keeping.horizon(ISSUER)
        assert horizon is not None
        assert 0 < (horizon - world.clock.now()).total_seconds() <= 600
        assert [one.key for one in replica.engine.keeping.candidates(ISSUER)] == [caller.lease.key]


async def test_what_a_consumer_renewed_while_the_keeper_waited_for_a_place_is_left_alone() -> None:
    """The issuer is slow, and the consumer came first."""
    kept = Kept(holes={ISSUER})
    for number in range(keeping.AT_ONCE_PER_ISSUER):
        await kept.give(f"person-{number}", **kept.old())
    key = GrantKey(ISSUER, "ada", ROLE)
    async with running(kept.keeping):
        for name in ("one", "two"):
            kept.held.put("line-1", READ, access_token(kept.clock, name, 1200))
            kept.held.served(key, "line-1", READ, 30)
            await kept.clock.pass_time(40)
        kept.held.put("line-1", READ, access_token(kept.clock, "three", 1200))
        await kept.clock.pass_time(keeping.PATIENCE_SECONDS)
    assert len(kept.asked) >= keeping.AT_ONCE_PER_ISSUER
    assert key not in {wish.key for wish in kept.asked}


# -- what idles ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("long_ticks")
async def test_a_refresh_token_nobody_uses_is_kept_from_idling_out() -> None:
    """Once a week, for nobody: that does not count as use."""
    world, replica, _ = await settled_world()
    async with running(replica.engine.keeping):
        await world.clock.pass_time(21 * DAY)
    assert 3 <= len(world.issuer.posts) <= 4
    assert set(world.issuer.posts.values()) == {1}
    assert world.grant.used_at is None


async def test_a_restart_with_fresh_grants_refreshes_nothing() -> None:
    """They are read, and that is all."""
    world = World()
    replica = world.replica()
    for number in range(500):
        await world.give_grant(GrantKey(ISSUER, f"person-{number}", ROLE), value=f"first-{number}")
    keeper = replica.engine.keeping
    async with running(keeper):
        cold = not keeper.is_warm
        await world.clock.pass_time(60)
        assert (cold, keeper.is_warm) == (True, True)
        reads = world.grants.reads
        await world.clock.pass_time(3600)
    assert keeper.census() == {(ISSUER, "ready"): 500}
    assert world.grants.reads == reads == 500
    assert not world.issuer.posts


@pytest.mark.usefixtures("long_ticks")
async def test_what_nobody_used_for_ninety_days_is_warned_of_revoked_and_buried() -> None:
    """Also if nobody was there to look for years: the warning comes first."""
    world, replica, _ = await settled_world()
    await world.rewrite(unused_seconds=400 * DAY)
    async with running(replica.engine.keeping):
        await world.clock.pass_time(0.9 * DAY)
        assert world.audit.events() == ["grant_dormant"]
        assert state_of(world) is GrantState.READY
        await world.clock.pass_time(0.4 * DAY)
        assert replica.engine.keeping.census() == {(ISSUER, "ended"): 1}
    assert world.issuer.revoked == ["first"]
    assert state_of(world) is GrantState.ENDED
    assert world.audit.events()[-1] == "grant_let_go"


@pytest.mark.usefixtures("long_ticks")
async def test_a_warning_that_could_not_be_written_down_lets_nothing_go() -> None:
    """It is made again until the trail takes it."""
    world, replica, _ = await settled_world()
    world.audit.refused.add("grant_dormant")
    await world.rewrite(unused_seconds=400 * DAY)
    async with running(replica.engine.keeping):
        await world.clock.pass_time(3 * DAY)
    assert state_of(world) is GrantState.READY


@pytest.mark.usefixtures("long_ticks")
@pytest.mark.parametrize("state", [GrantState.PAUSED, GrantState.IN_DOUBT])
async def test_what_is_paused_or_in_doubt_and_nobody_comes_back_to_is_let_go(
    state: GrantState,
) -> None:
    """Its refresh token may be alive, so it is revoked."""
    world, replica, _ = await settled_world()
    await world.rewrite(state=state, posts=1)
    async with running(replica.engine.keeping):
        await world.clock.pass_time(89 * DAY)
        assert state_of(world) is state
        await world.clock.pass_time(2 * DAY)
    assert state_of(world) is GrantState.ENDED
    assert world.issuer.revoked == ["first"]
    assert not world.issuer.posts


@pytest.mark.parametrize("offset_days", [100, -100])
async def test_a_keeper_whose_clock_is_wrong_lets_nothing_go_that_is_in_use(
    monkeypatch: pytest.MonkeyPatch, offset_days: float
) -> None:
    """Ada's job uses it twice a day, through another replica."""
    monkeypatch.setattr(keeping, "TICK_SECONDS", 120.0)
    world, replica, caller = await settled_world()
    wrong = world.replica("wrong", offset=offset_days * DAY)
    async with running(wrong.engine.keeping):
        for _ in range(6):
            await replica.minting.mint_access_token(caller, WANT_READ)
            await world.clock.pass_time(DAY / 2)
    assert state_of(world) is GrantState.READY
    assert "grant_dormant" not in world.audit.events()


@pytest.mark.usefixtures("long_ticks")
async def test_a_lost_grant_is_kept_for_a_week_and_then_buried() -> None:
    """Without a word to the issuer."""
    world, replica, _ = await settled_world()
    await world.rewrite(state=GrantState.LOST)
    async with running(replica.engine.keeping):
        await world.clock.pass_time(6.9 * DAY)
        assert state_of(world) is GrantState.LOST
        await world.clock.pass_time(0.4 * DAY)
    assert state_of(world) is GrantState.ENDED
    assert not world.issuer.revoked


async def test_a_claim_left_behind_is_settled_though_nobody_asks() -> None:
    """So that status and metrics tell the truth."""
    world, replica, _ = await settled_world()
    await world.rewrite(state=GrantState.CLAIMED, claimed_by="gone", posts=1)
    async with running(replica.engine.keeping):
        await world.clock.pass_time(700)
    assert state_of(world) is GrantState.IN_DOUBT
    assert replica.engine.keeping.census() == {(ISSUER, "in_doubt"): 1}


@pytest.mark.usefixtures("long_ticks")
async def test_an_end_that_no_refresh_moves_is_logged_once_a_day(logged: list[EventDict]) -> None:
    """With the days that are left; a new login ends it."""
    world, replica, _ = await settled_world()
    ends = world.clock.now() + datetime.timedelta(days=6)
    await world.rewrite(refresh_expires_at=ends)
    keeper = replica.engine.keeping
    async with running(keeper):
        await world.clock.pass_time(1.9 * DAY)
        told = [one["days_left"] for one in logged if one["event"] == "grant_expires"]
        assert len(told) == 2
        assert told == sorted(told, reverse=True)
        assert keeper.expiring == 1
        await world.rewrite(refresh_expires_at=None)
        await world.clock.pass_time(0.3 * DAY)
        assert not keeper.expiring


# -- each for itself -----------------------------------------------------------------------------


class PatchyRecords(MemoryRecords[Grant]):
    """Records of which some cannot be read."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.errors: dict[str, Exception] = {}

    async def get(self, segment: str) -> Stored[Grant] | None:
        found = await super().get(segment)
        if segment in self.errors:
            raise self.errors[segment]
        return found


@dataclass
class Kept:
    """A keeper over records, and a stand-in for refreshes that stores what comes of them."""

    right: Callable[[Grant], Right] = lambda _: READ
    clock: FakeClock = field(default_factory=FakeClock)
    audit: FakeAudit = field(default_factory=FakeAudit)
    neighbours: list[str] = field(default_factory=list)
    holes: set[str] = field(default_factory=set)
    asked: list[Wish] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    fails: CredbrokerError | Exception | None = None
    name = "one"

    def __post_init__(self) -> None:
        self.records = PatchyRecords(self.clock)
        self.held = HeldTokens(self.clock)
        self.entropy = FakeEntropy()
        means = Means(self.audit, self.clock, self.entropy, Deeds(self.clock))
        self.keeping = Keeping(
            self.records,
            cast("Refreshing", self),
            self,
            cast("Ending", self),
            self.held,
            replicas=self,
            rules=KeepingRules(),
            means=means,
        )

    def live(self) -> list[str]:
        return self.neighbours

    def whole_right(self, grant: Grant) -> Right:
        return self.right(grant)

    async def renew_ahead(self, wish: Wish, seconds: float) -> None:
        await self.refresh(wish, seconds)

    async def refresh(self, wish: Wish, seconds: float) -> None:
        self.asked.append(wish)
        self.at.append(self.clock.elapsed())
        if self.fails is not None:
            raise self.fails
        if wish.key.issuer in self.holes:
            await self.clock.sleep(seconds)
            raise DOWN
        stored = await self.records.get(wish.key.segment())
        assert stored is not None
        now, write_id = self.clock.now(), self.entropy.token(16)
        after = replace(stored.value, refreshed_at=now, write_id=write_id)
        await self.records.put(wish.key.segment(), after, stored.version)
        self.keeping.noted(after)

    async def give(self, credkey: str, issuer: str = ISSUER, **changes: Any) -> str:
        """Store a grant; return its segment."""
        now = self.clock.now()
        grant = Grant(
            key=GrantKey(issuer, credkey, ROLE),
            line=f"line-{credkey}",
            issuer_url="https://issuer.test/",
            subject=f"sub-{credkey}",
            client_id="broker",
            scopes=READ.scopes,
            refresh_token=Secret("refresh token", f"first-{credkey}"),
            generation=1,
            state=GrantState.READY,
            write_id=f"write-{credkey}",
            created_at=now,
            refreshed_at=now,
        )
        await self.records.put(grant.key.segment(), replace(grant, **changes), 0)
        return grant.key.segment()

    def old(self) -> dict[str, Any]:
        """Return what makes a grant overdue for its refresh, and not unused for long."""
        long_ago = self.clock.now() - datetime.timedelta(days=10)
        return {"created_at": long_ago, "refreshed_at": long_ago}


async def test_a_black_hole_takes_no_place_from_other_issuers() -> None:
    """Its own grants wait, eight at a time; all others are in time."""
    kept = Kept(holes={"hole"})
    for number in range(40):
        await kept.give(f"person-{number}", "hole", **kept.old())
        await kept.give(f"person-{number}", "cms", **kept.old())
    async with running(kept.keeping):
        await kept.clock.pass_time(10)
        assert Counter(wish.key.issuer for wish in kept.asked) == {"hole": 8, "cms": 40}
        assert kept.keeping.due() == {"hole": 40, "cms": 0}
        assert all(wish.kept for wish in kept.asked)


@pytest.mark.usefixtures("long_ticks")
async def test_a_damaged_record_is_counted_told_of_once_and_delays_nobody(
    logged: list[EventDict],
) -> None:
    """It is looked at again after a day: a login may have replaced it."""
    kept = Kept()
    damaged = await kept.give("ada")
    for number in range(20):
        await kept.give(f"person-{number}", **kept.old())
    kept.records.errors[damaged] = RecordDamaged("A record in OpenBao or Vault is damaged.")
    async with running(kept.keeping):
        await kept.clock.pass_time(1800)
        assert kept.keeping.census() == {(ISSUER, "ready"): 20, ("", "damaged"): 1}
        assert len(kept.asked) == 20
        await kept.clock.pass_time(1.1 * DAY)
        kept.records.errors.clear()
        await kept.clock.pass_time(1.1 * DAY)
        assert kept.keeping.census() == {(ISSUER, "ready"): 21}
    assert [one["event"] for one in logged].count("grant_damaged") == 1


async def test_whatever_goes_wrong_with_one_grant_stays_with_it(logged: list[EventDict]) -> None:
    """A role that is gone, a bug, a record that vanished."""
    kept = Kept()

    def right(grant: Grant) -> Right:
        if grant.key.credkey == "roleless":
            raise NotFound("The role is not served any more.")
        return READ

    kept.right = right
    await kept.give("roleless", **kept.old())
    vanished = await kept.give("vanished")
    broken = await kept.give("broken")
    kept.records.errors[broken] = ValueError("a bug")
    async with running(kept.keeping):
        await kept.clock.pass_time(5)
        await kept.give("ada", **kept.old())
        del kept.records._newest[vanished]
        kept.keeping._index.look(vanished, 0)
        await kept.clock.pass_time(keeping.LIST_SECONDS)
    assert [wish.key.credkey for wish in kept.asked] == ["ada"]
    assert kept.keeping.census() == {(ISSUER, "ready"): 2, ("", "unread"): 1}
    assert [one["event"] for one in logged].count("keeping_broke") == 1


async def test_a_store_that_is_away_is_asked_again_and_not_hammered() -> None:
    """First for the list, then for each record."""
    kept = Kept()
    await kept.give("ada")
    kept.records.fail_next(AWAY, on="segments")
    kept.records.fail_next(AWAY, on="get")
    async with running(kept.keeping):
        await kept.clock.pass_time(keeping.FIRST_LIST_SECONDS + 10)
        assert kept.records.reads == 0
        await kept.clock.pass_time(keeping.LIST_SOON_SECONDS)
        assert (kept.records.reads, kept.keeping.is_warm) == (1, False)
        await kept.clock.pass_time(280)
        assert kept.records.reads == 1
        await kept.clock.pass_time(20)
        assert (kept.records.reads, kept.keeping.is_warm) == (2, True)


async def test_a_refresh_that_keeps_failing_is_not_tried_more_often_than_every_five_minutes() -> (
    None
):
    """Whatever it fails with."""
    for error in (DOWN, ValueError("a bug")):
        kept = Kept(fails=error)
        await kept.give("ada", **kept.old())
        async with running(kept.keeping):
            await kept.clock.pass_time(3600)
        assert 1 <= len(kept.asked) <= 12


async def test_a_grant_stored_here_is_known_without_being_read() -> None:
    """And what follows from it is due when it should be."""
    kept = Kept()
    async with running(kept.keeping):
        await kept.give("ada")
        for grant in kept.records.history:
            kept.keeping.noted(replace(grant, state=GrantState.CLAIMED))
            kept.keeping.noted(grant)
        await kept.clock.pass_time(60)
    assert kept.keeping.census() == {(ISSUER, "ready"): 1}
    assert kept.records.reads == 0


async def test_a_clock_that_jumps_two_days_does_no_harm() -> None:
    """Nothing fresh is refreshed, nothing is let go, nothing turns in a loop."""
    for jump in (2, -2):
        kept = Kept()
        for number in range(50):
            await kept.give(f"person-{number}")
        async with running(kept.keeping):
            await kept.clock.pass_time(10)
            kept.clock._now += datetime.timedelta(days=jump)
            await kept.clock.pass_time(7200)
        assert kept.asked == []
        assert kept.audit.lines == []


# -- shards --------------------------------------------------------------------------------------


async def test_replicas_share_the_grants_and_take_over_from_one_that_dies() -> None:
    """Whoever is left keeps them all, half a minute after it is known."""
    kept = Kept(neighbours=["one", "two", "three"])
    for number in range(100):
        await kept.give(f"person-{number}", **kept.old())
    async with running(kept.keeping):
        await kept.clock.pass_time(10)
        own = len(kept.asked)
        assert 10 < own < 70
        assert sum(kept.keeping.census().values()) == kept.records.reads // 3 == own
        kept.neighbours = ["one"]
        await kept.clock.pass_time(keeping.LIST_SOON_SECONDS + 20)
        assert len(kept.asked) == 100
        kept.neighbours = ["one", "two", "three"]
        await kept.clock.pass_time(10)
        assert sum(kept.keeping.census().values()) == own
        for grant in kept.records.history[:100]:
            kept.keeping.noted(grant)
        assert sum(kept.keeping.census().values()) == own


async def test_two_keepers_of_one_grant_do_it_no_harm() -> None:
    """They do not see each other; the claim decides."""
    world, replica, _ = await settled_world()
    other = world.replica("replica-2")
    long_ago = world.clock.now() - datetime.timedelta(days=10)
    await world.rewrite(created_at=long_ago, refreshed_at=long_ago)
    async with running(replica.engine.keeping, other.engine.keeping):
        await world.clock.pass_time(1200)
    assert set(world.issuer.posts.values()) == {1}
    assert state_of(world) is GrantState.READY
    assert SEGMENT in replica.engine.keeping._index


# -- many ----------------------------------------------------------------------------------------


async def test_grants_refreshed_in_the_same_hour_come_due_spread_over_the_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The busiest hour has less than one and a half times the mean."""
    monkeypatch.setattr(keeping, "TICK_SECONDS", 900.0)
    kept = Kept()
    for number in range(2000):
        await kept.give(f"person-{number}")
    kept.clock.advance(5.75 * DAY)
    begun = kept.clock.elapsed()
    async with running(kept.keeping):
        await kept.clock.pass_time(0.1 * DAY)
        del kept.asked[:], kept.at[:]
        begun = kept.clock.elapsed()
        await kept.clock.pass_time(DAY)
    per_hour = Counter(int((at - begun) // 3600) for at in kept.at)
    assert len(kept.at) > 1000
    assert max(per_hour.values()) < 1.5 * len(kept.at) / 24


@pytest.mark.usefixtures("long_ticks")
async def test_the_keepers_own_refreshes_add_up_until_an_unused_grant_is_let_go() -> None:
    """Week by week, whoever keeps it; one use begins the count anew."""
    world, replica, _ = await settled_world()
    async with running(replica.engine.keeping):
        await world.clock.pass_time(60 * DAY)
        assert world.grant.unused_seconds > 50 * DAY
        await world.rewrite(unused_seconds=0.0)
        await world.clock.pass_time(88 * DAY)
        assert state_of(world) is GrantState.READY
        await world.clock.pass_time(3 * DAY)
    assert state_of(world) is GrantState.ENDED
    assert world.grant.note == "This login was let go because nobody used it for 90 days."
