"""A job's secret is used once: whatever is lost on the way, the job goes on, and a thief is caught."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from credbroker.broker.leasing import Caller, Origin
from credbroker.broker.recall import PATIENCE_SECONDS
from credbroker.broker.stepping import PACE, _Pair
from credbroker.broker.turns import LONGEST_WAIT_SECONDS
from credbroker.domain.attenuation import Wanted
from credbroker.domain.errors import (
    LeaseEnded,
    LeaseUnknown,
    Malformed,
    NotAllowed,
    StoreUnavailable,
    StoreUnclear,
    TooManyRequests,
)
from credbroker.domain.leases import Lease, LeaseToken
from credbroker.domain.secret import Secret
from credbroker.domain.starts import LATE_SECONDS, mark_of, next_secret
from tests.unit.broker.stalling import Stall
from tests.unit.broker.world import DAY, ORIGIN, READ, Replica, World

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")
THIEF = Origin("203.0.113.9", "request-2")


def strange(number: int) -> Secret:
    """Return a secret that none of a job's is like."""
    return Secret("lease", f"{number:043d}")


class Scene:
    """One job with a lease whose secrets are used once, and the replicas that it asks."""

    def __init__(self, world: World, replica: Replica, first: LeaseToken, person: Caller) -> None:
        """See `scene`."""
        self.world = world
        self.replica = replica
        self.first = first
        self.person = person

    def secret(self, number: int) -> Secret:
        """Return one of the secrets that the job chooses, 0 being the first; below 0 a stranger's."""
        if number < 0:
            return strange(-number)
        mark = mark_of(self.first.secret)
        return next_secret(mark, f"{number:027d}") if number else self.first.secret

    async def show(
        self,
        number: int,
        following: int,
        *,
        origin: Origin = ORIGIN,
        replica: Replica | None = None,
        is_heard: Callable[[], bool] = lambda: True,
    ) -> Caller:
        """Show a secret, 0 being the first, and name the next one."""
        shown = LeaseToken(self.first.id, self.secret(number))
        stepping = (replica or self.replica).engine.stepping
        named = self.secret(following).digest()
        return await stepping.identify(shown, named, origin, is_heard=is_heard)

    @property
    def lease(self) -> Lease:
        """The lease as it is stored."""
        return self.world.leases.newest(self.first.id)

    def events(self, kind: str) -> list[str]:
        """Return the addresses in the trail's events of one kind."""
        return [str(line["address"]) for line in self.world.audit.lines if line["event"] == kind]


