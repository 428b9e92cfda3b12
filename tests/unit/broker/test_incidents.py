"""What happened to others, as a broker would meet it; `docs/incidents.md` has the list."""

from __future__ import annotations

from typing import Literal

import pytest

from credbroker.broker.custody.resting import LONGEST_PAUSE_SECONDS
from credbroker.domain.device import LoginOver, PendingLogin
from credbroker.domain.errors import (
    GrantInDoubt,
    IssuerFailed,
    LoginDenied,
    LoginExpired,
    LoginNeeded,
    StoreMisconfigured,
)
from credbroker.domain.grants import GrantState
from credbroker.domain.leases import Lease
from credbroker.domain.names import GrantKey
from credbroker.domain.outcomes import Dead
from credbroker.domain.rotation import UnclearRule
from credbroker.wire.oidc import refresh_outcome
from tests.unit.broker.logins.test_enrolling import new_login
from tests.unit.broker.stalling import Stall
from tests.unit.broker.world import DAY, ISSUER, ROLE, World, wish

READY, LOST = GrantState.READY, GrantState.LOST
DENIED = StoreMisconfigured("OpenBao/Vault does not let this broker do that.")
PATIENCE = 9.0


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b'{"error":"server_error"}'), (500, b"<html>"), (502, b"<html>Bad Gateway</html>")],
)
async def test_a_refresh_the_issuer_failed_on_is_neither_repeated_at_once_nor_forgotten(
    status: int, body: bytes
) -> None:
    """Incident 4: the issuer answers 500. Twenty callers cost one post; after a rest, one retry."""
    world = World(rule=UnclearRule.ONCE_MORE)
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_seconds = 1
    world.issuer.answer_next(refresh_outcome(status, body))
    callers = [replica.start(replica.refreshing.refresh(wish(), PATIENCE)) for _ in range(20)]
    await world.clock.pass_time(1)
    assert {type(one.exception()) for one in callers} == {IssuerFailed}
    with pytest.raises(IssuerFailed):
        await replica.refreshing.refresh(wish(), PATIENCE)
    assert (world.refresh_token, world.issuer.posts["first"]) == ("first", 1)
    await world.clock.pass_time(LONGEST_PAUSE_SECONDS)
    world.issuer.answer_seconds = 0
    await replica.refreshing.refresh(wish(), PATIENCE)
    assert (world.grant.state, world.issuer.posts["first"]) == (READY, 2)


async def test_a_reuse_alarm_on_one_login_leaves_the_persons_others_alone() -> None:
    """Incident 7: a lock named the person, so all of a person's programs were out."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    other = await world.give_grant(GrantKey(ISSUER, "ada", "production"), "line-2", "other")
    world.issuer.answer_next(Dead(LoginNeeded("The issuer no longer accepts this login.")))
    with pytest.raises(LoginNeeded):
        await replica.refreshing.refresh(wish(), PATIENCE)
    assert world.grant.state is LOST
    for _ in range(3):
        world.clock.advance(world.issuer.token_seconds)
        await replica.refreshing.refresh(wish(key=other.key, line="line-2"), PATIENCE)
    assert world.grants.newest(other.key.segment()).generation == 4


@pytest.mark.parametrize("call", ["get", "put"])
async def test_a_refusal_by_vault_ends_no_login(call: Literal["get", "put"]) -> None:
    """Incident 9: a new Vault token was refused for a moment. Nothing is posted or written."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    world.grants.fail_next(DENIED, on=call)
    with pytest.raises(StoreMisconfigured):
        await replica.refreshing.refresh(wish(), PATIENCE)
    assert (len(world.grants.history), sum(world.issuer.posts.values())) == (1, 0)
    world.clock.advance(LONGEST_PAUSE_SECONDS)
    await replica.refreshing.refresh(wish(), PATIENCE)
    assert (world.grant.state, world.issuer.posts) == (READY, {"first": 1})


async def test_a_broker_that_was_stopped_for_a_day_goes_on_where_it_was() -> None:
    """Incident 17: with a refresh in flight, which another replica has meanwhile put in doubt."""
    world = World()
    stall = Stall(world.clock)
    stopped, awake = world.replica("stopped", stall=stall), world.replica("awake")
    await world.give_grant()
    await world.give_grant_to("bob", "bobs")
    world.issuer.answer_seconds = 1
    caller = stopped.start(stopped.refreshing.refresh(wish(), 2 * DAY))
    await world.clock.pass_time(0.5)
    stall.stop()
    await world.clock.pass_time(DAY)
    with pytest.raises(GrantInDoubt) as told:
        await awake.refreshing.refresh(wish(), PATIENCE)
    assert f"credbroker login {ISSUER}" in told.value.remedy
    stall.go_on()
    await world.clock.pass_time(PATIENCE)
    assert caller.done()
    bob = wish(key=GrantKey(ISSUER, "bob", ROLE), line="line-bob")
    bobs = stopped.start(stopped.refreshing.refresh(bob, PATIENCE))
    await world.clock.pass_time(PATIENCE)
    assert bobs.exception() is None
    assert (world.grant.state, world.grant_of("bob").state) == (READY, READY)
    assert set(world.issuer.posts.values()) == {1}


@pytest.mark.parametrize("state", ["polled", "confirmed", "done"])
async def test_a_login_goes_on_after_a_restart(state: str) -> None:
    """Incident 36: all that a login waits for is in Vault, so any replica may finish it."""
    login = await new_login()
    if state == "polled":
        await login.poll()
    else:
        login.confirm()
    if state == "done":
        await login.poll()
    restarted = login.world.replica("restarted")
    if state == "polled":
        assert isinstance(await login.poll(restarted), PendingLogin)
        login.confirm()
    assert isinstance(await login.poll(restarted), Lease)
    assert login.world.grant.state is READY


@pytest.mark.parametrize("denied", [True, False])
async def test_a_login_that_is_over_is_over_after_a_restart(denied: bool) -> None:
    """Incident 36: refused by the person, or by time; either way with a sentence, at any replica."""
    login = await new_login()
    if denied:
        login.world.issuer.poll_next(LoginOver(LoginDenied("The person said no.")))
        with pytest.raises(LoginDenied):
            await login.poll()
    else:
        login.world.clock.advance(600)
    with pytest.raises(LoginExpired):
        await login.poll(login.world.replica("restarted"))
    assert not login.world.grants.history
