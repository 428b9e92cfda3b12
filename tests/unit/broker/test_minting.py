"""What a caller gets: within its rights, alive, on the trail, and there also in bad times."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import replace
from typing import Any

import pytest

from credbroker.broker.containing import SILENT_SECONDS
from credbroker.broker.custody.refreshing import UNFIT_PAUSE_SECONDS
from credbroker.broker.leasing import Caller
from credbroker.broker.minting import Minted, MintingRules
from credbroker.broker.recall import ANSWER_SECONDS
from credbroker.domain.attenuation import ANY_AUDIENCE, Ceiling, Wanted
from credbroker.domain.errors import (
    AuditUnavailable,
    Busy,
    GrantInDoubt,
    IssuerGaveLess,
    IssuerMisbehaved,
    IssuerUnreachable,
    LeaseEnded,
    NotFound,
    OutsideCeiling,
    StoreUnavailable,
    TooSoonExpired,
)
from credbroker.domain.grants import GrantState
from credbroker.domain.outcomes import Unclear
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.tokens import AccessToken
from tests.fakes.clock import turns
from tests.fakes.issuer import Widen
from tests.unit.broker.world import ISSUER, READ, ROLE, WANT_READ, Replica, World

LIFE = 1200
DUE = LIFE / 2
DOWN = IssuerUnreachable("The issuer does not answer.")
AWAY = StoreUnavailable("OpenBao/Vault does not answer.")


async def settled_world() -> tuple[World, Replica, Caller]:
    """Return a world with one replica, one grant and a caller on it."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    _, caller = await world.give_lease(replica)
    return world, replica, caller


async def mint(replica: Replica, caller: Caller, wanted: Wanted = WANT_READ) -> Minted:
    """Mint as a surface does."""
    return await replica.minting.mint_access_token(caller, wanted)


def scopes(text: str, *audiences: str, floor: int = 0) -> Wanted:
    """Return a wish for these scopes."""
    return Wanted(ScopeSet.parse(text), audiences or None, floor)


# -- one token -----------------------------------------------------------------------------------


async def test_a_thousand_callers_get_one_token_by_one_refresh() -> None:
    """And a thousand lines on the trail."""
    world, replica, caller = await settled_world()
    world.issuer.answer_seconds = 1
    callers = [replica.start(mint(replica, caller)) for _ in range(1000)]
    await world.clock.pass_time(2)
    assert len({one.result().token.jti for one in callers}) == 1
    assert sum(world.issuer.posts.values()) == 1
    assert world.audit.events().count("mint") == 1000


async def test_a_good_token_is_used_again_until_it_is_due() -> None:
    """Then a new one is fetched, once."""
    world, replica, caller = await settled_world()
    first = await mint(replica, caller)
    world.clock.advance(DUE - 1)
    assert (await mint(replica, caller)).token is first.token
    world.clock.advance(1)
    await replica.engine.containing.read()
    assert (await mint(replica, caller)).token.jti != first.token.jti
    assert set(world.issuer.posts.values()) == {1}


async def test_an_answer_that_comes_after_everybody_left_is_there_for_the_next_caller() -> None:
    """Incident: an issuer takes 5 to 20 s and its clients time out first, for ever."""
    world, replica, caller = await settled_world()
    for latency in range(1, 31):
        world.issuer.answer_seconds = latency
        asked = replica.start(mint(replica, caller))
        await world.clock.pass_time(latency + 1)
        if isinstance(asked.exception(), Busy):
            minted = await mint(replica, caller)
        else:
            minted = asked.result()
        assert minted.token.seconds_left(world.clock.now()) > 0
        world.clock.advance(LIFE)
    assert set(world.issuer.posts.values()) == {1}
    assert len(world.issuer.posts) == 30


async def test_callers_are_told_when_to_come_back_before_the_token_runs_out() -> None:
    """Spread over a tenth of its life, so that they do not come all at once."""
    world, replica, caller = await settled_world()
    times = []
    for fraction in (0.0, 0.5, 0.99):
        world.entropy.next_fraction = fraction
        times.append((await mint(replica, caller)).renew_at)
    assert times == sorted(set(times))
    assert times[-1] < world.clock.now() + datetime.timedelta(seconds=LIFE)