@pytest.fixture
async def scene() -> Scene:
    """A job that may start twice."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    _, person = await world.give_lease(replica)
    first, _ = await replica.leasing.make_child(person, READ, job="job-1", seconds=DAY, starts=2)
    return Scene(world, replica, first, person)


async def test_each_secret_is_good_once_and_names_the_next(scene: Scene) -> None:
    """A step is stored before anybody is answered, and the start is on the trail."""
    for number in range(5):
        caller = await scene.show(number, number + 1)
        assert (caller.lease.id, caller.fresh, caller.next_taken) == (scene.first.id, True, True)
        assert scene.lease.starts is not None
        assert scene.lease.starts.present == scene.secret(number + 1).digest()
        minted = await scene.replica.minting.mint_access_token(caller, Wanted())
        assert minted.token.scopes == READ.scopes
    assert scene.events("job_started") == [ORIGIN.address]
    assert scene.secret(3).reveal() not in str(scene.world.leases.history)


async def test_without_naming_the_next_secret_no_token_is_given(scene: Scene) -> None:
    """Or a thief would just not do it; the lease can be looked at and ended, no more."""
    caller = await scene.replica.leasing.identify(scene.first, ORIGIN)
    with pytest.raises(NotAllowed, match="name its next secret"):
        await scene.replica.minting.mint_access_token(caller, Wanted())
    with pytest.raises(NotAllowed, match="name its next secret"):
        await scene.replica.leasing.shorten(caller)
    await scene.show(0, 1)
    with pytest.raises(LeaseUnknown):
        await scene.replica.leasing.identify(LeaseToken(scene.first.id, scene.secret(1)), ORIGIN)
    await scene.replica.leasing.end(caller)
    with pytest.raises(LeaseEnded):
        await scene.show(1, 2)


async def test_a_lease_of_the_plain_kind_knows_no_next_secret(scene: Scene) -> None:
    """And says so only to who holds it."""
    token, _ = await scene.replica.leasing.make_child(scene.person, READ, job="2", seconds=DAY)
    stepping = scene.replica.engine.stepping
    with pytest.raises(NotAllowed, match="one secret"):
        await stepping.identify(token, strange(1).digest(), ORIGIN)
    with pytest.raises(LeaseUnknown):
        await stepping.identify(LeaseToken(token.id, strange(9)), strange(1).digest(), ORIGIN)
    with pytest.raises(LeaseUnknown):
        await stepping.identify(LeaseToken("n" * 22, strange(9)), strange(1).digest(), ORIGIN)
    with pytest.raises(Malformed):
        await stepping.identify(scene.first, strange(1).reveal(), ORIGIN)


async def test_two_who_show_the_same_at_once_at_two_replicas_are_one(scene: Scene) -> None:
    """A client that lost its patience asks elsewhere: check-and-set lets one step be taken."""
    other = scene.world.replica("other")
    for number in range(10):
        shown = [
            scene.show(number, number + 1, replica=replica)
            for replica in (scene.replica, other) * 2
        ]
        assert {caller.next_taken for caller in await asyncio.gather(*shown)} == {True}
    assert scene.lease.starts is not None
    assert len(scene.lease.starts.made) == 1
    assert scene.lease.starts.present == scene.secret(10).digest()


async def test_a_copy_of_the_state_is_caught_when_both_have_gone_on(scene: Scene) -> None:
    """The later one meets the alarm; both then hear what happened, from where, and when."""
    await scene.show(0, 1)
    await scene.show(1, 2)
    await scene.show(1, 2, origin=THIEF)  # the same pair: one request, as far as anybody can tell
    await scene.show(2, 100, origin=THIEF)
    with pytest.raises(LeaseEnded, match=r"192\.0\.2\.7 at .* UTC.*copied"):
        await scene.show(2, 3)
    assert scene.lease.ended_at is not None
    with pytest.raises(LeaseEnded, match="copied"):
        await scene.show(100, 101, origin=THIEF)
    assert scene.events("secret_reused") == [ORIGIN.address]


async def test_an_old_copy_is_caught_at_once(scene: Scene) -> None:
    """Its secrets are over."""
    for number in range(4):
        await scene.show(number, number + 1)
    with pytest.raises(LeaseEnded, match=r"203\.0\.113\.9"):
        await scene.show(1, 2, origin=THIEF)
    assert scene.events("secret_reused") == [THIEF.address]


async def test_a_request_that_comes_after_the_next_one_ends_nothing(scene: Scene) -> None:
    """A replica that stood still acts on what its job has long asked another one."""
    await scene.show(0, 1)
    scene.world.leases.get_seconds = 60.0
    held_up = scene.replica.start(scene.replica.engine.stepping._stepped(*_asked(scene, 1, 2)))
    await scene.world.clock.pass_time(1)
    scene.world.leases.get_seconds = 0.0
    for number in (1, 2):
        assert (await scene.show(number, number + 1)).next_taken
    await scene.world.clock.pass_time(60)
    assert isinstance(held_up.exception(), NotAllowed)
    assert (await scene.show(3, 4)).next_taken
    assert scene.events("secret_reused") == []


def _asked(scene: Scene, number: int, following: int) -> tuple[str, _Pair]:
    return scene.first.id, _Pair(
        scene.secret(number), scene.secret(following).digest(), ORIGIN, lambda: True
    )


async def test_a_start_elsewhere_is_caught_at_the_next_renewal(scene: Scene) -> None:
    """The lease is over at every replica, and nobody else's is."""
    other = scene.world.replica("other")
    await scene.show(0, 1)
    await scene.show(0, 50, origin=THIEF, replica=other)
    assert scene.events("job_started") == [ORIGIN.address, THIEF.address]
    with pytest.raises(LeaseEnded):
        await scene.show(1, 2)
    with pytest.raises(LeaseEnded):
        await scene.show(50, 51, origin=THIEF, replica=other)
    assert scene.world.leases.newest(scene.person.lease.id).ended_at is None


