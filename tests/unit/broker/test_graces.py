"""A grace is no longer for Vault having been away."""

from __future__ import annotations

from credbroker.domain.errors import StoreUnavailable, StoreUnclear
from credbroker.domain.grants import Grant
from credbroker.domain.rotation import UnclearRule
from tests.fakes.clock import turns
from tests.unit.broker.custody.test_refreshing import one_refresh
from tests.unit.broker.stalling import Posts
from tests.unit.broker.world import GRACE_SECONDS, World

AWAY = StoreUnavailable("away")
UNCLEAR = StoreUnclear("unclear")


async def test_a_doubt_that_vault_took_late_is_as_old_as_it_is() -> None:
    """The retry must fit into the grace from the claim on, however long the record took."""
    world = World(rule=UnclearRule.GRACE)
    posts = Posts()
    a = world.replica(posts=posts)
    await world.give_grant()
    world.issuer.swallow()
    a.start(one_refresh(a, seconds=6000))
    await turns()
    assert world.issuer.posts == {"first": 1}
    for _ in range(2000):
        world.grants.fail_next(AWAY)
    await world.clock.pass_time(600)  # an outage of ten minutes
    world.grants.mend()
    await world.clock.pass_time(60)
    first, *more = posts.at["first"]
    assert all(at - first < GRACE_SECONDS for at in more), "the retry came after the grace"


async def test_a_claim_given_back_late_does_not_begin_the_grace_anew() -> None:
    """What is written once more as it was is no younger for it."""
    world = World(rule=UnclearRule.GRACE)
    posts = Posts()
    a = world.replica(posts=posts)
    await world.give_grant()
    world.issuer.swallow()
    world.issuer.connect_seconds = 0
    a.start(one_refresh(a, seconds=6000))
    await turns()
    await world.clock.pass_time(29)
    assert posts.at["first"]
    # the claim of the retry: no answer, then Vault is away for ten minutes
    put = world.grants.put
    state = {"n": 0}

    async def failing(segment: str, value: Grant, version: int) -> int:
        if value.state.value == "claimed" and state["n"] == 0:
            state["n"] = 1
            for _ in range(3000):
                world.grants.fail_next(AWAY)
            raise UNCLEAR
        return await put(segment, value, version)

    world.grants.put = failing  # type: ignore[method-assign, assignment]  # stands in for the fake's own
    await world.clock.pass_time(600)
    world.grants.mend()
    world.issuer.mend()
    await world.clock.pass_time(5)
    a.start(one_refresh(a, seconds=6000))
    await world.clock.pass_time(30)
    first, *more = posts.at["first"]
    assert all(at - first < GRACE_SECONDS for at in more), "the retry came after the grace"
