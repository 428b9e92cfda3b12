"""`credbroker admin withdraw-key` ends a running broker's key, as the program that operators run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.commands import run
from tests.integration.test_own_issuer import COMMUNITY, STORAGE, post

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.broker_world import BrokerWorld, Replica

MORE = {"communities": {"dteam": COMMUNITY}}


async def withdrawn(config: Path, *words: str) -> str:
    """Run the program, which must succeed; return what it told the operator."""
    code, _, said = await run("admin", "withdraw-key", "--config", str(config), *words)
    assert code == 0, said
    return said


async def kids(broker: Replica) -> dict[str, str]:
    """Return the published keys by what they sign with."""
    found = (await broker.ask("GET", "/dteam/jwks")).json
    return {one["alg"]: one["kid"] for one in found["keys"]}


async def token(broker: Replica) -> str:
    """Return a token of Rucio's for a storage that takes RS256."""
    form = {"grant_type": "client_credentials", "audience": STORAGE}
    given = await post(broker, "/dteam/token", "rucio", **form)
    assert given.status == 200, given
    return str(given.json["access_token"])


async def test_the_next_broker_signs_by_a_new_key_and_takes_no_token_of_the_old(
    broker_world: BrokerWorld,
) -> None:
    """By the broker's own policy; the other algorithm's key is left alone."""
    one = await broker_world.replica(more=MORE)
    stolen, keys = await token(one), await kids(one)
    config = broker_world.write_settings("operator", more=MORE)
    said = await withdrawn(config, "--dry-run", "dteam", "--", keys["RS256"])
    assert "It is the key that signs now" in said
    said = await withdrawn(config, "--reason", "ticket 4711", "dteam", "--", keys["RS256"])
    assert f"Not withdrawn: {keys['ES256']}." in said
    two = await broker_world.replica("two", more=MORE)
    after = await kids(two)
    assert (after["ES256"], after["RS256"] != keys["RS256"]) == (keys["ES256"], True)
    for shown, active in ((stolen, False), (await token(two), True)):
        looked = await post(two, "/dteam/introspect", "rucio", token=shown)
        assert looked.json["active"] is active
