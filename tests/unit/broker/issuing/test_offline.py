"""A refresh token of ours is bound to what it was given for, and ends everywhere at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from credbroker.broker.issuing.offline import Offer, Offline, Offlines
from credbroker.domain.attenuation import Right
from credbroker.domain.clients import Client
from credbroker.domain.errors import RecordDamaged, StoreUnavailable, TokenRefused
from credbroker.domain.policy import Decision
from credbroker.domain.revocations import Kind
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.wire.issued import read_refresh_text
from tests.fakes.clock import turns
from tests.unit.broker.issuing.granting_world import (
    COMMUNITY,
    FTS,
    ROTATING,
    SE1,
    GrantingWorld,
    IssuingReplica,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine


async def begun(world: GrantingWorld, replica: IssuingReplica, client: Client = FTS) -> Offline:
    """Give this client a refresh token."""
    subject = await replica.signing.verify(await world.subject(replica))
    right = Right(ScopeSet.parse("storage.read:/data"), (SE1,))
    offer = Offer(client.id, subject, Decision(right, 3600), {"sub": client.id}, 86400.0)
    return await replica.offlines.begin(offer, soon(world))


def soon(world: GrantingWorld) -> float:
    """Return until when an answer is waited for."""
    return world.clock.elapsed() + 2.5


async def used(
    world: GrantingWorld, replica: IssuingReplica, text: Secret, client: Client = FTS
) -> Offline:
    """Use it."""
    shown = read_refresh_text(text)
    assert shown is not None
    held = await replica.offlines.use(shown, client, soon(world))
    return Offline(held.issued, await replica.offlines.renewed(held, soon(world)))


async def test_the_record_says_all_that_it_is_bound_to() -> None:
    """And of the secret its hash."""
    world = GrantingWorld()
    replica = await world.replica()
    given = await begun(world, replica)
    kept = world.issued.newest(given.issued.id)
    assert (kept.holder, kept.subject, kept.granted_to) == ("fts", "rucio", "rucio")
    assert kept.right == Right(ScopeSet.parse("storage.read:/data"), (SE1,))
    assert kept.actor == {"sub": "fts"}
    assert (kept.ends_at - kept.created_at).total_seconds() == 86400.0
    assert given.text.reveal().rpartition(".")[2] not in repr(kept)
    assert (await used(world, replica, given.text)).issued == kept


async def test_an_end_is_known_to_other_replicas_that_used_it() -> None:
    """As soon as they have read the marks; the client may end its own alone."""
    world = GrantingWorld()
    replica, other = await world.replica(), await world.replica()
    for one in (replica, other):
        await one.containing.read()
    text = (await begun(world, replica)).text
    await used(world, other, text)
    shown = read_refresh_text(text)
    assert shown is not None
    assert not await replica.offlines.end(shown, ROTATING, soon(world))
    assert await replica.offlines.end(shown, FTS, soon(world))
    assert not await replica.offlines.end(shown, FTS, soon(world))
    assert world.audit.events().count("offline_ended") == 1
    world.clock.advance(2)
    await other.containing.read()
    for one in (replica, other):
        with pytest.raises(TokenRefused, match="ended"):
            await used(world, one, text)


async def test_what_was_ended_does_not_begin_again() -> None:
    """By a repetition of the exchange that it came from."""
    world = GrantingWorld()
    replica = await world.replica()
    subject = await replica.signing.verify(await world.subject(replica))
    right = Right(ScopeSet.parse("storage.read:/data"), (SE1,))
    offer = Offer("fts", subject, Decision(right, 3600), None, 86400.0)
    given = await replica.offlines.begin(offer, soon(world))
    shown = read_refresh_text(given.text)
    assert shown is not None
    await replica.offlines.end(shown, FTS, soon(world))
    with pytest.raises(TokenRefused, match="ended"):
        await replica.offlines.begin(offer, soon(world))


async def test_one_that_would_be_over_at_once_is_not_given() -> None:
    """Where settings let it last for less than the token that is shown has lived."""
    world = GrantingWorld()
    replica = await world.replica()
    subject = await replica.signing.verify(await world.subject(replica))
    right = Right(ScopeSet.parse("storage.read:/data"), (SE1,))
    world.clock.advance(60)
    with pytest.raises(TokenRefused, match="run out"):
        await replica.offlines.begin(
            Offer("fts", subject, Decision(right, 3600), None, 60.0), soon(world)
        )
    assert world.issued.history == []


async def test_one_that_is_not_known_here_needs_the_store() -> None:
    """What a replica has not read it cannot believe; nor what may have changed unseen."""
    world = GrantingWorld()
    replica, other = await world.replica(), await world.replica()
    text = (await begun(world, replica)).text
    away = StoreUnavailable("OpenBao/Vault does not answer.")
    world.issued.fail_next(away, on="get")
    with pytest.raises(StoreUnavailable):
        await used(world, other, text)
    await used(world, other, text)
    for memory in other.containing.memories:
        memory.doubt()
    for _ in range(2):
        world.issued.fail_next(away, on="get")
    with pytest.raises(StoreUnavailable):
        await used(world, other, text)


async def test_a_client_that_stops_rotating_goes_on_with_its_newest() -> None:
    """Settings may change while tokens live."""
    world = GrantingWorld()
    replica = await world.replica()
    first = (await begun(world, replica, ROTATING)).text
    second = (await used(world, replica, first, ROTATING)).text
    steady = replace(ROTATING, rotates=False)
    assert (await used(world, replica, first, steady)).text == second
    assert (await used(world, replica, second, steady)).text == second
    assert (await used(world, replica, second, ROTATING)).text not in {first, second}


async def test_a_record_in_another_ones_place_is_not_used() -> None:
    """Whoever may write to the store turns no token into a wider one by moving records."""
    world = GrantingWorld()
    replica, other = await world.replica(), await world.replica()
    mine = await begun(world, replica)
    theirs = await begun(world, replica, ROTATING)
    found = await world.issued.get(mine.issued.id)
    assert found is not None
    await world.issued.put(
        mine.issued.id, replace(theirs.issued, secret_hash=mine.issued.secret_hash), found.version
    )
    with pytest.raises((RecordDamaged, TokenRefused)):
        await used(world, other, mine.text)


async def test_looking_at_one_uses_nothing_up() -> None:
    """Also where its client rotates; a replaced one counts as long as it would be taken."""
    world = GrantingWorld()
    replica = await world.replica()
    first = (await begun(world, replica, ROTATING)).text
    second = (await used(world, replica, first, ROTATING)).text
    for text in (first, second):
        shown = read_refresh_text(text)
        assert shown is not None
        assert (await replica.offlines.find(shown, ROTATING, soon(world))).generation == 2
    world.clock.advance(120)
    shown = read_refresh_text(first)
    assert shown is not None
    with pytest.raises(TokenRefused):
        await replica.offlines.find(shown, ROTATING, soon(world))
    assert world.issued.newest(shown.id).ended_at is None


async def test_another_communitys_client_of_the_same_id_has_nothing_here() -> None:
    """All communities' records lie in one folder."""
    world = GrantingWorld()
    replica = await world.replica()
    text = (await begun(world, replica)).text
    shown = read_refresh_text(text)
    assert shown is not None
    other = Offlines("ops", world.issued, world.seal, replica.containing, world.means)
    for deed in (other.use, other.find):
        with pytest.raises(TokenRefused, match="not known"):
            await deed(shown, FTS, soon(world))
    assert not await other.end(shown, FTS, soon(world))
    await used(world, replica, text)


