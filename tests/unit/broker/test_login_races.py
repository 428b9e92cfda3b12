"""Logins whose answers get lost, that overlap, or that are tied together at the issuer."""

from __future__ import annotations

import contextlib

import pytest

from credbroker.domain.attenuation import Right
from credbroker.domain.errors import CredbrokerError, StoreUnavailable, StoreUnclear
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.leases import Lease
from credbroker.domain.scopes import ScopeSet
from tests.fakes.clock import turns
from tests.unit.broker.custody.test_refreshing import one_refresh
from tests.unit.broker.logins.test_enrolling import logged_in, new_login
from tests.unit.broker.stalling import Stall
from tests.unit.broker.world import WANT_READ, World, wish

UNCLEAR = StoreUnclear("unclear")
OTHER = Right(ScopeSet.parse("compute.read"))


@pytest.mark.parametrize("finished", [False, True])
async def test_a_login_whose_answer_got_lost_is_not_stored_over_its_own_successor(
    finished: bool,
) -> None:
    """Stored, answer lost; a job's refresh at another replica uses it before we look."""
    world = World()
    a, b = world.replica("a"), world.replica("b")
    await world.give_grant()
    login = await new_login(world, a)
    answer = login.confirm()
    assert answer.refresh_token is not None
    fresh = answer.refresh_token.reveal()
    put = world.grants.put
    other = []

    async def lossy(segment: str, value: Grant, version: int) -> int:
        world.grants.put = put  # type: ignore[method-assign]  # only this once
        await put(segment, value, version)
        if finished:
            await one_refresh(b)
        else:
            world.issuer.answer_seconds = 3
            other.append(b.start(one_refresh(b, seconds=100)))
            await turns()
        raise UNCLEAR

    world.grants.put = lossy  # type: ignore[method-assign, assignment]  # stands in for the fake's own
    assert isinstance(await login.poll(), Lease)
    await world.clock.pass_time(10)
    world.issuer.answer_seconds = 0
    with contextlib.suppress(CredbrokerError):
        await one_refresh(b, OTHER)
    assert world.issuer.posts[fresh] == 1, "posted twice"
    assert world.grant.state is GrantState.READY


async def test_a_late_successor_of_an_ended_line_ends_no_login_made_since() -> None:
    """Where the issuer ties logins together (`revoke_replaced` False)."""
    world = World()
    world.issuer.revoke_replaced = False
    stall = Stall(world.clock)
    a, b = world.replica("a", stall=stall), world.replica("b")
    caller = await logged_in(world, b)
    world.issuer.answer_seconds = 1
    a.start(a.refreshing.refresh(wish(line=caller.lease.line), 6000))
    await turns()
    stall.stop()
    await world.clock.pass_time(world.claim_seconds + 5)
    await b.ending.log_out(caller)
    before = list(world.issuer.revoked)
    world.issuer.answer_seconds = 0
    again = await logged_in(world, b)
    assert again.lease.line != caller.lease.line
    stall.go_on()
    await world.clock.pass_time(5)
    assert world.issuer.revoked == before, "a successor was revoked beside a living login"


async def test_a_stale_memory_tells_nobody_that_a_good_login_was_ended() -> None:
    """A remembers the old line; logout and new login at b; the new lease is used at a."""
    world = World()
    a, b = world.replica("a"), world.replica("b")
    caller = await logged_in(world, b)
    await a.refreshing.refresh(wish(line=caller.lease.line), 9.0)
    await b.ending.log_out(caller)
    again = await logged_in(world, b)
    await world.clock.pass_time(40)
    minted = await a.minting.mint_access_token(again, WANT_READ)
    assert minted.token.value.reveal() in world.issuer.issued


async def test_a_login_that_vault_does_not_take_ends_no_running_login() -> None:
    """Where the issuer ties logins together, revoking the new one ends the one that jobs live on."""
    world = World()
    world.issuer.revoke_replaced = False
    a = world.replica("a")
    await logged_in(world, a)
    await a.deeds.finish()
    login = await new_login(world, a)
    login.confirm()
    world.grants.fail_next(StoreUnavailable("away"))
    with pytest.raises(CredbrokerError):
        await login.poll()
    assert world.grant.state is GrantState.READY
    assert not world.issuer.revoked, world.issuer.revoked


async def test_a_spooled_successor_of_an_ended_line_ends_no_login_made_since() -> None:
    """Where the issuer ties logins together; from the spool."""
    from dataclasses import replace

    world = World()
    world.issuer.revoke_replaced = False
    grant = await world.give_grant()
    world.replica("dead")
    await world.spools["dead"].keep(replace(grant, generation=2, write_id="spooled"))
    world.spools["dead"].die()
    alive = world.replica("alive")
    # logged out, then logged in again: another line, alive
    await world.rewrite(line="line-2", generation=4, write_id="w", refresh_token=None)
    from credbroker.domain.secret import Secret

    await world.rewrite(refresh_token=Secret("refresh token", "new"), write_id="w2")
    await alive.engine.beating.handing_in.hand_in()
    assert not world.issuer.revoked, world.issuer.revoked