async def test_a_job_is_not_started_more_often_than_said(scene: Scene) -> None:
    """The start too many is refused in words; the running chain goes on."""
    await scene.show(0, 1)
    await scene.show(0, 11)
    with pytest.raises(NotAllowed, match="started 2 times"):
        await scene.show(0, 21)
    assert (await scene.show(11, 12)).next_taken


async def test_a_strangers_secret_ends_nothing(scene: Scene) -> None:
    """Whoever knows the lease's id alone can do nothing to the job."""
    await scene.show(0, 1)
    with pytest.raises(LeaseUnknown):
        await scene.show(-77, -78, origin=THIEF)
    assert (await scene.show(1, 2)).next_taken
    assert scene.events("secret_reused") == []


async def test_while_the_store_is_away_no_step_is_taken_and_what_is_held_is_served(
    scene: Scene,
) -> None:
    """The job is told, shows the same pair again, and goes on from there."""
    held = await scene.replica.minting.mint_access_token(await scene.show(0, 1), Wanted())
    stored = scene.lease
    scene.world.leases.fail_next(AWAY)
    caller = await scene.show(1, 2)
    assert (caller.fresh, caller.next_taken) == (False, False)
    again = await scene.replica.minting.mint_access_token(caller, Wanted())
    assert again.token is held.token
    assert scene.lease == stored
    assert (await scene.show(1, 2)).next_taken


async def test_what_looks_stolen_while_the_store_is_away_is_served_by_nobody(scene: Scene) -> None:
    """Nor is it judged: the alarm is raised when it can be stored. The same for an unknown secret."""
    await scene.show(0, 1)
    await scene.show(1, 2)
    for shown, following in ((1, 100), (-77, -78)):
        scene.world.leases.fail_next(AWAY)
        with pytest.raises(StoreUnavailable):
            await scene.show(shown, following, origin=THIEF)
    with pytest.raises(LeaseEnded):
        await scene.show(1, 100, origin=THIEF)


async def test_a_store_that_is_silent_delays_a_job_by_no_more_than_a_moment(scene: Scene) -> None:
    """The step may still be taken later; then the same pair is a repetition."""
    await scene.show(0, 1)
    scene.world.leases.get_seconds = 60.0
    asking = scene.replica.start(scene.show(1, 2))
    await scene.world.clock.pass_time(PATIENCE_SECONDS)
    assert asking.result().next_taken is False
    await scene.world.clock.pass_time(300)
    scene.world.leases.get_seconds = 0.0
    assert (await scene.show(1, 2)).next_taken
    assert (await scene.show(2, 3)).next_taken


@pytest.mark.parametrize("acted", [True, False])
async def test_a_write_whose_answer_is_lost_is_found_or_made_again(
    scene: Scene, acted: bool
) -> None:
    """The job hears nothing of it."""
    await scene.show(0, 1)
    scene.world.leases.fail_next(StoreUnclear("No answer."), acted=acted, on="put")
    assert (await scene.show(1, 2)).next_taken
    assert (await scene.show(2, 3)).next_taken


async def test_a_write_that_lands_late_raises_no_alarm(scene: Scene) -> None:
    """The broker was told nothing, and so was the job; the same pair fits either way."""
    await scene.show(0, 1)
    scene.world.leases.delay_next_put(AWAY)
    assert (await scene.show(1, 2)).next_taken is False
    await scene.world.leases.land()
    assert (await scene.show(1, 2)).next_taken
    assert (await scene.show(2, 3)).next_taken


async def test_a_job_that_asks_without_end_is_slowed_and_then_refused(scene: Scene) -> None:
    """Each step is a write: a program gone wild must not keep OpenBao/Vault busy."""
    for number in range(PACE.burst):
        await scene.show(number, number + 1)
    waiting = [scene.replica.start(scene.show(PACE.burst, PACE.burst + 1)) for _ in range(20)]
    await scene.world.clock.pass_time(LONGEST_WAIT_SECONDS)
    refused = [one for one in waiting if isinstance(one.exception(), TooManyRequests)]
    assert len(refused) == 20 - LONGEST_WAIT_SECONDS * PACE.per_second


