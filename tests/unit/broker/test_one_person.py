"""What an issuer says of one person's grant, or of one request, takes it away from nobody else."""

from __future__ import annotations

import asyncio
import datetime
import json
from dataclasses import replace

import pytest

from credbroker.domain.attenuation import Right
from credbroker.domain.errors import CredbrokerError, IssuerUnreachable, LoginNeeded
from credbroker.domain.grants import GrantState
from credbroker.domain.outcomes import Dead, Outcome, Unclear
from credbroker.domain.rotation import UnclearRule
from credbroker.domain.secret import Secret
from credbroker.ports import BeforeFirstByte
from credbroker.wire.oidc import refresh_outcome
from tests.unit.broker.world import World, wish

AUP = b'{"error":"invalid_grant","error_description":"User must sign the AUP"}'


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("unauthorized", "User account is disabled"),
        ("unauthorized_client", "Client is not allowed to use this grant for this user"),
    ],
)
async def test_one_bad_account_delays_nobody_else(word: str, text: str) -> None:
    """Its job asks each minute, and somebody else a second later."""
    world = World()
    replica = world.replica()
    ada, bob = await world.give_grant_to("ada", "a"), await world.give_grant_to("bob", "b")
    body = json.dumps({"error": word, "error_description": text}).encode()
    recovering = replica.deeds.begin(replica.engine.recovering.run(), "recovering")
    for _ in range(10):
        world.issuer.answer_next(refresh_outcome(401, body))
        with pytest.raises(CredbrokerError):
            await replica.refreshing.refresh(wish(key=ada.key, line=ada.line), 9.0)
        await world.clock.pass_time(1)
        await replica.refreshing.refresh(wish(key=bob.key, line=bob.line), 9.0)
        await world.clock.pass_time(60)
    recovering.cancel()


@pytest.mark.parametrize(
    "outcome",
    [
        refresh_outcome(503, b"<html>maintenance", 3600.0),
        refresh_outcome(429, b'{"error":"slow_down"}', 3600.0),
        refresh_outcome(400, AUP, 3600.0),
        refresh_outcome(400, b'{"error":"invalid_scope"}', 3600.0),
    ],
)
async def test_one_wish_to_rest_takes_no_healthy_issuer_away_for_long(outcome: Outcome) -> None:
    """A proxy's page, one person's limit or policy, one job's scope."""
    world = World()
    replica = world.replica()
    bob = await world.give_grant_to("bob", "b")
    await world.give_grant_to("ada", "a")
    recovering = replica.deeds.begin(replica.engine.recovering.run(), "recovering")
    world.issuer.answer_next(outcome)
    assert await world.fails_for(replica, "ada")
    await world.clock.pass_time(130)
    await replica.refreshing.refresh(wish(key=bob.key, line=bob.line), 9.0)
    recovering.cancel()


async def test_what_an_issuer_asks_on_one_request_holds_for_that_grant() -> None:
    """It is left alone for as long as the answer says."""
    world = World()
    replica = world.replica()
    await world.give_grant_to("ada", "a")
    world.issuer.answer_next(refresh_outcome(400, b'{"error":"invalid_scope"}', 120.0))
    await world.fails_for(replica, "ada")
    await world.clock.pass_time(119)
    await world.fails_for(replica, "ada")
    assert world.issuer.posts["a"] == 1
    await world.clock.pass_time(2)
    ada = world.grant_of("ada")
    await replica.refreshing.refresh(wish(key=ada.key, line=ada.line), 9.0)


async def test_five_mistyped_audiences_are_no_outage() -> None:
    """The issuer speaks; it only does not know them."""
    world = World()
    replica = world.replica()
    bob = await world.give_grant_to("bob", "b")
    for number in range(5):
        await world.give_grant_to(f"p{number}", f"v{number}")
        world.issuer.answer_next(refresh_outcome(400, b'{"error":"invalid_target"}'))
        await world.fails_for(replica, f"p{number}")
    await replica.refreshing.refresh(wish(key=bob.key, line=bob.line), 9.0)


async def test_one_grant_that_never_gets_an_answer_is_no_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its job asks every 5 s for ten minutes while nobody else comes."""
    world = World(rule=UnclearRule.RETRY_SAFE, rotates=False)
    real = world.issuer.refresh

    async def refresh(
        token: Secret, right: Right, first: BeforeFirstByte, *, seconds: float
    ) -> Outcome:
        if token.reveal() != "a":
            return await real(token, right, first, seconds=seconds)
        await first()
        await world.clock.sleep(seconds)
        return Unclear(IssuerUnreachable("The issuer took a refresh and did not answer."))

    monkeypatch.setattr(world.issuer, "refresh", refresh)
    replica = world.replica()
    ada, bob = await world.give_grant_to("ada", "a"), await world.give_grant_to("bob", "b")

    async def polls() -> None:
        while True:
            try:
                await replica.refreshing.refresh(wish(key=ada.key, line=ada.line), 9.0)
            except CredbrokerError:
                await world.clock.sleep(5.0)

    polling = asyncio.ensure_future(polls())
    await world.clock.pass_time(600)
    await replica.refreshing.refresh(wish(key=bob.key, line=bob.line), 9.0)
    polling.cancel()


async def test_refresh_tokens_past_their_own_time_are_lost_whatever_the_brake_says() -> None:
    """They are rightly called dead, and put no brake on."""
    world = World()
    replica = world.replica()
    world.issuer.standing = Dead(LoginNeeded("The issuer no longer accepts this login."))
    over = world.clock.now() - datetime.timedelta(seconds=1)
    for number in range(8):
        grant = await world.give_grant_to(f"p{number}", f"v{number}")
        expired = replace(grant, refresh_expires_at=over)
        await world.grants.put(grant.key.segment(), expired, 1)
        await world.fails_for(replica, f"p{number}")
        assert world.grant_of(f"p{number}").state is GrantState.LOST
    assert not replica.engine.gates["cms"].standing().braked