async def test_the_trail_finds_the_token_in_other_services_logs_but_does_not_hold_it() -> None:
    """By jti, SHA-256 and the short SHA-1 that FTS uses."""
    world, replica, caller = await settled_world()
    minted = await mint(replica, caller)
    line = world.audit.last("mint")
    assert line["jti"] == minted.token.jti
    assert line["sha256"] == minted.token.value.digest()
    assert line["lease"] == caller.lease.id
    assert minted.token.value.reveal() not in str(world.audit.lines)


async def test_without_a_trail_no_token_leaves_and_nothing_is_spoiled() -> None:
    """Once the trail is mended the same token is given."""
    world, replica, caller = await settled_world()
    world.audit.refused.add("mint")
    with pytest.raises(AuditUnavailable):
        await mint(replica, caller)
    world.audit.refused.clear()
    assert (await mint(replica, caller)).token.jti in str(world.audit.lines)
    assert sum(world.issuer.posts.values()) == 1


# -- while issuer or store are away --------------------------------------------------------------


@pytest.mark.parametrize("away", ["issuer", "store"])
async def test_a_held_token_is_served_through_an_outage_until_its_end(away: str) -> None:
    """Never after its expiry, not by a second; nothing is fetched while the store is away."""
    world, replica, caller = await settled_world()
    first = await mint(replica, caller)
    posts = dict(world.issuer.posts)
    await fail(world, away)
    for _ in range(LIFE // 20 - 1):
        world.clock.advance(20)
        assert (await mint(replica, caller)).token is first.token
    world.clock.advance(19)
    assert (await mint(replica, caller)).token is first.token
    world.clock.advance(1)
    with pytest.raises((IssuerUnreachable, StoreUnavailable)):
        await mint(replica, caller)
    assert dict(world.issuer.posts) == posts


async def fail(world: World, what: str) -> None:
    """Take something away for as long as the test lasts."""
    if what == "store":
        for _ in range(10_000):
            world.grants.fail_next(AWAY)
    else:
        world.issuer.down = DOWN


async def test_a_token_that_runs_out_while_its_successor_is_waited_for_is_not_served() -> None:
    """The caller hears that it is worth trying again, not that it asked for too much."""
    world, replica, caller = await settled_world()
    await mint(replica, caller)
    world.clock.advance(LIFE - 5)
    await replica.engine.containing.read()
    world.issuer.answer_seconds = 30
    asked = replica.start(mint(replica, caller))
    await world.clock.pass_time(ANSWER_SECONDS)
    assert isinstance(asked.exception(), Busy)


async def test_a_slow_issuer_delays_a_held_token_by_nine_seconds_at_most() -> None:
    """Callers such as htgettoken give up after ten."""
    world, replica, caller = await settled_world()
    first = await mint(replica, caller)
    world.clock.advance(DUE)
    world.issuer.answer_seconds = 30
    asked = replica.start(mint(replica, caller))
    await world.clock.pass_time(ANSWER_SECONDS)
    assert asked.result().token is first.token


async def test_a_grant_in_doubt_is_told_at_once_but_takes_no_token_away() -> None:
    """What is still good is served; what is due is refused with the command that mends it."""
    world, replica, caller = await settled_world()
    await mint(replica, caller)
    compute = await mint(replica, caller, scopes("compute.read"))
    world.issuer.answer_next(Unclear(DOWN))
    for _ in range(2):
        with pytest.raises(GrantInDoubt) as caught:
            await mint(replica, caller, scopes("storage.read:/home"))
        assert "credbroker login" in caught.value.remedy
    assert world.grant.state is GrantState.IN_DOUBT
    assert (await mint(replica, caller, scopes("compute.read"))).token is compute.token


async def test_an_unknown_store_says_nothing_of_an_unknown_grant() -> None:
    """Just started, and the store is away: try later, not log in."""
    world, _, caller = await settled_world()
    await fail(world, "store")
    with pytest.raises(StoreUnavailable):
        await mint(world.replica("just started"), caller)


# -- the floor -----------------------------------------------------------------------------------


async def test_a_held_token_below_the_floor_is_replaced() -> None:
    """Though it is good enough for others."""
    world, replica, caller = await settled_world()
    first = await mint(replica, caller)
    world.clock.advance(300)
    wanted = scopes("storage.read:/", floor=1000)
    assert (await mint(replica, caller, wanted)).token.jti != first.token.jti


async def test_below_the_floor_nothing_is_served_in_an_outage() -> None:
    """A job that needs an hour is not sent off with ten minutes."""
    world, replica, caller = await settled_world()
    await mint(replica, caller)
    world.clock.advance(300)
    world.issuer.down = DOWN
    with pytest.raises(IssuerUnreachable):
        await mint(replica, caller, scopes("storage.read:/", floor=1000))


async def test_a_floor_that_no_token_reaches_does_not_wear_the_issuer_out() -> None:
    """Incident: a renewal loop of 50,000 requests, since the margin was above the lifetime."""
    world, replica, caller = await settled_world()
    for _ in range(500):
        with pytest.raises(TooSoonExpired):
            await mint(replica, caller, scopes("storage.read:/", floor=LIFE + 1))
        world.clock.advance(1)
    assert sum(world.issuer.posts.values()) == 1
    world.issuer.token_seconds = 2 * LIFE  # the issuer's operators have mended it
    world.clock.advance(DUE)
    minted = await mint(replica, caller, scopes("storage.read:/", floor=LIFE + 1))
    assert minted.token.seconds_left(world.clock.now()) == 2 * LIFE


# -- never wider ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [
        scopes("storage.modify:/"),
        scopes("storage.read:/ compute.cancel"),
        scopes("wlcg.groups"),
        scopes("openid"),
    ],
    ids=lambda wanted: str(wanted.scopes),
)
async def test_more_than_was_granted_is_refused_without_a_post(wanted: Wanted) -> None:
    """Nothing is cut silently."""
    world, replica, caller = await settled_world()
    with pytest.raises(OutsideCeiling):
        await mint(replica, caller, wanted)
    assert not world.issuer.posts


