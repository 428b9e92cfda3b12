"""What follows from a refresh reaches its place: past outages, doubts, other writers, and death."""

from __future__ import annotations

import asyncio

import pytest
from structlog.typing import EventDict

from credbroker.domain.errors import (
    Busy,
    GrantInDoubt,
    GrantPaused,
    IssuerUnreachable,
    LoginNeeded,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.grants import GrantState
from credbroker.domain.losses import BRAKED
from credbroker.domain.outcomes import Dead, NotActedOn, Unclear
from credbroker.domain.rotation import UnclearRule
from credbroker.domain.secret import Secret
from tests.fakes.clock import turns
from tests.unit.broker.custody.test_refreshing import fails_with, one_refresh
from tests.unit.broker.stalling import Stall
from tests.unit.broker.world import GRACE_SECONDS, Replica, World

READY, PAUSED, LOST = GrantState.READY, GrantState.PAUSED, GrantState.LOST
IN_DOUBT, ENDED = GrantState.IN_DOUBT, GrantState.ENDED
ONCE_MORE, GRACE = UnclearRule.ONCE_MORE, UnclearRule.GRACE

SILENT = Unclear(IssuerUnreachable("The issuer took a refresh and did not answer."))
REFUSED = Dead(LoginNeeded("The issuer no longer accepts this login."))
BUSY = NotActedOn(IssuerUnreachable("The issuer is busy (429)."))
AWAY = StoreUnavailable("OpenBao/Vault does not answer.")
UNCLEAR = StoreUnclear("OpenBao/Vault took a write and did not answer.")


async def answered_while_vault_is_away(
    world: World, times: int = 50
) -> tuple[Replica, asyncio.Task[Secret]]:
    """Begin a refresh whose successor Vault does not take."""
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_seconds = 1
    caller = replica.start(one_refresh(replica, seconds=600))
    await turns()
    for _ in range(times):
        world.grants.fail_next(AWAY)
    await world.clock.pass_time(2)
    return replica, caller


# -- the spool -----------------------------------------------------------------------------------


async def test_what_vault_does_not_take_at_once_lies_in_the_spool_meanwhile() -> None:
    """And nobody has the access token yet."""
    world = World()
    _, caller = await answered_while_vault_is_away(world)
    (spooled,) = world.spooled()
    assert spooled.refresh_token == Secret("refresh token", "refresh-1")
    assert (spooled.generation, spooled.state) == (2, READY)
    assert not caller.done()
    world.grants.mend()
    await world.clock.pass_time(10)
    assert caller.result()
    assert not world.spooled()


async def test_a_quick_vault_needs_no_spool() -> None:
    """The usual case costs no write on this host."""
    world = World()
    await world.give_grant()
    await one_refresh(world.replica())
    assert world.spools["replica-1"]._kept == 0


async def test_a_full_spool_does_not_stop_the_storing(logged: list[EventDict]) -> None:
    """Only the death of this process could lose it then, which is said loudly."""
    world = World()
    world.replica()
    world.spools["replica-1"].full = True
    replica = world.replica("replica-2")
    world.spools["replica-2"].full = True
    await world.give_grant()
    world.issuer.answer_seconds = 1
    caller = replica.start(one_refresh(replica, seconds=600))
    await turns()
    for _ in range(10):
        world.grants.fail_next(AWAY)
    await world.clock.pass_time(60)
    assert caller.result()
    assert "not_spooled" in [line["event"] for line in logged]


async def test_a_process_that_dies_with_a_spooled_successor_loses_nothing() -> None:
    """Its neighbour hands it in, before anybody calls the claim left behind."""
    world = World()
    stall = Stall(world.clock)
    dying = world.replica("dying", stall=stall)
    alive = world.replica("alive")
    await world.give_grant()
    world.issuer.answer_seconds = 1
    dying.start(one_refresh(dying, seconds=600))
    await turns()
    for _ in range(3):
        world.grants.fail_next(AWAY)
    await world.clock.pass_time(1.5)
    assert world.spooled()
    stall.stop()
    world.spools["dying"].die()
    world.grants.mend()
    await alive.engine.beating.beat()
    assert (world.grant.state, world.refresh_token) == (READY, "refresh-1")
    world.issuer.answer_seconds = 0
    assert await one_refresh(alive)
    assert world.issuer.posts == {"first": 1}  # what came with it lay in the spool, too


@pytest.mark.parametrize("spooled_first", [False, True])
async def test_where_logins_are_tied_together_a_replaced_successor_is_kept_sealed(
    spooled_first: bool,
) -> None:
    """Revoking it would end the new login; it goes when a later one is stored."""
    world = World()
    world.issuer.revoke_replaced = False
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_seconds = 1
    caller = replica.start(one_refresh(replica, seconds=600))
    await turns()
    if spooled_first:
        for _ in range(4):
            world.grants.fail_next(AWAY)
    login = Secret("refresh token", "login")
    await world.rewrite_anyway(refresh_token=login, generation=2, state=READY, write_id="w")
    await world.clock.pass_time(30)
    assert isinstance(caller.exception(), Busy)
    assert not world.issuer.revoked
    assert [one.refresh_token for one in world.spooled()] == [Secret("refresh token", "refresh-1")]
    assert world.refresh_token == "login"


# -- paused --------------------------------------------------------------------------------------


async def test_what_a_person_can_mend_at_the_issuer_pauses_the_grant() -> None:
    """It is kept, told at once, tried again a minute later, and works when it is mended."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    unsigned = GrantPaused("The issuer wants its usage policy (AUP) signed first.")
    world.issuer.answer_next(NotActedOn(unsigned))
    assert await fails_with(replica) is GrantPaused
    assert (world.grant.state, world.grant.reason) == (PAUSED, "grant_paused")
    assert world.refresh_token == "first"
    assert await fails_with(replica) is GrantPaused
    assert world.issuer.posts == {"first": 1}
    world.clock.advance(world.custody.paused_seconds)
    assert await one_refresh(replica)
    assert (world.grant.state, world.grant.posts) == (READY, 0)


async def test_a_verdict_that_is_not_believed_pauses_and_never_kills() -> None:
    """The brake is on: the issuer calls too many dead."""
    world = World()
    replica = world.replica()
    for number in range(8):
        await world.give_grant_to(f"person-{number}", f"value-{number}")
    world.issuer.standing = REFUSED
    kinds = []
    for number in range(8):
        kinds.append(await world.fails_for(replica, f"person-{number}"))
        world.clock.advance(61)  # once it is sure that something is wrong, it asks once a minute
    assert kinds == [LoginNeeded] * 5 + [GrantPaused] * 3
    states = [world.grant_of(f"person-{number}").state for number in range(8)]
    assert states == [LOST] * 5 + [PAUSED] * 3
    assert world.grant_of("person-7").reason == BRAKED
    assert world.grant_of("person-7").refresh_token == Secret("refresh token", "value-7")


# -- in doubt, by rule -----------------------------------------------------------------------------


async def test_once_more_means_one_retry_that_a_caller_asks_for() -> None:
    """As at INDIGO IAM: the lost answer is followed by one post of the same value, and no third."""
    world = World(rule=ONCE_MORE)
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_next(SILENT)
    assert await fails_with(replica) is IssuerUnreachable
    assert (world.grant.state, world.grant.posts) == (IN_DOUBT, 1)
    world.clock.advance(10)
    assert await one_refresh(replica)
    assert (world.grant.state, world.grant.posts) == (READY, 0)
    assert world.issuer.posts == {"first": 2}


async def test_a_refused_retry_means_that_the_first_post_had_been_acted_on() -> None:
    """The grant is lost, and that is said."""
    world = World(rule=ONCE_MORE)
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_next(SILENT, REFUSED)
    await fails_with(replica)
    world.clock.advance(10)
    assert await fails_with(replica) is LoginNeeded
    assert world.grant.state is LOST


async def test_what_was_given_back_twice_over_undoes_nobody_else_s_doubt() -> None:
    """The first writing was taken and its answer got lost; another replica has posted since."""
    world = World()
    one, other = world.replica("one"), world.replica("other")
    await world.give_grant()
    world.issuer.answer_next(BUSY, SILENT)
    world.issuer.answer_seconds = 1
    caller = one.start(fails_with(one))
    await turns()
    world.grants.fail_next(UNCLEAR, acted=True, on="put")
    for _ in range(3):
        world.grants.fail_next(AWAY, on="get")
    await world.clock.pass_time(1)
    world.grants.mend()
    world.issuer.answer_seconds = 0
    assert await fails_with(other) is GrantInDoubt
    assert world.grant.state is IN_DOUBT
    await world.clock.pass_time(60)
    assert caller.done()
    assert (world.grant.state, world.issuer.posts) == (IN_DOUBT, {"first": 2})


async def test_a_retry_without_an_answer_is_the_last_post() -> None:
    """Never a third, whatever the rule."""
    world = World(rule=ONCE_MORE)
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_next(SILENT, SILENT)
    await fails_with(replica)
    world.clock.advance(10)
    assert await fails_with(replica) is GrantInDoubt
    for name in ("replica-1", "replica-2"):
        world.clock.advance(1000)
        assert await fails_with(world.replica(name)) is GrantInDoubt
    assert world.issuer.posts == {"first": 2}


async def test_a_retry_that_provably_was_not_taken_may_be_made_again() -> None:
    """A busy issuer does not use the one retry up."""
    world = World(rule=ONCE_MORE)
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_next(SILENT, BUSY)
    await fails_with(replica)
    world.clock.advance(10)
    await fails_with(replica)
    assert (world.grant.state, world.grant.posts) == (IN_DOUBT, 1)
    world.clock.advance(10)
    assert await one_refresh(replica)


async def test_within_the_grace_the_retry_is_made_at_once() -> None:
    """The answer got lost; the same value is good a little longer, and gives the successor again."""
    world = World(rule=GRACE)
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_next(SILENT)
    assert await one_refresh(replica)
    assert world.issuer.posts == {"first": 2}
    assert world.grant.state is READY


async def test_no_retry_after_the_grace_which_runs_from_the_claim() -> None:
    """By Vault's clock, also over a crash of the owner."""
    world = World(rule=GRACE)
    await world.give_grant()
    await world.rewrite(
        state=GrantState.CLAIMED, claimed_by="dead", posts=1, write_id="c", doubt_seconds=0.0
    )
    world.clock.advance(max(GRACE_SECONDS, world.claim_seconds) + 1)
    assert await fails_with(world.replica()) is GrantInDoubt
    assert not world.issuer.posts


async def test_where_a_grace_is_on_record_an_answer_is_awaited_for_a_third_of_it() -> None:
    """So that the retry still fits in."""
    world = World(rule=GRACE)
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_seconds = 1000
    caller = replica.start(fails_with(replica))
    await world.clock.pass_time(GRACE_SECONDS / 3 - 1)
    assert world.issuer.posts == {"first": 1}
    await world.clock.pass_time(3)
    assert world.issuer.posts == {"first": 2}
    await world.clock.pass_time(GRACE_SECONDS)
    assert caller.done()
    assert world.issuer.posts == {"first": 2}
