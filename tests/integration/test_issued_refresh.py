"""Refresh tokens of ours on a real OpenBao, under the broker's own policy, at two brokers."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, Any

from credbroker.domain.revocations import Kind
from tests.integration.test_own_issuer import COMMUNITY, EXCHANGE, READ, STORAGE, post

if TYPE_CHECKING:
    from credbroker.demo.openbao.server import OpenBaoServer
    from tests.integration.broker_world import BrokerWorld, Replica
    from tests.integration.conftest import WorldFactory

HOLDS_SECONDS = 5.0


async def two(broker_world: BrokerWorld) -> tuple[Replica, Replica]:
    """Start two brokers whose FTS rotates."""
    settings: Any = copy.deepcopy(COMMUNITY)
    settings["clients"]["fts"]["rotates"] = True
    more = {"communities": {"dteam": settings}}
    return await broker_world.replica("one", more=more), await broker_world.replica(
        "two", more=more
    )


async def subject(broker: Replica) -> dict[str, str]:
    """Return what an exchange of a new token of Rucio's says."""
    given = await post(
        broker, "/dteam/token", "rucio", grant_type="client_credentials", audience=STORAGE,
        scope=f"{READ} offline_access",
    )  # fmt: skip
    return {**EXCHANGE, "subject_token": given.json["access_token"]}


async def refreshed(broker: Replica, shown: str) -> Any:
    """Use a refresh token as FTS; return the answer's JSON."""
    form = {"grant_type": "refresh_token", "refresh_token": shown}
    return (await post(broker, "/dteam/token", "fts", **form)).json


async def test_brokers_agree_on_each_refresh_token(broker_world: BrokerWorld) -> None:
    """A repeated exchange, a successor whose answer got lost, and two uses at once, at either one."""
    one, other = await two(broker_world)
    form = await subject(one)
    exchanged = await asyncio.gather(
        *(post(broker, "/dteam/token", "fts", **form) for broker in (one, other))
    )
    (first,) = {answer.json["refresh_token"] for answer in exchanged}
    second = (await refreshed(one, first))["refresh_token"]
    assert second != first
    assert (await refreshed(other, first))["refresh_token"] == second
    both = await asyncio.gather(refreshed(one, second), refreshed(other, second))
    (third,) = {answer["refresh_token"] for answer in both}
    assert third not in {first, second}
    assert (await refreshed(other, first))["error"] == "invalid_grant"
    assert (await refreshed(one, third))["error"] == "invalid_grant"


async def test_a_client_that_is_contained_at_one_broker_is_stopped_at_the_other(
    openbao: OpenBaoServer, open_world: WorldFactory
) -> None:
    """Within five seconds, and with it what another service holds of its."""
    one, other = await two(await open_world(openbao))  # the client stays contained there
    given = await post(one, "/dteam/token", "fts", **await subject(one))
    shown = given.json["refresh_token"]
    assert one.daemon is not None
    begun = asyncio.get_running_loop().time()
    await one.daemon.engine.containing.revoke(Kind.CLIENT, "dteam/rucio")
    while "error" not in (answer := await refreshed(other, shown)):
        shown = answer["refresh_token"]
        assert asyncio.get_running_loop().time() - begun < HOLDS_SECONDS
    assert answer["error"] == "invalid_grant"
    refused = await post(other, "/dteam/token", "rucio", grant_type="client_credentials")
    assert refused.json["error"] in {"unauthorized_client", "invalid_client"}
