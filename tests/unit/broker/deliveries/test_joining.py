"""A host joins by an operator's token, once, with one key; whatever gets lost on the way."""

from __future__ import annotations

import pytest

from credbroker.broker.deliveries.joining import invite
from credbroker.domain.errors import (
    ClockOff,
    LeaseEnded,
    Malformed,
    NotAllowed,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.hosts import place_of
from credbroker.domain.revocations import CLOCKS_OFF_SECONDS, Kind
from tests.unit.broker.delivery_world import LX1, LX2, DeliveryWorld
from tests.unit.broker.world import ORIGIN

UNCLEAR = StoreUnclear("OpenBao/Vault took a write and did not say which.")


@pytest.mark.parametrize("acted", [True, False])
async def test_a_trade_whose_writing_is_unclear_is_made_once(acted: bool) -> None:
    """Taken or not, the host has joined, and the token is used."""
    around = DeliveryWorld()
    token = await invite(around.hosts, "LX1.example.org", around.means())
    around.hosts.fail_next(UNCLEAR, acted=acted, on="put")
    assert (await around.deeds.joining.join(token, "key-1", ORIGIN)).name == LX1
    assert (await around.deeds.joining.join(token, "key-1", ORIGIN)).key == "key-1"
    with pytest.raises(NotAllowed):
        await around.deeds.joining.join(token, "key-2", ORIGIN)
    assert around.world.audit.last("host_joined")["host"] == LX1


async def test_a_token_opens_its_own_host_alone() -> None:
    """The place in it says whose it is."""
    around = DeliveryWorld()
    token = await invite(around.hosts, LX1, around.means())
    assert (await around.deeds.joining.join(token, "key-1", ORIGIN)).name == LX1
    assert await around.deeds.joining.host(LX2) is None


async def test_an_unfit_key_uses_no_token_up() -> None:
    """The host may come again with another."""
    around = DeliveryWorld()
    token = await invite(around.hosts, LX1, around.means())
    with pytest.raises(Malformed):
        await around.deeds.joining.join(token, "", ORIGIN)
    assert (await around.deeds.joining.join(token, "key-1", ORIGIN)).key == "key-1"


async def test_a_contained_host_uses_no_token_up_before_the_time() -> None:
    """A key from before the mark's moment would be none; a minute later it is one."""
    around = DeliveryWorld()
    await around.replica.engine.containing.revoke(Kind.HOST, LX1)
    token = await invite(around.hosts, LX1, around.means())
    with pytest.raises(LeaseEnded, match="contained"):
        await around.deeds.joining.join(token, "key-1", ORIGIN)
    around.world.clock.advance(CLOCKS_OFF_SECONDS + 1)
    assert (await around.deeds.joining.join(token, "key-1", ORIGIN)).key == "key-1"


async def test_a_token_from_before_the_host_was_contained_is_over() -> None:
    """Whoever took the host may have taken it, too; one that is made afterwards counts."""
    around = DeliveryWorld()
    token = await invite(around.hosts, LX1, around.means())
    around.world.clock.advance(1)
    await around.replica.engine.containing.revoke(Kind.HOST, LX1)
    around.world.clock.advance(CLOCKS_OFF_SECONDS + 1)
    with pytest.raises(LeaseEnded, match="contained"):
        await around.deeds.joining.join(token, "thief's", ORIGIN)
    assert (await around.joined()).key == "key-1"


async def test_of_a_token_the_store_and_the_trail_have_nothing() -> None:
    """But its hash, and whom it is for."""
    around = DeliveryWorld()
    token = await invite(around.hosts, LX1, around.means())
    said = repr(around.hosts.newest(place_of(LX1))) + repr(around.world.audit.lines)
    assert token.secret_hash() in said
    assert "".join(["AAAA"] * 8) not in said
    assert around.world.audit.last("host_invited") == {"event": "host_invited", "host": LX1}


async def test_without_a_store_or_a_clock_nobody_joins() -> None:
    """The error says which."""
    around = DeliveryWorld()
    around.hosts.fail_next(StoreUnavailable("OpenBao/Vault does not answer."))
    with pytest.raises(StoreUnavailable):
        await invite(around.hosts, LX1, around.means())

    def off() -> None:
        raise ClockOff("This host's clock is off.")

    around.world.check_clock = off
    with pytest.raises(ClockOff):
        await invite(around.hosts, LX1, around.means())
