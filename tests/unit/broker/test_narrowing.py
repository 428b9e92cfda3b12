"""Narrow tokens: the cheapest way to them, shared by all, never wider, and the grant left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from credbroker.broker.custody.refreshing import UNFIT_PAUSE_SECONDS
from credbroker.broker.keeper.keeping import PATIENCE_SECONDS
from credbroker.broker.leasing import Caller
from credbroker.broker.narrowing import Narrowing, Way
from credbroker.broker.running import Means
from credbroker.domain.attenuation import Right, Wanted
from credbroker.domain.errors import (
    AuditUnavailable,
    CredbrokerError,
    GrantPaused,
    IssuerGaveLess,
    IssuerMisbehaved,
    IssuerRefusedRequest,
    IssuerUnreachable,
    StoreUnavailable,
)
from credbroker.domain.narrow import PLACES
from credbroker.domain.outcomes import Dead, NotActedOn
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.tokens import AccessToken
from tests.fakes.issuer import Widen
from tests.fakes.mint import FakeMint
from tests.unit.broker.world import ISSUER, KEY, LINE, SEGMENT, Replica, World, wish

LIFE = 1200
SE1, SE2 = "https://se1.test", "https://se2.test"
AWAY = StoreUnavailable("OpenBao/Vault does not answer.")
REFUSED = IssuerRefusedRequest("The issuer refuses this scope or audience to the broker.")
EVERYTHING = Wanted()


async def exchanging_world() -> tuple[World, Replica, Caller]:
    """Return a world whose issuer rotates and exchanges, with one replica, grant and caller."""
    world = World()
    world.issuer.exchanges = True
    replica = world.replica()
    await world.give_grant()
    _, caller = await world.give_lease(replica)
    return world, replica, caller


def narrow(text: str = "storage.read:/job", *audiences: str) -> Wanted:
    """Return a wish for less than the grant gives."""
    return Wanted(ScopeSet.parse(text), audiences or None)


async def mint(replica: Replica, caller: Caller, wanted: Wanted | None = None) -> AccessToken:
    """Mint as a surface does, by default something narrow."""
    wanted = narrow() if wanted is None else wanted
    return (await replica.minting.mint_access_token(caller, wanted)).token


def refreshes(world: World) -> int:
    """Return how often a refresh token was posted."""
    return sum(world.issuer.posts.values())


# -- the ways ------------------------------------------------------------------------------------


async def test_exchanges_cost_one_refresh_however_many_rights_are_wanted() -> None:
    """The token of the whole right is fetched once and exchanged each time."""
    world, replica, caller = await exchanging_world()
    for number in range(5):
        token = await mint(replica, caller, narrow(f"storage.read:/job/{number}", SE1))
        assert str(token.scopes) == f"storage.read:/job/{number}"
        assert token.audiences == (SE1,)
    assert (refreshes(world), len(world.issuer.exchanged)) == (1, 5)
    assert len(set(world.issuer.exchanged)) == 1


async def test_a_mint_of_our_own_comes_before_everything() -> None:
    """The issuer is asked for its word about the person, once, and for no token to hand out."""
    world, replica, _ = await exchanging_world()
    engine, fake = replica.engine, FakeMint(world.clock)
    narrowing = Narrowing(
        {ISSUER: world.issuer},
        engine.refreshing,
        engine.gates,
        engine.refreshing._held,
        Means(world.audit, world.clock, world.entropy, replica.deeds),
        shared=world.narrow,
        renew_after=0.5,
        mints={ISSUER: fake},
    )
    assert narrowing.way(ISSUER) is Way.MINT
    right = Right(ScopeSet.parse("storage.read:/job"), (SE1,))
    whole = replica.minting.whole_right(world.grant)
    token = await narrowing.fetch(wish(right), world.grant, whole, 9.0)
    assert (token.scopes, token.audiences, token.issuer_url) == (*_sides(right), fake.url)
    assert (refreshes(world), world.issuer.exchanged, world.narrow.history) == (1, [], [])
    fake.widen = lambda one: replace(one, scopes=ScopeSet.parse("storage.read:/"))
    with pytest.raises(IssuerMisbehaved):
        await narrowing.fetch(wish(replace(right, audiences=(SE2,))), world.grant, whole, 9.0)


def _sides(right: Right) -> tuple[ScopeSet, tuple[str, ...]]:
    return right.scopes, right.audiences


async def test_where_there_is_no_other_way_a_refresh_narrows() -> None:
    """Each right takes a use of the refresh token; what is asked for next does not depend on it."""
    world, replica, caller = await exchanging_world()
    world.issuer.exchanges = False
    one = await mint(replica, caller, narrow("storage.read:/one"))
    whole = await mint(replica, caller, EVERYTHING)
    assert str(one.scopes) == "storage.read:/one"
    assert str(whole.scopes) == str(world.grant.scopes.rights())
    assert (refreshes(world), world.issuer.exchanged) == (2, [])


async def test_the_whole_right_is_refreshed_and_not_exchanged() -> None:
    """However it is written."""
    world, replica, caller = await exchanging_world()
    rights = [str(item) for item in world.grant.scopes.rights()]
    first = await mint(replica, caller, EVERYTHING)
    assert await mint(replica, caller, narrow(" ".join(reversed(rights)))) is first
    assert (refreshes(world), world.issuer.exchanged) == (1, [])


# -- one token for all ---------------------------------------------------------------------------


async def test_a_thousand_callers_share_one_exchange() -> None:
    """They come while it is under way."""
    world, replica, caller = await exchanging_world()
    await mint(replica, caller, EVERYTHING)
    world.issuer.answer_seconds = 1
    asked = [replica.start(mint(replica, caller)) for _ in range(1000)]
    await world.clock.pass_time(2)
    assert len({one.result().jti for one in asked}) == 1
    assert len(world.issuer.exchanged) == 1


@pytest.mark.parametrize("exchanges", [True, False])
async def test_replicas_share_a_narrow_token_whatever_the_order_of_its_names(
    exchanges: bool,
) -> None:
    """The first who asks gets the order that it wrote; who comes later gets the same token."""
    world, one, caller = await exchanging_world()
    world.issuer.exchanges = exchanges
    two = world.replica("replica-2")
    first = await mint(one, caller, narrow("storage.read:/a compute.read", SE2, SE1))
    await one.deeds.finish()
    asked = refreshes(world), len(world.issuer.exchanged)
    second = await mint(two, caller, narrow("compute.read storage.read:/a", SE1, SE2))
    assert second.jti == first.jti
    assert str(first.scopes) == "storage.read:/a compute.read"
    assert first.audiences == (SE2, SE1)
    assert (refreshes(world), len(world.issuer.exchanged)) == asked


async def test_two_replicas_at_once_cost_one_exchange_more_and_no_wrong_token() -> None:
    """Both hold what they got; whoever comes later gets one of the two."""
    world, one, caller = await exchanging_world()
    two, three = world.replica("replica-2"), world.replica("replica-3")
    await mint(one, caller, EVERYTHING)
    await mint(two, caller, EVERYTHING)
    world.issuer.answer_seconds = 1
    asked = [replica.start(mint(replica, caller)) for replica in (one, two)]
    await world.clock.pass_time(2)
    world.issuer.answer_seconds = 0
    tokens = [ended.result() for ended in asked]
    assert {str(token.scopes) for token in tokens} == {"storage.read:/job"}
    assert len(world.issuer.exchanged) == 2
    await one.deeds.finish()
    await two.deeds.finish()
    assert (await mint(three, caller)).jti in {token.jti for token in tokens}
    assert len(world.issuer.exchanged) == 2


async def test_a_shared_token_that_is_due_is_got_anew() -> None:
    """By a replica that never had it, too; the new one is then shared in its place."""
    world, one, caller = await exchanging_world()
    two, three = world.replica("replica-2"), world.replica("replica-3")
    first = await mint(one, caller)
    await one.deeds.finish()
    world.clock.advance(LIFE / 2 + 1)
    second = await mint(two, caller)
    await two.deeds.finish()
    assert second.jti != first.jti
    assert (await mint(three, caller)).jti == second.jti


async def test_a_caller_that_needs_more_of_its_life_gets_another() -> None:
    """Although the shared one is not due: then all live on the new one."""
    world, one, caller = await exchanging_world()
    two = world.replica("replica-2")
    await mint(one, caller)
    await one.deeds.finish()
    world.clock.advance(300)
    token = await mint(two, caller, replace(narrow(), floor_seconds=1000))
    assert token.seconds_left(world.clock.now()) >= 1000
    assert await mint(two, caller) is token


async def test_after_a_logout_nobody_is_given_what_was_shared_before() -> None:
    """A new login has a line of its own."""
    world, one, caller = await exchanging_world()
    first = await mint(one, caller)
    await one.deeds.finish()
    await world.rewrite(line="line-2")
    two = world.replica("replica-2")
    _, other = await world.give_lease(two, line="line-2")
    assert (await mint(two, other)).jti != first.jti
    await two.deeds.finish()
    assert [kept.line for kept in world.narrow.history] == [LINE, "line-2"]


async def test_many_rights_take_few_records() -> None:
    """What jobs asked for over the years does not fill the store."""
    world, replica, caller = await exchanging_world()
    for number in range(3 * PLACES):
        await mint(replica, caller, narrow(f"storage.read:/job/{number}"))
    await replica.deeds.finish()
    places = await world.narrow.segments()
    assert len(places) <= PLACES
    assert all(place.startswith(KEY.segment()) for place in places)


@pytest.mark.parametrize("call", ["get", "put"])
async def test_what_cannot_be_shared_is_given_all_the_same(call: str) -> None:
    """The place for it is out of reach; the grant is not."""
    world, replica, caller = await exchanging_world()
    world.narrow.fail_next(AWAY, on="get" if call == "get" else "put")
    token = await mint(replica, caller)
    await replica.deeds.finish()
    assert str(token.scopes) == "storage.read:/job"
    assert world.narrow.history == []


async def test_a_shared_token_is_checked_like_the_issuers_answer() -> None:
    """One that is wider than its record says, or forged, is not passed on."""
    world, one, caller = await exchanging_world()
    two = world.replica("replica-2")
    first, whole = await mint(one, caller), await mint(one, caller, EVERYTHING)
    await one.deeds.finish()
    (place,) = await world.narrow.segments()
    await world.narrow.put(place, replace(world.narrow.newest(place), value=whole.value), 1)
    token = await mint(two, caller)
    assert token.jti not in {first.jti, whole.jti}
    assert str(token.scopes) == "storage.read:/job"


# -- the grant is left alone ---------------------------------------------------------------------


async def test_an_exchange_changes_nothing_about_the_grant() -> None:
    """Neither its record nor the whole-right token that another replica may serve."""
    world, one, caller = await exchanging_world()
    whole = await mint(one, caller, EVERYTHING)
    before = world.grant
    await mint(one, caller)
    assert world.grant == before
    two = world.replica("replica-2")
    assert (await mint(two, caller, EVERYTHING)).jti == whole.jti


async def test_a_narrow_refresh_does_not_displace_the_whole_right_token() -> None:
    """Where there is no other way: a second replica still serves the whole right from the record."""
    world, one, caller = await exchanging_world()
    world.issuer.exchanges = False
    whole = await mint(one, caller, EVERYTHING)
    await mint(one, caller)
    two = world.replica("replica-2")
    assert (await mint(two, caller, EVERYTHING)).jti == whole.jti
    assert refreshes(world) == 2


async def test_what_is_in_use_is_renewed_ahead_by_exchange() -> None:
    """The keeper spends a refresh token only on the whole right, when that is due."""
    world, replica, caller = await exchanging_world()
    token = await mint(replica, caller)
    narrow_wish = wish(Right(token.scopes))
    await replica.minting.renew_ahead(narrow_wish, PATIENCE_SECONDS)
    renewed = await mint(replica, caller)
    assert renewed.jti != token.jti
    assert (refreshes(world), len(world.issuer.exchanged)) == (1, 2)
    await world.rewrite(line="line-2")
    await replica.engine.containing.changing(SEGMENT)  # as the logout before it did
    await replica.minting.renew_ahead(narrow_wish, PATIENCE_SECONDS)
    assert len(world.issuer.exchanged) == 2


async def test_a_refused_exchange_is_told_in_words_and_not_repeated_at_once() -> None:
    """The grant stays as it is, and other rights are still to be had."""
    world, replica, caller = await exchanging_world()
    await mint(replica, caller, EVERYTHING)
    before = world.grant
    world.issuer.at_exchange = lambda: NotActedOn(REFUSED)
    for _ in range(3):
        with pytest.raises(IssuerRefusedRequest, match="refuses"):
            await mint(replica, caller)
    assert (len(world.issuer.exchanged), refreshes(world)) == (1, 1)
    assert world.grant == before
    world.issuer.at_exchange = lambda: None
    await mint(replica, caller, narrow("compute.read"))
    world.clock.advance(UNFIT_PAUSE_SECONDS)
    await mint(replica, caller)
    assert refreshes(world) == 1


async def test_a_whole_token_that_is_no_longer_taken_is_got_anew_once() -> None:
    """Revoked at the issuer, say; if the next one is not taken either, that is said."""
    world, replica, caller = await exchanging_world()
    await mint(replica, caller, EVERYTHING)
    dead = [Dead(GrantPaused("x"))]
    world.issuer.at_exchange = lambda: dead.pop() if dead else None
    await mint(replica, caller)
    assert (refreshes(world), len(set(world.issuer.exchanged))) == (2, 2)
    world.issuer.at_exchange = lambda: Dead(GrantPaused("x"))
    with pytest.raises(IssuerRefusedRequest):
        await mint(replica, caller, narrow("compute.read"))
    assert (refreshes(world), len(world.issuer.exchanged)) == (3, 4)


# -- the answer is checked -----------------------------------------------------------------------


def _scopes(text: str) -> Widen:
    return lambda one: replace(one, scopes=ScopeSet.parse(text))


WRONG: list[tuple[Widen, type[CredbrokerError]]] = [
    (_scopes("storage.read:/"), IssuerMisbehaved),
    (_scopes("storage.read:/jobs"), IssuerMisbehaved),
    (_scopes("storage.read:/job compute.read"), IssuerMisbehaved),
    (_scopes("storage.read:/job/"), IssuerGaveLess),
    (_scopes(""), IssuerGaveLess),
    (lambda one: replace(one, groups=("/cms",)), IssuerMisbehaved),
    (lambda one: replace(one, subject="sub-bob"), IssuerMisbehaved),
    (lambda one: replace(one, audiences=(SE1, SE2)), IssuerMisbehaved),
    (lambda one: replace(one, audiences=(SE1 + "/",)), IssuerMisbehaved),
    (lambda one: replace(one, audiences=("https://wlcg.cern.ch/jwt/v1/any",)), IssuerMisbehaved),
    (lambda one: replace(one, issuer_url="https://evil.test/"), IssuerMisbehaved),
    (lambda one: replace(one, expires_at=one.issued_at), IssuerMisbehaved),
]


@pytest.mark.parametrize(("widen", "error"), WRONG)
async def test_an_answer_that_is_not_what_was_asked_for_reaches_nobody(
    widen: Widen, error: type[CredbrokerError]
) -> None:
    """It is neither held nor shared."""
    world, one, caller = await exchanging_world()
    two = world.replica("replica-2")
    await mint(one, caller, EVERYTHING)
    world.issuer.widen = widen
    for replica in (one, two):
        with pytest.raises(error):
            await mint(replica, caller, narrow("storage.read:/job", SE1))
    assert world.narrow.history == []
    assert (
        one.refreshing._held.get(LINE, Right(ScopeSet.parse("storage.read:/job"), (SE1,))) is None
    )


# -- trouble -------------------------------------------------------------------------------------


async def test_exchanges_pass_the_issuers_gate() -> None:
    """As many at once as refreshes may be; and none while it is closed."""
    world = World()
    world.issuer.exchanges = True
    world.limits = {ISSUER: replace(world.limits[ISSUER], at_once=2)}
    replica = world.replica()
    await world.give_grant()
    _, caller = await world.give_lease(replica)
    await mint(replica, caller, EVERYTHING)
    world.issuer.answer_seconds = 1
    asked = [
        replica.start(mint(replica, caller, narrow(f"storage.read:/{number}")))
        for number in range(5)
    ]
    await world.clock.pass_time(0.5)
    assert 0 < len(world.issuer.exchanged) <= 2
    await world.clock.pass_time(8)
    assert all(one.result() for one in asked)
    world.issuer.answer_seconds = 0
    for _ in range(3):
        replica.engine.gates[ISSUER].note(IssuerUnreachable("x"))
    with pytest.raises(IssuerUnreachable, match="tried again"):
        await mint(replica, caller, narrow("compute.read"))
    assert len(world.issuer.exchanged) == 5


async def test_an_issuer_that_falls_silent_at_exchanges_is_left_alone() -> None:
    """Three grants without an answer close its gate; what is held is served on."""
    world, replica, caller = await exchanging_world()
    held = await mint(replica, caller)
    callers = []
    for name in ("bob", "carol", "dave"):
        grant = await world.give_grant_to(name, f"first-{name}")
        _, one = await world.give_lease(replica, grant.key, grant.line)
        await mint(replica, one, EVERYTHING)
        callers.append(one)
    world.issuer.down = IssuerUnreachable("The issuer does not answer.")
    for one in callers:
        with pytest.raises(IssuerUnreachable):
            await mint(replica, one)
    assert replica.engine.gates[ISSUER].in_trouble
    world.clock.advance(LIFE / 2 + 1)
    assert await mint(replica, caller) is held


async def test_without_a_trail_nothing_is_exchanged() -> None:
    """The refresh for the whole right is on it already."""
    world, replica, caller = await exchanging_world()
    await mint(replica, caller, EVERYTHING)
    world.audit.refused.add("exchange_begun")
    with pytest.raises(AuditUnavailable):
        await mint(replica, caller)
    assert world.issuer.exchanged == []


async def test_the_trail_tells_of_an_exchange_and_holds_no_token() -> None:
    """Whose, for what, and from which token it came."""
    world, replica, caller = await exchanging_world()
    whole = await mint(replica, caller, EVERYTHING)
    token = await mint(replica, caller)
    line = world.audit.last("exchange_begun")
    assert (line["credkey"], line["subject_jti"]) == (KEY.credkey, whole.jti)
    assert world.audit.last("mint")["jti"] == token.jti
    for value in (whole.value.reveal(), token.value.reveal()):
        assert f"'{value}'" not in str(world.audit.lines)


async def test_a_grant_that_ended_is_not_exchanged_for_who_lives_on_it() -> None:
    """The keeper comes too late."""
    world, replica, caller = await exchanging_world()
    token = await mint(replica, caller)
    before = list(world.issuer.exchanged)
    await replica.ending.log_out(caller)
    await replica.minting.renew_ahead(wish(Right(token.scopes)), PATIENCE_SECONDS)
    assert world.issuer.exchanged == before