@pytest.mark.parametrize(
    "wanted",
    [
        scopes("storage.read:/other", "https://se.test/"),
        scopes("storage.read:/mine", "https://elsewhere.test/"),
        scopes("storage.read:/mine", ANY_AUDIENCE),
        Wanted(ScopeSet.parse("storage.read:/mine"), ()),
    ],
    ids=["path", "audience", "wildcard", "the issuer's choice"],
)
async def test_more_than_the_lease_allows_is_refused_without_a_post(wanted: Wanted) -> None:
    """A job's lease is good for its own right."""
    world, replica, caller = await settled_world()
    ceiling = Ceiling(ScopeSet.parse("storage.read:/mine"), ("https://se.test/",))
    narrow = replace(caller, lease=replace(caller.lease, ceiling=ceiling))
    with pytest.raises(OutsideCeiling):
        await mint(replica, narrow, wanted)
    assert not world.issuer.posts
    minted = await mint(replica, narrow, Wanted())
    assert (str(minted.token.scopes), minted.token.audiences) == (
        "storage.read:/mine",
        ("https://se.test/",),
    )


def wider(token: AccessToken) -> AccessToken:
    """Give more scopes."""
    return replace(token, scopes=ScopeSet.parse("storage.read:/ storage.modify:/"))


def for_anybody(token: AccessToken) -> AccessToken:
    """Name the wildcard audience."""
    return replace(token, audiences=(ANY_AUDIENCE,))


def of_somebody_else(token: AccessToken) -> AccessToken:
    """Name another person."""
    return replace(token, subject="sub-bob")


def with_groups(token: AccessToken) -> AccessToken:
    """Add groups that nobody asked for."""
    return replace(token, groups=("/cms",))


