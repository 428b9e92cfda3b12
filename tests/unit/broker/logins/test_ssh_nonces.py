"""A nonce is good for half a minute, once, at every replica."""

from __future__ import annotations

import asyncio

import pytest

from credbroker.broker.logins.ssh_nonces import GOOD_SECONDS
from credbroker.domain.errors import Malformed, StoreUnavailable, StoreUnclear
from tests.unit.broker.ssh_world import SshWorld

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")


async def test_a_nonce_is_good_at_the_replica_that_did_not_give_it() -> None:
    """Nothing of it is kept anywhere before it is used; no two are the same."""
    world = SshWorld()
    one, other = world.nonces(world.replica("one")), world.nonces(world.replica("other"))
    nonce = one.give()
    other.check(nonce)
    assert one.give() != nonce
    assert world.seen.history == []


async def test_a_nonce_is_refused_after_half_a_minute() -> None:
    """Whoever signed it in time or not."""
    world = SshWorld()
    nonces = world.nonces(world.replica())
    nonce = nonces.give()
    world.clock.advance(GOOD_SECONDS)
    nonces.check(nonce)
    world.clock.advance(1)
    with pytest.raises(Malformed, match="older than 30 seconds"):
        nonces.check(nonce)


async def test_a_nonce_from_a_replica_whose_clock_is_ahead_is_good() -> None:
    """By as much as clocks may differ."""
    world = SshWorld()
    nonces = world.nonces(world.replica())
    world.clock.advance(10)
    nonce = nonces.give()
    world.clock.advance(-10)
    nonces.check(nonce)


@pytest.mark.parametrize("nonce", ["", "x", "a nonce of somebody's own"])
async def test_a_nonce_that_was_not_given_here_is_refused(nonce: str) -> None:
    """And so is something that was sealed for another purpose."""
    world = SshWorld()
    nonces = world.nonces(world.replica())
    for made_up in (nonce, world.seal.seal("login", b"1780315200 x")):
        with pytest.raises(Malformed):
            nonces.check(made_up)


async def test_a_nonce_is_spent_once_of_all_replicas_that_try_at_once() -> None:
    """The others are refused."""
    world = SshWorld()
    replicas = [world.nonces(world.replica(name)) for name in ("one", "two", "three")]
    nonce = replicas[0].give()
    tries = (one.spend(nonce) for one in replicas)
    ends = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(one) for one in ends if one is not None] == [Malformed, Malformed]
    with pytest.raises(Malformed, match="used before"):
        await replicas[0].spend(nonce)


async def test_a_use_whose_answer_got_lost_is_known_as_its_own() -> None:
    """It counts as the one use, and nobody has another."""
    world = SshWorld()
    nonces = world.nonces(world.replica())
    nonce = nonces.give()
    world.seen.fail_next(StoreUnclear("The answer got lost."), acted=True, on="put")
    await nonces.spend(nonce)
    with pytest.raises(Malformed, match="used before"):
        await nonces.spend(nonce)


async def test_without_the_store_no_nonce_is_spent() -> None:
    """Nothing says that it was not used before."""
    world = SshWorld()
    nonces = world.nonces(world.replica())
    nonce = nonces.give()
    world.seen.fail_next(AWAY)
    with pytest.raises(StoreUnavailable):
        await nonces.spend(nonce)