async def test_a_step_ends_with_the_login_that_the_job_was_made_from(scene: Scene) -> None:
    """As every lease does."""
    await scene.show(0, 1)
    await scene.replica.leasing.end(scene.person)
    with pytest.raises(LeaseEnded):
        await scene.show(1, 2)


@pytest.mark.parametrize("number", [0, 1])
async def test_a_replica_that_stood_still_for_hours_starts_and_ends_nothing(
    scene: Scene, number: int
) -> None:
    """It acts on what nobody waits for any more: a start in a sandbox that is gone, or an old step."""
    stall = Stall(scene.world.clock)
    slow = scene.world.replica("slow", stall=stall)
    if number:
        await scene.show(0, 1)
    await slow.leasing.recalled(scene.first.id)
    stall.stop()
    held_up = scene.replica.start(scene.show(number, 50, replica=slow))
    await scene.world.clock.pass_time(2 * LATE_SECONDS)
    assert not held_up.done()
    for shown, following in ((0, 11), (11, 12), (12, 13)):
        await scene.show(shown, following)
        await scene.world.clock.pass_time(1800)
    stall.go_on()
    await scene.world.clock.pass_time(60)
    assert held_up.result().next_taken is False
    with pytest.raises(StoreUnavailable):
        await slow.minting.mint_access_token(held_up.result(), Wanted())
    assert (await scene.show(13, 14)).next_taken
    assert scene.events("secret_reused") == []
    assert scene.lease.starts is not None
    assert len(scene.lease.starts.made) == 1 + (number > 0)


async def test_a_request_whose_sender_has_hung_up_starts_and_ends_nothing(scene: Scene) -> None:
    """It lay in the buffers of a replica that stood still, which knows no better how old it is."""
    for number in range(4):
        await scene.show(number, number + 1)
    stored = scene.lease
    with pytest.raises(StoreUnavailable):
        await scene.show(1, 2, is_heard=lambda: False)
    assert (await scene.show(0, 50, is_heard=lambda: False)).next_taken is False
    assert scene.lease == stored
    assert (await scene.show(4, 5)).next_taken


@pytest.mark.parametrize("seconds", [2.0, 5.0])
async def test_while_the_store_is_slow_nothing_new_is_fetched_before_the_step_is_taken(
    scene: Scene, seconds: float
) -> None:
    """Or a thief would have fresh tokens, and leave no trace, whenever the store is slow."""
    await scene.show(0, 1)
    scene.world.leases.get_seconds = seconds
    caller = scene.replica.start(scene.show(1, 2))
    await scene.world.clock.pass_time(PATIENCE_SECONDS)
    minting = scene.replica.start(
        scene.replica.minting.mint_access_token(caller.result(), Wanted())
    )
    await scene.world.clock.pass_time(PATIENCE_SECONDS / 10)
    assert not minting.done()
    await scene.world.clock.pass_time(6)
    assert minting.result().token.scopes == READ.scopes
    assert scene.lease.starts is not None
    assert scene.lease.starts.present == scene.secret(2).digest()


async def test_a_step_that_fails_while_it_is_waited_for_yields_nothing_new(scene: Scene) -> None:
    """The store is back at once, yet this step was not taken."""
    await scene.show(0, 1)
    scene.world.leases.fail_next(AWAY)
    caller = await scene.show(1, 2)
    with pytest.raises(StoreUnavailable):
        await scene.replica.minting.mint_access_token(caller, Wanted())
    assert [line["event"] for line in scene.world.audit.lines if line["event"] == "mint"] == []


async def test_a_thief_who_asks_while_the_store_is_slow_gets_nothing_new(scene: Scene) -> None:
    """The step that he shows is the alarm, once the store has said so."""
    other = scene.world.replica("other")
    await scene.show(0, 1)
    for number in (1, 2):
        await scene.show(number, number + 1, replica=other)
    scene.world.leases.get_seconds = 3.0
    thief = scene.replica.start(scene.show(1, 100, origin=THIEF))
    await scene.world.clock.pass_time(PATIENCE_SECONDS)
    minting = scene.replica.start(scene.replica.minting.mint_access_token(thief.result(), Wanted()))
    await scene.world.clock.pass_time(9)
    assert isinstance(minting.exception(), LeaseEnded)
    assert scene.events("secret_reused") == [THIEF.address]