@pytest.mark.parametrize("change", [wider, for_anybody, of_somebody_else, with_groups])
async def test_an_issuers_answer_is_checked_not_trusted(change: Widen) -> None:
    """It is neither given out nor kept; the successor that came with it is."""
    world, replica, caller = await settled_world()
    world.issuer.widen = change
    wanted = scopes("storage.read:/", "https://se.test/")
    with pytest.raises(IssuerMisbehaved):
        await mint(replica, caller, wanted)
    assert "mint" not in world.audit.events()
    assert world.grant.generation == 2
    world.issuer.widen = lambda one: one
    with pytest.raises(IssuerMisbehaved):
        await mint(replica, caller, wanted)  # the same again so soon would only spend a token
    assert world.grant.generation == 2
    world.clock.advance(UNFIT_PAUSE_SECONDS)
    assert (await mint(replica, caller, wanted)).token.audiences == ("https://se.test/",)
    assert set(world.issuer.posts.values()) == {1}


async def test_where_a_token_has_one_audience_the_first_is_the_usual_one() -> None:
    """An issuer that reads `resource` may use up a refresh token over a second one."""
    world = World()
    allowed = ("https://one.test/", "https://two.test/")
    world.rules = MintingRules({(ISSUER, ROLE): allowed}, 0.5, frozenset({(ISSUER, ROLE)}))
    replica = world.replica()
    await world.give_grant()
    _, caller = await world.give_lease(replica)
    assert (await mint(replica, caller)).token.audiences == ("https://one.test/",)
    second = scopes("storage.read:/", "https://two.test/")
    assert (await mint(replica, caller, second)).token.audiences == ("https://two.test/",)


async def test_an_answer_with_less_than_asked_is_told() -> None:
    """A job with less would fail later and further away."""
    world, replica, caller = await settled_world()
    world.issuer.widen = lambda one: replace(one, scopes=ScopeSet())
    with pytest.raises(IssuerGaveLess):
        await mint(replica, caller)


async def test_what_one_right_holds_is_not_given_for_another() -> None:
    """A wider token at hand is no reason to hand it out."""
    world, replica, caller = await settled_world()
    await mint(replica, caller, scopes("storage.read:/ storage.create:/home"))
    assert str((await mint(replica, caller)).token.scopes) == "storage.read:/"
    assert len(world.issuer.posts) == 2


# -- ended logins --------------------------------------------------------------------------------


async def test_a_logout_elsewhere_is_noticed_within_five_seconds() -> None:
    """Held tokens are no longer given out either."""
    world, replica, caller = await settled_world()
    await mint(replica, caller)
    await world.rewrite(state=GrantState.ENDED, refresh_token=None, generation=3, write_id="w")
    world.clock.advance(5)
    with pytest.raises(LeaseEnded):
        await mint(replica, caller)


async def test_a_lease_of_another_line_gets_nothing() -> None:
    """A lease from before a logout, after somebody logged in anew."""
    _, replica, caller = await settled_world()
    await mint(replica, caller)
    old = replace(caller, lease=replace(caller.lease, line="line-0"))
    with pytest.raises(LeaseEnded):
        await mint(replica, old)


async def test_a_caller_whose_lease_is_not_confirmed_gets_only_what_is_held() -> None:
    """The lease may have been ended while the store was away."""
    world, replica, caller = await settled_world()
    held = await mint(replica, caller)
    world.clock.advance(DUE)
    world.leases.fail_next(AWAY)
    unsure = replace(caller, fresh=False)
    assert (await mint(replica, unsure)).token is held.token
    with pytest.raises(StoreUnavailable):
        await mint(replica, unsure, scopes("compute.read"))
    assert sum(world.issuer.posts.values()) == 1


async def test_who_has_no_token_waits_for_the_stores_word_on_its_lease() -> None:
    """As long as it can: a store that comes back serves it, and it is served what it may still have."""
    world, replica, caller = await settled_world()
    unsure = replace(caller, fresh=False)
    world.clock.advance(SILENT_SECONDS)
    world.revocations.get_seconds = 5
    asked = replica.start(mint(replica, unsure))
    await world.clock.pass_time(5)
    assert asked.result().token.value


