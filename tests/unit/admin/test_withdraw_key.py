"""An operator withdraws a signing key, and another signs at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from credbroker.admin.office import Office
from credbroker.admin.withdraw_key import Withdrawal, rehearse_withdrawal, withdraw_key
from credbroker.broker.custody.replicas import name_segment
from credbroker.broker.issuing.keyring import Keyring
from credbroker.config.communities import Community
from credbroker.domain.errors import (
    ClockOff,
    KeysMissing,
    NotFound,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.signing_keys import SETTLING_SECONDS, SigningKeys
from tests.fakes.signing import DAY, URL, SigningWorld
from tests.fakes.store import MemoryRecords
from tests.unit.admin.rooms import Rooms

NAME = "dteam"


@pytest.fixture
def world(rooms: Rooms) -> Iterator[SigningWorld]:
    """Brokers over the office's store, by its clock."""
    made = SigningWorld(clock=rooms.clock)
    made.records = records(rooms)
    yield made
    made.keysmith.close()


@pytest.fixture
def office(rooms: Rooms) -> Office:
    """An office whose settings name one community."""
    settings = structs.replace(rooms.office.settings, communities={NAME: Community(url=URL)})
    return replace(rooms.office, settings=settings)


def records(rooms: Rooms) -> MemoryRecords[SigningKeys]:
    """Return the office's store of signing keys."""
    found = rooms.office.signing_keys
    assert isinstance(found, MemoryRecords)
    return found


async def broker(world: SigningWorld) -> tuple[Keyring, str]:
    """Start a broker; return its keys, and which of them signs."""
    keyring = world.keyring()
    await keyring.open()
    return keyring, keyring.signing("ES256").key.key_id


async def test_a_withdrawn_key_gives_way_to_a_new_one_at_once(
    rooms: Rooms, office: Office, world: SigningWorld
) -> None:
    """As soon as a broker has read that; its private half lies in Vault no more."""
    keyring, old = await broker(world)
    await withdraw_key(office, Withdrawal(NAME, old, "ticket 4711"))
    assert rooms.answered() == f"Key {old} of dteam is withdrawn.\n"
    assert "By ES256 then signs a new key, made within a minute." in rooms.said()
    line = rooms.audit.last("signing_key")
    assert (line["what"], line["kid"], line["community"]) == ("withdrawn", old, NAME)
    assert (line["iss"], line["reason"]) == (URL, "ticket 4711")
    await keyring.read()
    new = keyring.signing("ES256").key.key_id
    assert [key.key_id for key in keyring.published()] == [new] != [old]
    kept = {key.key_id: key for key in world.records.newest(name_segment(NAME)).keys}
    assert kept[old].withdrawn_at == rooms.clock.now()
    assert kept[old].halves.private is None
    assert keyring.troubles() == []


async def test_the_announced_key_takes_over_and_is_named(
    rooms: Rooms, office: Office, world: SigningWorld
) -> None:
    """With a word on it: who stole one key may have stolen that as well."""
    keyring, old = await broker(world)
    rooms.clock.advance(179 * DAY - SETTLING_SECONDS)
    await keyring.read()
    announced = keyring.published()[0].key_id
    await withdraw_key(office, Withdrawal(NAME, old))
    assert f"By ES256 then signs key {announced}." in rooms.said()
    assert f"Not withdrawn: {announced}." in rooms.said()
    assert (await broker(world))[1] == announced


async def test_a_rehearsal_tells_what_a_key_does_and_changes_nothing(
    rooms: Rooms, office: Office, world: SigningWorld
) -> None:
    """Of each key there is; nothing is in the store or the trail."""
    keyring, old = await broker(world)
    rooms.clock.advance(179 * DAY - SETTLING_SECONDS)
    await keyring.read()
    new = keyring.published()[0].key_id
    writes, events = len(world.records.history), rooms.audit.events()
    await rehearse_withdrawal(office, Withdrawal(NAME, old))
    assert rooms.answered() == f"Key {old} of dteam would be withdrawn.\n"
    assert "It is the key that signs now, and signs by ES256." in rooms.said()
    await rehearse_withdrawal(office, Withdrawal(NAME, new))
    assert "It is announced, and" in rooms.said()
    rooms.clock.advance(DAY + SETTLING_SECONDS)
    await rehearse_withdrawal(office, Withdrawal(NAME, old))
    assert "It is retired, and" in rooms.said()
    assert (len(world.records.history), rooms.audit.events()) == (writes, events)
    await withdraw_key(office, Withdrawal(NAME, old))
    await rehearse_withdrawal(office, Withdrawal(NAME, old))
    assert "It is withdrawn since 2026-11-28 12:00:00 UTC" in rooms.said()


@pytest.mark.parametrize("do", [rehearse_withdrawal, withdraw_key])
async def test_a_slip_of_the_pen_withdraws_nothing(
    office: Office, world: SigningWorld, do: Any
) -> None:
    """What there is instead is told: communities, or keys."""
    with pytest.raises(KeysMissing):
        await do(office, Withdrawal(NAME, "any"))
    _, key = await broker(world)
    with pytest.raises(NotFound) as refused:
        await do(office, Withdrawal("atlas", key))
    assert refused.value.remedy == "They name: dteam."
    with pytest.raises(NotFound) as refused:
        await do(office, Withdrawal(NAME, key[:-1]))
    assert key in refused.value.remedy
    assert len(world.records.history) == 1


async def test_a_broker_that_writes_at_the_same_time_loses_no_key(
    office: Office, world: SigningWorld
) -> None:
    """The withdrawal is made among what there is by then."""
    keyring, old = await broker(world)
    real_get, read = world.records.get, list[str]()

    async def get(segment: str) -> Any:
        found = await real_get(segment)
        if not read:
            read.append(segment)
            world.clock.advance(179 * DAY)
            await keyring.read()  # announces a key after our first reading
        return found

    world.records.get = get  # type: ignore[method-assign]  # somebody writes after our first reading
    await withdraw_key(office, Withdrawal(NAME, old))
    assert len(world.records.newest(name_segment(NAME)).keys) == 2
    assert (await broker(world))[1] != old


async def test_a_lost_answer_is_looked_up_and_a_store_that_is_away_is_told(
    rooms: Rooms, office: Office, world: SigningWorld
) -> None:
    """Nobody is told that a key is withdrawn which is not."""
    _, old = await broker(world)
    world.records.fail_next(StoreUnavailable("OpenBao/Vault is away."), on="put")
    with pytest.raises(StoreUnavailable):
        await withdraw_key(office, Withdrawal(NAME, old))
    assert (rooms.answered(), rooms.audit.events()) == ("", [])
    world.records.fail_next(StoreUnclear("No answer."), acted=True, on="put")
    await withdraw_key(office, Withdrawal(NAME, old))
    assert world.records.newest(name_segment(NAME)).keys[0].withdrawn_at is not None


async def test_by_a_wrong_clock_nothing_is_withdrawn(office: Office, world: SigningWorld) -> None:
    """Its time would stand in everybody's record."""
    _, old = await broker(world)

    def wrong() -> None:
        raise ClockOff("This clock is off.")

    off = replace(office, means=replace(office.means, check_clock=wrong))
    with pytest.raises(ClockOff):
        await withdraw_key(off, Withdrawal(NAME, old))
    assert len(world.records.history) == 1
