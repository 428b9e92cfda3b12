"""What all replicas share degrades the broker and makes none of them unready."""

from __future__ import annotations

import json
from typing import Any

from aiohttp.test_utils import make_mocked_request

from credbroker.api.health import Health
from credbroker.api.outlook import Outlook
from credbroker.broker.custody.outages import OUTAGE_SECONDS
from credbroker.broker.custody.sorting import REWIND_SEGMENT
from credbroker.domain.errors import ClientRejected, IssuerUnreachable
from credbroker.domain.marks import RewindMark
from tests.unit.broker.world import DAY, ISSUER, WANT_READ, Replica, World

ISSUER_WELL = {
    "open": True,
    "client_accepted": True,
    "braked": False,
    "trouble_since": None,
    "tokens_last_until": None,
}
WELL = {
    "degraded": False,
    "troubles": [],
    "vault": {"answers": True, "halted": False},
    "issuers": {ISSUER: ISSUER_WELL},
}


def health_of(world: World, replica: Replica) -> Health:
    """Return the probes of a replica that has no trouble of its own."""
    return Health(list, Outlook(replica.engine, world.clock, DAY))


async def shared(world: World, replica: Replica) -> dict[str, Any]:
    """Return what `/health` answers; the probe is green whatever that is."""
    health = health_of(world, replica)
    ready = await health.ready(make_mocked_request("GET", "/readyz"))
    answer = await health.shared(make_mocked_request("GET", "/health"))
    assert (ready.status, answer.status) == (200, 200)
    said: dict[str, Any] = json.loads(answer.text or "")
    return said


async def test_all_is_well() -> None:
    """Nothing to say."""
    world = World()
    assert await shared(world, world.replica()) == WELL


async def test_what_only_this_replica_suffers_from_makes_it_unready() -> None:
    """Each sentence is told; the loop turns all the same."""
    world = World()
    replica = world.replica()
    sentence = "This replica's clock is 90 s ahead of OpenBao/Vault's."
    health = Health(lambda: [sentence], Outlook(replica.engine, world.clock, DAY))
    ready = await health.ready(make_mocked_request("GET", "/readyz"))
    live = await health.live(make_mocked_request("GET", "/livez"))
    assert (ready.status, live.status) == (503, 200)
    assert json.loads(ready.text or "") == {"ready": False, "troubles": [sentence]}


async def test_an_issuer_that_is_down_is_told_since_when_and_how_long_its_tokens_last() -> None:
    """The time is that of the third silence; the token is one that somebody lives on."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    _, caller = await world.give_lease(replica)
    await replica.minting.mint_access_token(caller, WANT_READ)
    world.clock.advance(60.0)
    fall_silent(replica)
    world.clock.advance(60.0)
    said = await shared(world, replica)
    assert said["degraded"]
    assert said["troubles"] == [
        "The issuer 'cms' does not answer as it should, since 2026-06-01T12:01:00Z."
    ]
    assert said["issuers"][ISSUER] == {
        "open": False,
        "client_accepted": True,
        "braked": False,
        "trouble_since": "2026-06-01T12:01:00Z",
        "tokens_last_until": "2026-06-01T12:20:00Z",
    }


async def test_a_client_that_is_not_accepted_is_told() -> None:
    """Since when, and that it lasts no longer than it does."""
    world = World()
    replica = world.replica()
    gate = replica.engine.gates[ISSUER]
    gate.probed(ClientRejected("The issuer does not accept the broker's client."))
    said = await shared(world, replica)
    assert "does not accept the broker's own client, since 2026-06-01T12:00:00Z" in one(said)
    assert not said["issuers"][ISSUER]["client_accepted"]
    gate.probed(None)
    assert await shared(world, replica) == WELL


async def test_a_brake_is_told_while_refreshes_pass() -> None:
    """An operator has to look."""
    world = World()
    replica = world.replica()
    await replica.engine.marks.brake(ISSUER)
    said = await shared(world, replica)
    assert "until an operator has looked" in one(said)
    assert said["issuers"][ISSUER] == ISSUER_WELL | {"braked": True}


async def test_a_vault_that_is_silent_or_set_back_is_told() -> None:
    """Both at once, if it is so."""
    world = World()
    replica = world.replica()
    await world.rewind.put(REWIND_SEGMENT, RewindMark(counter=1, halted_at=world.clock.now()), 0)
    await replica.engine.beating.beat()
    lose_vault(world, replica)
    said = await shared(world, replica)
    assert said["vault"] == {"answers": False, "halted": True}
    silent, halted = said["troubles"]
    assert silent == "OpenBao/Vault does not answer."
    assert "nothing is refreshed until an operator has run: credbroker admin restored" in halted


def fall_silent(replica: Replica) -> None:
    """Let the issuer miss three answers."""
    for _ in range(3):
        error = IssuerUnreachable("The issuer does not answer.")
        replica.engine.gates[ISSUER].note(error)


def lose_vault(world: World, replica: Replica) -> None:
    """Let OpenBao/Vault be away."""
    replica.engine.outages.failed()
    world.clock.advance(OUTAGE_SECONDS)
    replica.engine.outages.failed()


def one(said: dict[str, Any]) -> str:
    """Return the only sentence."""
    (sentence,) = said["troubles"]
    assert said["degraded"]
    return str(sentence)
