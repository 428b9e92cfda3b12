"""A claim is stored before the first byte, given back if nothing was sent, and never taken over."""

from __future__ import annotations

import pytest

from credbroker.domain.errors import GrantInDoubt, StoreRewound, StoreUnavailable, StoreUnclear
from credbroker.domain.grants import GrantState
from credbroker.domain.marks import RewindMark
from credbroker.domain.rotation import UnclearRule
from tests.fakes.clock import turns
from tests.unit.broker.custody.test_refreshing import fails_with, one_refresh
from tests.unit.broker.stalling import Stall
from tests.unit.broker.world import KEY, LINE, READ, World

READY, CLAIMED, IN_DOUBT = GrantState.READY, GrantState.CLAIMED, GrantState.IN_DOUBT


async def test_the_claim_counts_the_post_before_it_is_made() -> None:
    """So that nobody, whoever comes after, can make a third."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_seconds = 5
    replica.start(one_refresh(replica))
    await turns()
    assert (world.grant.state, world.grant.posts) == (CLAIMED, 1)
    assert world.grant.claimed_by == "replica-1"
    await world.clock.pass_time(5)
    assert (world.grant.state, world.grant.posts) == (READY, 0)


async def test_an_owner_that_was_stopped_before_its_post_posts_nothing() -> None:
    """It looks at its own time since boot, which went on while it was stopped."""
    world = World()
    stall = Stall(world.clock)
    slow, other = world.replica("slow", stall=stall), world.replica("other")
    await world.give_grant()
    world.issuer.connect_seconds = 1
    caller = slow.start(one_refresh(slow, seconds=600))
    await turns()
    world.grants.put_seconds = 1
    await world.clock.pass_time(1.5)
    stall.stop()
    await world.clock.pass_time(world.claim_seconds + 5)
    world.grants.put_seconds = 0
    world.issuer.connect_seconds = 0
    assert await fails_with(other) is GrantInDoubt
    stall.go_on()
    await world.clock.pass_time(5)
    assert isinstance(caller.exception(), StoreUnavailable)
    assert not world.issuer.posts
    assert world.grant.state is READY  # its owner knows that nothing was sent
    assert await one_refresh(other)


async def test_a_claim_in_a_vault_that_was_set_back_stands_for_no_post() -> None:
    """It is given back, and the halt is called."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    await replica.engine.beating.beat()
    stored = await world.rewind.get("rewind")
    assert stored is not None
    world.host_marks.counter = stored.value.counter + 5
    assert await fails_with(replica) is StoreRewound
    assert not world.issuer.posts
    assert world.grant.state is READY
    assert world.rewind.history[-1].halted_at is not None


async def test_during_a_halt_nothing_is_posted() -> None:
    """Until an operator has had the grants sorted."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    await world.rewind.put("rewind", RewindMark(7, halted_at=world.clock.now(), halted_by="x"), 0)
    for _ in range(3):
        assert await fails_with(replica) is StoreRewound
        world.clock.advance(10)
    assert not world.issuer.posts


@pytest.mark.parametrize("rule", [UnclearRule.ASK, UnclearRule.ONCE_MORE])
async def test_an_expired_claim_is_put_in_doubt_with_its_age(rule: UnclearRule) -> None:
    """What a retry may do is counted from the claim, by Vault's clock."""
    world = World(rule=rule)
    replica = world.replica()
    await world.give_grant()
    await world.rewrite(state=CLAIMED, claimed_by="dead", posts=1, write_id="c")
    world.clock.advance(world.claim_seconds + 3)
    found = await replica.engine.claiming.settled(KEY, LINE, resting=True)
    assert found.grant.state is IN_DOUBT
    assert found.grant.doubt_seconds == world.claim_seconds + 3
    assert found.grant.posts == 1


async def test_who_keeps_the_grant_is_no_sign_of_use() -> None:
    """Or nothing would ever be let go."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    found = await replica.engine.claiming.settled(KEY, LINE)
    await replica.engine.claiming.claim(found, READ, kept=True)
    assert world.grant.used_at is None


async def test_a_caller_marks_the_grant_as_used() -> None:
    """With the claim, so it costs no write."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    await one_refresh(replica)
    assert world.grant.used_at == world.clock.now()


async def test_a_claim_that_was_put_in_doubt_before_its_answer_came_is_undone() -> None:
    """The claim landed and its answer did not; another replica took it for left behind."""
    world = World()
    stall = Stall(world.clock)
    slow, other = world.replica("slow", stall=stall), world.replica("other")
    await world.give_grant()
    world.grants.put_seconds = 1
    caller = slow.start(one_refresh(slow, seconds=600))
    world.grants.fail_next(StoreUnclear("No answer."), acted=True, on="put")
    await world.clock.pass_time(1.5)
    stall.stop()
    await world.clock.pass_time(world.claim_seconds + 5)
    world.grants.put_seconds = 0
    assert await fails_with(other) is GrantInDoubt
    stall.go_on()
    await world.clock.pass_time(30)
    assert not world.issuer.posts or max(world.issuer.posts.values()) == 1
    assert world.grant.state is READY
    assert caller.done()


async def test_what_is_given_back_too_late_revokes_nothing() -> None:
    """Another replica refreshed meanwhile: the value is spent, and its family is alive."""
    world = World(rule=UnclearRule.ONCE_MORE)
    stall = Stall(world.clock)
    slow, other = world.replica("slow", stall=stall), world.replica("other")
    await world.give_grant()
    world.grants.put_seconds = 1
    slow.start(one_refresh(slow, seconds=600))
    await world.clock.pass_time(1.5)
    stall.stop()
    await world.clock.pass_time(world.claim_seconds + 5)
    world.grants.put_seconds = 0
    assert await one_refresh(other)
    stall.go_on()
    await world.clock.pass_time(30)
    assert not world.issuer.revoked
    assert world.grant.state is READY