async def test_what_another_fetched_while_the_store_was_waited_for_is_not_fetched_again() -> None:
    """Each refresh wears the issuer out, and a refresh token is spent on it."""
    world, replica, caller = await settled_world()
    step: asyncio.Task[Any] = replica.start(world.clock.sleep(5))  # as Vault takes to store it
    waits = replica.start(mint(replica, replace(caller, fresh=False, step=step)))
    await world.clock.pass_time(1)
    fetched = await mint(replica, caller)
    assert not waits.done()
    await world.clock.pass_time(4)
    assert waits.result().token is fetched.token
    assert sum(world.issuer.posts.values()) == 1


async def test_who_lost_its_lease_meanwhile_gets_nothing_when_the_store_is_back() -> None:
    """It was ended by another replica, which this one could not hear of."""
    world, replica, caller = await settled_world()
    unsure = replace(caller, fresh=False)
    await world.replica("other").leasing.end(caller)
    world.clock.advance(SILENT_SECONDS)
    with pytest.raises(LeaseEnded):
        await mint(replica, unsure)
    assert not world.issuer.posts


@pytest.mark.parametrize("waited", [0, 3, 8])
async def test_nobody_waits_longer_than_nine_seconds_in_all(waited: int) -> None:
    """What was spent on finding out who asks is not there for the issuer any more."""
    world, replica, caller = await settled_world()
    world.issuer.answer_seconds = 30
    answer_by = world.clock.elapsed() + ANSWER_SECONDS
    world.clock.advance(waited)
    asked = replica.start(mint(replica, replace(caller, answer_by=answer_by)))
    await world.clock.pass_time(ANSWER_SECONDS - waited)
    assert isinstance(asked.exception(), Busy)


async def test_the_right_of_a_wish_is_told_without_fetching() -> None:
    """A job's lease is made for it."""
    world, replica, caller = await settled_world()
    assert await replica.minting.right_of(caller, WANT_READ) == READ
    with pytest.raises(OutsideCeiling):
        await replica.minting.right_of(caller, scopes("storage.modify:/"))
    assert not world.issuer.posts


async def test_a_caller_that_hangs_up_leaves_the_token_for_others() -> None:
    """The refresh it began is theirs now."""
    world, replica, caller = await settled_world()
    world.issuer.answer_seconds = 3
    leaves, stays = (asyncio.ensure_future(mint(replica, caller)) for _ in range(2))
    await turns()
    leaves.cancel()
    await world.clock.pass_time(3)
    assert leaves.cancelled()
    assert stays.result().token.value.reveal() in world.issuer.issued
    assert world.issuer.posts == {"first": 1}


async def test_a_lease_whose_login_has_stored_nothing_yet_is_not_over() -> None:
    """There is no grant at all, or only one from before: the client may go and store its own."""
    world = World()
    replica = world.replica()
    _, caller = await world.give_lease(replica, line="line-new")
    with pytest.raises(NotFound):
        await replica.minting.mint_access_token(caller, WANT_READ)
    await world.give_grant()
    world.clock.advance(1.0)
    _, later = await world.give_lease(replica, line="line-new")
    with pytest.raises(NotFound):
        await replica.minting.mint_access_token(later, WANT_READ)
    with pytest.raises(LeaseEnded):
        await replica.minting.mint_access_token(caller, WANT_READ)


async def test_a_grant_that_another_replica_has_just_stored_is_found_at_once() -> None:
    """That there was none is not gone by: the same client asks again after its login."""
    world = World()
    replica = world.replica()
    _, caller = await world.give_lease(replica)
    with pytest.raises(NotFound):
        await replica.minting.mint_access_token(caller, WANT_READ)
    await world.give_grant()
    minted = await replica.minting.mint_access_token(caller, WANT_READ)
    assert minted.issuer == ISSUER
