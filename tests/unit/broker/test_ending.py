"""A logout ends everything or changes nothing; what the keeper lets go ends as surely."""

from __future__ import annotations

import pytest

from credbroker.broker.ending import LET_GO
from credbroker.broker.leasing import Caller
from credbroker.broker.recall import FRESH_SECONDS
from credbroker.broker.storing import TRIES
from credbroker.domain.errors import (
    AuditUnavailable,
    CredbrokerError,
    IssuerUnreachable,
    LeaseEnded,
    NotAllowed,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.grants import GrantState
from credbroker.domain.secret import Secret
from tests.fakes.clock import turns
from tests.unit.broker.world import DAY, ORIGIN, READ, SEGMENT, WANT_READ, Replica, World

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")


async def settled_world() -> tuple[World, Replica, Caller]:
    """Return a world with one replica, one grant and a caller on it."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    _, caller = await world.give_lease(replica)
    return world, replica, caller


async def test_a_logout_revokes_at_the_issuer_and_leaves_a_tombstone() -> None:
    """It tells until when the last access token lives on."""
    world, replica, caller = await settled_world()
    minted = await replica.minting.mint_access_token(caller, WANT_READ)
    ended = await replica.ending.log_out(caller)
    assert (ended.revoked, ended.tokens_until) == (True, minted.token.expires_at)
    assert world.issuer.revoked == ["refresh-1"]
    assert (world.grant.state, world.grant.refresh_token) == (GrantState.ENDED, None)
    assert world.leases.newest(caller.lease.id).ended_at == world.clock.now()
    assert world.audit.last("logout")["tokens_until"] == ended.tokens_until


async def test_after_a_logout_nothing_more_is_given_out_anywhere() -> None:
    """Here at once, held tokens included; elsewhere within five seconds."""
    world, replica, caller = await settled_world()
    other = world.replica("other")
    for one in (replica, other):
        await one.minting.mint_access_token(caller, WANT_READ)
    await replica.ending.log_out(caller)
    with pytest.raises(LeaseEnded):
        await replica.minting.mint_access_token(caller, WANT_READ)
    world.clock.advance(FRESH_SECONDS)
    with pytest.raises(LeaseEnded):
        await other.minting.mint_access_token(caller, WANT_READ)
    assert set(world.issuer.posts.values()) == {1}


async def test_a_logout_while_the_issuer_is_down_changes_nothing() -> None:
    """The person hears it and can try again; jobs go on."""
    world, replica, caller = await settled_world()
    before = world.grant
    world.issuer.down = IssuerUnreachable("The issuer does not answer.")
    with pytest.raises(IssuerUnreachable):
        await replica.ending.log_out(caller)
    assert world.grant == before
    assert world.leases.newest(caller.lease.id).ended_at is None
    assert not world.audit.lines
    world.issuer.down = None
    assert (await replica.minting.mint_access_token(caller, WANT_READ)).issuer == "cms"
    await replica.ending.log_out(caller)
    assert world.grant.state is GrantState.ENDED


async def test_a_jobs_lease_cannot_log_its_person_out() -> None:
    """A stolen job token ends one job at most."""
    world, replica, caller = await settled_world()
    _, lease = await replica.leasing.make_child(caller, READ, job="job-1", seconds=60)
    with pytest.raises(NotAllowed):
        await replica.ending.log_out(Caller(lease, ORIGIN))
    assert world.grant.state is GrantState.READY
    assert not world.issuer.revoked


async def test_a_logout_waits_for_a_refresh_in_flight_and_revokes_its_successor() -> None:
    """The value that is alive then, not the one it began with."""
    for same_replica in (True, False):
        world, replica, caller = await settled_world()
        refresher = replica if same_replica else world.replica("other")
        world.issuer.answer_seconds = 3
        asked = refresher.start(refresher.minting.mint_access_token(caller, WANT_READ))
        await turns()
        leaving = replica.start(replica.ending.log_out(caller))
        await world.clock.pass_time(2)
        assert not leaving.done()
        await world.clock.pass_time(2)
        assert leaving.done()
        assert asked.done()
        assert world.issuer.revoked == ["refresh-1"]
        assert world.grant.state is GrantState.ENDED


async def test_a_refresh_that_came_between_is_revoked_too() -> None:
    """Another replica's successor, stored while the issuer was being told."""
    world, replica, caller = await settled_world()
    revoke = world.issuer.revoke

    async def interrupted(refresh_token: Secret) -> None:
        await revoke(refresh_token)
        if len(world.issuer.revoked) == 1:
            successor = Secret("refresh token", "second")
            await world.rewrite(refresh_token=successor, generation=2, write_id="theirs")

    world.issuer.revoke = interrupted  # type: ignore[method-assign]  # stands in for the fake's own
    await replica.ending.log_out(caller)
    assert world.issuer.revoked == ["first", "second"]
    assert (world.grant.state, world.grant.generation) == (GrantState.ENDED, 3)


@pytest.mark.parametrize("taken", [False, True])
async def test_a_tombstone_whose_storing_got_no_answer_is_told_as_it_is(taken: bool) -> None:
    """Stored: done. Not stored: the person hears it and logs out again."""
    world, replica, caller = await settled_world()
    for _ in range(1 if taken else TRIES):
        world.grants.fail_next(StoreUnclear("No answer."), acted=taken, on="put")
    if not taken:
        with pytest.raises(StoreUnavailable):
            await replica.ending.log_out(caller)
        assert world.grant.state is GrantState.READY
        await replica.ending.log_out(caller)
    else:
        await replica.ending.log_out(caller)
    assert world.grant.state is GrantState.ENDED
    assert world.audit.events() == ["logout", "lease_ended"]


@pytest.mark.parametrize("state", [GrantState.IN_DOUBT, GrantState.LOST])
async def test_a_grant_that_is_of_no_more_use_can_still_be_ended(state: GrantState) -> None:
    """What may be alive at the issuer is revoked there."""
    world, replica, caller = await settled_world()
    await world.rewrite(state=state)
    await replica.ending.log_out(caller)
    assert world.issuer.revoked == ["first"]
    assert world.grant.state is GrantState.ENDED


async def test_a_logout_goes_on_when_the_person_hangs_up() -> None:
    """Half a logout would be worse than none."""
    world, replica, caller = await settled_world()
    revoke = world.issuer.revoke

    async def slowly(refresh_token: Secret) -> None:
        await world.clock.sleep(5)
        await revoke(refresh_token)

    world.issuer.revoke = slowly  # type: ignore[method-assign]  # stands in for the fake's own
    leaving = replica.start(replica.ending.log_out(caller))
    await turns()
    leaving.cancel()
    await world.clock.pass_time(5)
    assert leaving.cancelled()
    assert world.grant.state is GrantState.ENDED


async def test_the_trail_tells_of_a_logout_even_if_its_lease_cannot_be_ended() -> None:
    """The grant is gone by then: that must be on record, and the lease is worth nothing."""
    world, replica, caller = await settled_world()
    world.leases.fail_next(AWAY)
    with pytest.raises(StoreUnavailable):
        await replica.ending.log_out(caller)
    assert world.audit.events() == ["logout"]
    with pytest.raises(LeaseEnded):
        await replica.minting.mint_access_token(caller, WANT_READ)


async def test_a_full_trail_does_not_bring_a_grant_back() -> None:
    """The person hears of it; the grant stays ended."""
    world, replica, caller = await settled_world()
    world.audit.refused.add("logout")
    with pytest.raises(AuditUnavailable):
        await replica.ending.log_out(caller)
    assert world.grants.newest(SEGMENT).state is GrantState.ENDED
    with pytest.raises(CredbrokerError):
        await replica.minting.mint_access_token(caller, WANT_READ)


async def test_a_login_is_never_revoked_at_an_issuer_of_another_address() -> None:
    """Whoever edits an issuer's url shows no refresh token to the new host; here it is forgotten."""
    world, replica, caller = await settled_world()
    world.issuer.url = "https://other-host.test/"
    ended = await replica.ending.log_out(caller)
    assert not ended.revoked
    assert world.issuer.revoked == []
    assert world.grant.state is GrantState.ENDED


# -- let go by the keeper --------------------------------------------------------------------------


async def test_a_grant_that_is_let_go_is_revoked_and_leaves_a_tombstone() -> None:
    """Its leases are worth nothing from then on, and the trail says why."""
    world, replica, caller = await settled_world()
    assert await replica.ending.let_go(world.grant)
    assert world.issuer.revoked == ["first"]
    assert (world.grant.state, world.grant.refresh_token) == (GrantState.ENDED, None)
    line = world.audit.last("grant_let_go")
    assert (line["credkey"], line["revoked"]) == ("ada", True)
    with pytest.raises(LeaseEnded):
        await replica.minting.mint_access_token(caller, WANT_READ)


async def test_a_grant_that_is_let_go_says_so_in_its_tombstone() -> None:
    """Nobody is told of a logout that nobody made."""
    world, replica, _ = await settled_world()
    await world.rewrite(unused_seconds=89 * DAY)
    world.clock.advance(DAY)
    assert await replica.ending.let_go(world.grant)
    assert (world.grant.reason, world.grant.note) == (
        LET_GO,
        "This login was let go because nobody used it for 90 days.",
    )
    assert world.audit.last("grant_let_go")["why"] == world.grant.note


async def test_a_lost_grant_is_forgotten_without_a_word_to_the_issuer() -> None:
    """It no longer takes it; also if it is away."""
    world, replica, _ = await settled_world()
    await world.rewrite(state=GrantState.LOST, note="The issuer no longer accepts this login.")
    world.issuer.down = IssuerUnreachable("The issuer does not answer.")
    assert await replica.ending.let_go(world.grant)
    assert world.grant.state is GrantState.ENDED
    assert not world.issuer.revoked
    assert world.audit.last("grant_let_go")["why"] == "The issuer no longer accepts this login."


async def test_a_grant_that_somebody_came_back_to_is_not_let_go() -> None:
    """Here, or on another replica between our read and our write."""
    world, replica, caller = await settled_world()
    read_before = world.grant
    await replica.minting.mint_access_token(caller, WANT_READ)
    assert not await replica.ending.let_go(read_before)
    assert not world.issuer.revoked
    revoke = world.issuer.revoke

    async def interrupted(refresh_token: Secret) -> None:
        await revoke(refresh_token)
        await world.rewrite(write_id="theirs")

    world.issuer.revoke = interrupted  # type: ignore[method-assign]  # stands in for the fake's own
    assert not await replica.ending.let_go(world.grant)
    assert world.grant.state is GrantState.READY


async def test_while_the_issuer_is_away_nothing_is_let_go() -> None:
    """A refresh token that nobody keeps must not live on there."""
    world, replica, _ = await settled_world()
    before = world.grant
    world.issuer.down = IssuerUnreachable("The issuer does not answer.")
    with pytest.raises(IssuerUnreachable):
        await replica.ending.let_go(before)
    assert world.grant == before