async def test_what_a_containment_ended_may_be_ended_for_good() -> None:
    """The client's own revocation outlasts the lifting."""
    world = GrantingWorld()
    replica = await world.replica()
    text = (await begun(world, replica)).text
    shown = read_refresh_text(text)
    assert shown is not None
    await replica.containing.revoke(Kind.CLIENT, f"{COMMUNITY}/rucio")
    with pytest.raises(TokenRefused, match="operator"):
        await used(world, replica, text)
    assert await replica.offlines.end(shown, FTS, soon(world))
    await replica.containing.lift(Kind.CLIENT, f"{COMMUNITY}/rucio")
    with pytest.raises(TokenRefused, match="ended"):
        await used(world, replica, text)


async def given_up(world: GrantingWorld, wanted: Coroutine[Any, Any, Offline]) -> None:
    """Give a request up while its write is on the way, and let that arrive."""
    world.issued.put_seconds = 1.0
    request = asyncio.ensure_future(wanted)
    await turns()
    request.cancel()
    await asyncio.wait([request])
    for _ in range(2):
        world.clock.advance(1.0)
        await turns()
    world.issued.put_seconds = 0.0


async def test_what_is_on_its_way_to_the_store_arrives_whoever_gave_the_request_up() -> None:
    """Its time was over, say: the repetition finds the same one, and the same successor."""
    world = GrantingWorld()
    replica = await world.replica()
    first = await begun(world, replica, ROTATING)
    await given_up(world, used(world, replica, first.text, ROTATING))
    assert world.issued.newest(first.issued.id).generation == 2
    second = await used(world, replica, first.text, ROTATING)
    assert second.issued.generation == 2
    assert len(world.issued.history) == 2
    await given_up(world, begun(world, replica, FTS))
    assert len(world.issued.history) == 3


async def test_a_row_of_rotations_at_one_replica_writes_and_does_not_read() -> None:
    """The check-and-set says what a reading would have said."""
    world = GrantingWorld()
    replica = await world.replica()
    text = (await used(world, replica, (await begun(world, replica, ROTATING)).text, ROTATING)).text
    reads, writes = world.issued.reads, len(world.issued.history)
    for _ in range(3):
        text = (await used(world, replica, text, ROTATING)).text
    assert (world.issued.reads - reads, len(world.issued.history) - writes) == (0, 3)


async def test_what_another_replica_did_meanwhile_shows_in_what_is_written() -> None:
    """It rotated, so this one's successor is not taken; it ended all, so nothing is given."""
    world = GrantingWorld()
    replica, other = await world.replica(), await world.replica()
    first = (
        await used(world, replica, (await begun(world, replica, ROTATING)).text, ROTATING)
    ).text
    theirs = (await used(world, other, first, ROTATING)).text
    assert (await used(world, replica, first, ROTATING)).text == theirs
    newest = (await used(world, replica, theirs, ROTATING)).text
    shown = read_refresh_text(newest)
    assert shown is not None
    assert await other.offlines.end(shown, ROTATING, soon(world))
    with pytest.raises(TokenRefused, match="ended"):
        await used(world, replica, newest, ROTATING)
