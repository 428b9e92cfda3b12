"""Narrow tokens over a real OpenBao: by exchange, shared by replicas, checked; the grant unmoved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from credbroker.demo.issuer import ALL_GRANTS, TOKEN_EXCHANGE, Endpoint, faults
from credbroker.domain.secret import Secret
from credbroker.wire import native
from credbroker.wire.jwt import peek

if TYPE_CHECKING:
    from tests.answers import Answer
    from tests.integration.broker_world import BrokerWorld, Replica
    from tests.integration.conftest import WorldFactory

SITES = ["https://se1.test", "https://se2.test"]
JOB = ("storage.create:/job", "storage.read:/job")


@pytest.fixture
async def world(open_world: WorldFactory) -> BrokerWorld:
    """A world whose issuer rotates, and lets the broker exchange."""
    return await open_world(grants=(*ALL_GRANTS, TOKEN_EXCHANGE))


async def with_replicas(world: BrokerWorld, *names: str) -> tuple[list[Replica], str]:
    """Return brokers that exchange, and the lease of somebody who logged in."""
    replicas = [await world.replica(name, exchange=True) for name in names]
    return replicas, await replicas[0].log_in()


def claims(answer: Answer) -> dict[str, Any]:
    """Return what the token in an answer says."""
    assert answer.status == 200, answer
    _, found = peek(Secret("access token", answer.json["access_token"]))
    return {name: found.raw(name) for name in ("sub", "scope", "aud", "jti", "act")}


def exchanges_seen(world: BrokerWorld) -> int:
    """Return how many exchanges have reached the issuer."""
    return sum(1 for one in world.issuer.journal if one.grant_type == TOKEN_EXCHANGE)


async def test_narrow_tokens_are_exchanged_and_shared_by_all_replicas(world: BrokerWorld) -> None:
    """One refresh for all; `scope` and `aud` are those asked for, letter by letter and in order."""
    (one, two), lease = await with_replicas(world, "one", "two")
    whole = claims(await one.token(lease, "storage.read:/", "storage.create:/"))
    grant = world.grant_of()
    first = claims(await one.token(lease, *JOB, audiences=SITES))
    assert (first["scope"], first["aud"]) == (" ".join(JOB), SITES)
    assert (first["sub"], first["act"]) == (whole["sub"], {"sub": "credbroker"})
    assert one.daemon is not None
    await one.daemon.deeds.finish()  # it is shared once it is stored
    again = claims(await two.token(lease, *reversed(JOB), audiences=SITES[::-1]))
    assert again["jti"] == first["jti"]
    await two.token(lease, "storage.read:/other")
    assert (world.refreshes_seen(), exchanges_seen(world)) == (1, 2)
    assert world.grant_of() == grant


async def test_an_answer_wider_than_the_request_reaches_nobody(world: BrokerWorld) -> None:
    """Up-scoping is allowed at the issuer, so the broker looks."""
    (broker,), lease = await with_replicas(world, "one")
    await broker.token(lease, "storage.read:/", "storage.create:/")
    only = faults.grant_type(TOKEN_EXCHANGE)
    flaw = faults.wider_scope("storage.modify:/")
    world.issuer.faults.on(Endpoint.TOKEN, flaw, only=only)
    assert (await broker.token(lease, *JOB)).error == "issuer_misbehaved"
    assert (
        claims(await broker.token(lease, "storage.read:/other"))["scope"] == "storage.read:/other"
    )
    assert world.refreshes_seen() == 1


async def test_who_may_not_exchange_is_told_and_keeps_the_login(open_world: WorldFactory) -> None:
    """The operator has set what the issuer does not allow; the whole right is served on."""
    world = await open_world()
    (broker,), lease = await with_replicas(world, "one")
    refused = await broker.token(lease, *JOB)
    assert refused.error == "issuer_refused"
    assert "exchange" in refused.json["message"]
    whole = await broker.token(lease, "storage.read:/", "storage.create:/")
    assert whole.status == 200
    shown = await broker.ask("GET", native.LEASE_SELF, lease)
    assert (shown.json["grant_state"], shown.json.get("narrowing")) == ("ready", None)


async def test_without_exchange_each_right_is_a_refresh_and_status_says_so(
    broker_world: BrokerWorld,
) -> None:
    """No value is posted twice, and the whole-right token is not lost for other replicas."""
    one, two = await broker_world.replica("one"), await broker_world.replica("two")
    lease = await one.log_in()
    whole = claims(await one.token(lease, "storage.read:/", "storage.create:/"))
    for path in ("/a", "/b"):
        await one.token(lease, f"storage.read:{path}")
    broker_world.clock.leap(6)  # by then the grant is read again
    shown = await one.ask("GET", native.LEASE_SELF, lease)
    assert "each one is such a use" in shown.json["narrowing"]
    assert claims(await two.token(lease, "storage.read:/", "storage.create:/")) == whole
    assert (broker_world.refreshes_seen(), broker_world.most_posts_of_a_value()) == (3, 1)
