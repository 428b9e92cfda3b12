"""What an issuer last said of a person: to sign by it must be alive, to ask by it need not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from credbroker.broker.custody.refreshing import Wish
from credbroker.broker.issuing.proofs import Proofs
from credbroker.broker.running import Means
from credbroker.domain.errors import Busy, GrantPaused, IssuerUnreachable
from credbroker.domain.grants import GrantState
from tests.unit.broker.issuing.people_world import PeopleWorld
from tests.unit.broker.world import LINE, Replica

LIFE = 1200
AWAY = IssuerUnreachable("The issuer does not answer.")


async def made() -> tuple[PeopleWorld, Replica, Proofs]:
    """Return a world with a replica, and its proofs."""
    world = await PeopleWorld.made()
    replica, _ = await world.ready()
    return world, replica, proofs_of(world, replica)


def proofs_of(world: PeopleWorld, replica: Replica) -> Proofs:
    """Return what a replica knows, over what it holds."""
    means = Means(world.audit, world.clock, world.entropy, replica.deeds)
    return Proofs(replica.refreshing, means, 0.5)


async def test_a_living_word_is_not_asked_for_again() -> None:
    """To know what a person may ask for, though it is due; to sign, until it is."""
    world, replica, proofs = await made()
    whole = replica.minting.whole_right(world.grant)
    first = await proofs.good(world.grant, whole)
    world.clock.advance(LIFE / 2 - 1)
    assert await proofs.good(world.grant, whole) is first
    world.clock.advance(2)
    assert await proofs.newest(world.grant, whole, 9.0) is first
    assert await proofs.good(world.grant, whole) is not first


async def test_an_expired_word_is_asked_for_again_and_known_while_that_fails() -> None:
    """It signs nothing any more."""
    world, replica, proofs = await made()
    whole = replica.minting.whole_right(world.grant)
    first = await proofs.newest(world.grant, whole, 9.0)
    world.clock.advance(LIFE + 1)
    world.issuer.down = AWAY
    assert await proofs.newest(world.grant, whole, 9.0) is first
    with pytest.raises(IssuerUnreachable):
        await proofs.good(world.grant, whole)
    world.issuer.down = None
    world.clock.advance(60)
    assert (await proofs.newest(world.grant, whole, 9.0)).jti != first.jti


async def test_a_replica_that_has_just_started_knows_what_is_on_record() -> None:
    """Of an issuer that is away."""
    world, replica, proofs = await made()
    whole = replica.minting.whole_right(world.grant)
    first = await proofs.good(world.grant, whole)
    world.clock.advance(LIFE + 1)
    world.issuer.down = AWAY
    two, _ = await world.ready("replica-2")
    known = await proofs_of(world, two).newest(world.grant, whole, 9.0)
    assert known.jti == first.jti
    forged = replace(world.grant, access_token=None)
    with pytest.raises(IssuerUnreachable):
        await proofs_of(world, two).newest(forged, whole, 9.0)


async def test_what_is_on_record_about_somebody_else_says_nothing() -> None:
    """Though the issuer signed it."""
    world, replica, proofs = await made()
    whole = replica.minting.whole_right(world.grant)
    await proofs.good(world.grant, whole)
    bob = replace(world.grant, subject="sub-bob")
    assert await replica.refreshing.last_proof(bob) is None


async def test_a_word_that_lives_signs_while_the_issuer_is_away_but_not_once_it_refused() -> None:
    """Half-way through its life."""
    world, replica, proofs = await made()
    whole = replica.minting.whole_right(world.grant)
    first = await proofs.good(world.grant, whole)
    world.clock.advance(LIFE / 2 + 1)
    world.issuer.down = AWAY
    assert await proofs.good(world.grant, whole) is first
    paused = replace(world.grant, state=GrantState.PAUSED, note="suspended")
    with pytest.raises((GrantPaused, IssuerUnreachable)):
        await proofs.good(paused, whole)


async def test_a_slow_issuer_leaves_half_of_the_time_to_serve_what_is_known() -> None:
    """Who knows nothing yet waits longer for it."""
    world, replica, proofs = await made()
    whole = replica.minting.whole_right(world.grant)
    first = await proofs.good(world.grant, whole)
    world.clock.advance(LIFE + 1)
    world.issuer.answer_seconds = 60
    asked = replica.start(proofs.newest(world.grant, whole, 8.0))
    await world.clock.pass_time(4.5)
    assert asked.result() is first
    replica.refreshing.forget(LINE)
    none = replace(world.grant, access_token=None)
    asked = replica.start(proofs.newest(none, whole, 8.0))
    await world.clock.pass_time(7.5)
    assert not asked.done()
    await world.clock.pass_time(1)
    with pytest.raises(Busy):
        asked.result()
    assert Wish(world.grant.key, LINE, whole) in replica.refreshing._running
