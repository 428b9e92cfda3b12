"""Replicas share their signing keys, make each once, and keep them through what befalls the store."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from credbroker.broker.custody.replicas import name_segment
from credbroker.broker.issuing.keyring import READ_SECONDS, Keyring
from credbroker.domain.errors import (
    AuditUnavailable,
    ClockOff,
    KeysMissing,
    RecordDamaged,
    StoreMisconfigured,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.secret import Secret
from credbroker.domain.signing_keys import SETTLING_SECONDS, KeyHalves, SigningKey, SigningKeys
from credbroker.ports import Stored
from tests.fakes.clock import turns
from tests.fakes.signing import DAY, RULES, URL, SigningWorld

AWAY = StoreUnavailable("OpenBao/Vault is away.")
SEGMENT = name_segment("dteam")


@pytest.fixture
def world() -> Iterator[SigningWorld]:
    """A store without keys."""
    made = SigningWorld()
    yield made
    made.keysmith.close()


async def opened(world: SigningWorld) -> Keyring:
    """Return a replica's keyring that has read its keys."""
    keyring = world.keyring()
    await keyring.open()
    return keyring


def kids(keyring: Keyring) -> list[str]:
    """Return the published keys, the newest first."""
    return [one["kid"] for one in json.loads(keyring.jwks())["keys"]]


def stored(world: SigningWorld) -> tuple[SigningKey, ...]:
    """Return the keys of the record."""
    return world.records.newest(SEGMENT).keys


async def put(world: SigningWorld, *keys: SigningKey) -> None:
    """Let the record hold these keys."""
    found = await world.records.get(SEGMENT)
    await world.records.put(SEGMENT, SigningKeys(URL, keys), found.version if found else 0)


def told(world: SigningWorld) -> list[tuple[object, object]]:
    """Return what the trail says of keys."""
    return [(line["what"], line["kid"]) for line in world.audit.lines]


async def test_the_first_replica_makes_the_key_and_the_others_find_it(world: SigningWorld) -> None:
    """One key, whichever replica is asked."""
    first, second = await opened(world), await opened(world)
    assert kids(first) == kids(second) == [first.signing("ES256").key.key_id]
    assert len(world.records.history) == 1


async def test_replicas_that_start_at_once_agree_on_one_key(world: SigningWorld) -> None:
    """Each has made one; the first that is written counts, and nobody has signed by another."""
    rings = [world.keyring() for _ in range(3)]
    await asyncio.gather(*(ring.open() for ring in rings))
    assert len({ring.signing("ES256").key.key_id for ring in rings}) == 1
    assert len(stored(world)) == 1
    assert [what for what, _ in told(world)].count("made") == 1


async def test_every_community_has_a_key_of_each_algorithm(world: SigningWorld) -> None:
    """So that the one that an audience wants tomorrow is announced by then."""
    world.algorithms = ("RS256", "ES256")
    keyring = await opened(world)
    assert {key.algorithm for key in keyring.published()} == {"RS256", "ES256"}
    assert keyring.signing("RS256").key.algorithm == "RS256"


async def test_nothing_signs_before_the_keys_were_read(world: SigningWorld) -> None:
    """Nor is anything published."""
    keyring = world.keyring()
    with pytest.raises(KeysMissing):
        keyring.signing("ES256")
    assert (kids(keyring), keyring.published()) == ([], ())
    assert keyring.troubles() == ["There is no ES256 key of dteam to sign with."]
    await keyring.open()
    assert keyring.troubles() == []


async def test_a_store_that_is_away_at_the_start_is_told(world: SigningWorld) -> None:
    """Whoever starts the replica decides what follows."""
    world.records.fail_next(AWAY)
    with pytest.raises(StoreUnavailable):
        await opened(world)


async def test_a_successor_is_announced_takes_over_at_its_moment_and_the_old_key_goes(
    world: SigningWorld,
) -> None:
    """Between two readings too."""
    keyring = await opened(world)
    old = keyring.signing("ES256").key
    world.clock.advance(179 * DAY - SETTLING_SECONDS)
    await keyring.read()
    new = kids(keyring)[0]
    assert kids(keyring) == [new, old.key_id]
    assert new != old.key_id
    assert keyring.signing("ES256").key.key_id == old.key_id
    world.clock.advance(DAY)
    await keyring.read()
    world.clock.advance(SETTLING_SECONDS - 1)
    assert keyring.signing("ES256").key.key_id == old.key_id
    world.clock.advance(1)
    assert keyring.signing("ES256").key.key_id == new
    world.clock.advance(7 * DAY + SETTLING_SECONDS)
    assert kids(keyring) == [new]
    assert old not in keyring.published()
    await keyring.read()
    assert [key.key_id for key in stored(world)] == [new]


async def test_the_trail_tells_a_keys_whole_life(world: SigningWorld) -> None:
    """Made, signs, announced, retired, removed: each once."""
    keyring = await opened(world)
    old = keyring.signing("ES256").key.key_id
    for seconds in (179 * DAY - SETTLING_SECONDS, DAY + SETTLING_SECONDS, 8 * DAY):
        world.clock.advance(seconds)
        for _ in range(2):
            await keyring.read()
    new = kids(keyring)[0]
    of_old, of_new = ([what for what, kid in told(world) if kid == one] for one in (old, new))
    assert of_old == ["made", "signs", "retired", "removed"]
    assert of_new == ["made", "announced", "signs"]
    line = world.audit.last("signing_key")
    assert (line["community"], line["iss"], line["alg"]) == ("dteam", URL, "ES256")
    assert "PRIVATE" not in repr(world.audit.lines)


async def test_what_the_trail_could_not_take_is_told_later(world: SigningWorld) -> None:
    """A full disk delays the telling; the key is there for all, and serves when it is told."""
    world.audit.refused = {"signing_key"}
    with pytest.raises(AuditUnavailable):
        await opened(world)
    world.audit.refused = set()
    keyring = await opened(world)
    assert told(world) == [("signs", keyring.signing("ES256").key.key_id)]


async def test_while_the_store_is_away_the_keys_at_hand_do_their_work(world: SigningWorld) -> None:
    """An announced one begins at its moment, a retired one goes at its own."""
    keyring = await opened(world)
    old = keyring.signing("ES256").key.key_id
    world.clock.advance(179 * DAY)
    await keyring.read()
    for _ in range(3):
        world.records.fail_next(AWAY)
        with pytest.raises(StoreUnavailable):
            await keyring.read()
        world.clock.advance((DAY + SETTLING_SECONDS) / 3)
    assert keyring.signing("ES256").key.key_id == kids(keyring)[0] != old
    world.clock.advance(8 * DAY)
    assert old not in kids(keyring)


async def test_who_has_not_read_for_longer_than_an_announcement_signs_nothing(
    world: SigningWorld,
) -> None:
    """A successor may have begun that it does not know, so its key may be gone before its tokens."""
    keyring = await opened(world)
    world.clock.advance(DAY + SETTLING_SECONDS)
    keyring.signing("ES256")
    world.clock.advance(1)
    with pytest.raises(KeysMissing, match="too long"):
        keyring.signing("ES256")
    assert keyring.troubles() == ["The signing keys of dteam could not be read for too long."]
    assert len(kids(keyring)) == 1
    await keyring.read()
    keyring.signing("ES256")
    assert keyring.troubles() == []


async def test_a_withdrawn_key_is_neither_used_nor_published_within_a_minute(
    world: SigningWorld,
) -> None:
    """On a replica that only reads; its successor signs at once."""
    keyring = await opened(world)
    running = asyncio.ensure_future(keyring.run())
    await turns()
    old = keyring.signing("ES256").key
    await put(world, replace(old, withdrawn_at=world.clock.now()))
    world.entropy.next_fraction = 0.999
    await world.clock.pass_time(60)
    assert old.key_id not in kids(keyring)
    while not kids(keyring):  # a thread makes the next key, which takes no time of this clock
        await turns(1)
    new = keyring.signing("ES256").key.key_id
    assert kids(keyring) == [new]
    assert new != old.key_id
    assert ("withdrawn", old.key_id) in told(world)
    assert {key.key_id for key in stored(world)} == {old.key_id, new}
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_a_replica_that_was_cut_off_for_a_week_brings_no_withdrawn_key_back(
    world: SigningWorld,
) -> None:
    """Though by then its last token is over: whoever stole it would sign new ones."""
    keyring = await opened(world)
    stolen = keyring.signing("ES256").key
    world.clock.advance(179 * DAY)
    await keyring.read()  # announces the successor
    cut_off = await opened(world)
    here = [replace(one, withdrawn_at=world.clock.now()) for one in stored(world) if one == stolen]
    await put(world, *here, *(one for one in stored(world) if one != stolen))
    world.clock.advance(7 * DAY + SETTLING_SECONDS + 60)
    await keyring.read()
    await cut_off.read()
    assert stolen.key_id not in kids(cut_off)
    await keyring.read()
    assert stolen.key_id not in kids(keyring)


async def test_a_key_that_a_restored_store_has_lost_is_written_again(world: SigningWorld) -> None:
    """Its tokens are out there, and every replica must go on to know it."""
    keyring = await opened(world)
    before = stored(world)
    world.clock.advance(179 * DAY)
    await keyring.read()
    after = stored(world)
    await put(world, *before)
    await keyring.read()
    assert stored(world) == after
    assert len(after) == 2


async def test_a_reading_goes_on_after_a_failure(world: SigningWorld) -> None:
    """Every half minute, whatever the last one met."""
    keyring = await opened(world)
    running = asyncio.ensure_future(keyring.run())
    await turns()
    world.records.fail_next(AWAY, on="get")
    reads = world.records.reads
    await world.clock.pass_time(READ_SECONDS * 4)
    assert world.records.reads >= reads + 4
    assert not running.done()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_a_write_whose_answer_was_lost_makes_no_second_key(world: SigningWorld) -> None:
    """It is looked up whether it was written."""
    world.records.fail_next(StoreUnclear("No answer."), acted=True, on="put")
    keyring = await opened(world)
    assert [key.key_id for key in stored(world)] == kids(keyring)


async def test_no_pair_is_made_into_a_key_twice(world: SigningWorld) -> None:
    """Not by the replica that made the last but one, which is over by now."""
    one, two = await opened(world), await opened(world)
    first = kids(one)
    world.clock.advance(180 * DAY)
    await two.read()
    world.clock.advance(20 * DAY)
    await one.read()
    world.clock.advance(170 * DAY)
    await one.read()
    assert len(kids(one)) == 2
    assert set(kids(one)).isdisjoint(first)


async def test_a_pair_that_was_written_after_all_is_no_successor_of_itself(
    world: SigningWorld,
) -> None:
    """The answer was lost, and so was every word on whether it is there."""
    keyring = world.keyring()
    world.records.fail_next(StoreUnclear("No answer."), acted=True, on="put")
    real_get, reads = world.records.get, list[str]()

    async def get(segment: str) -> Stored[SigningKeys] | None:
        reads.append(segment)
        if len(reads) == 2:
            raise AWAY
        return await real_get(segment)

    world.records.get = get  # type: ignore[method-assign]  # away when the write is looked up
    with pytest.raises(StoreUnclear):
        await keyring.open()
    await keyring.read()
    assert len(kids(keyring)) == 1
    world.clock.advance(179 * DAY)
    await keyring.read()
    assert len(set(kids(keyring))) == len(stored(world)) == 2


async def test_no_key_is_made_by_a_clock_that_is_off(world: SigningWorld) -> None:
    """Its times would be everybody's. What is in the record serves all the same."""

    def off() -> None:
        raise ClockOff("This clock is off.")

    await opened(world)
    world.means = replace(world.means, check_clock=off)
    late = world.keyring()
    with pytest.raises(ClockOff):
        await late.open()
    assert kids(late) == [stored(world)[0].key_id]
    assert len(world.records.history) == 1


async def test_by_a_clock_that_is_known_to_be_off_no_key_is_over(world: SigningWorld) -> None:
    """Services that came here would forget the key that other replicas sign with."""
    is_off = False

    def check() -> None:
        if is_off:
            raise ClockOff("This clock is off.")

    world.means = replace(world.means, check_clock=check)
    keyring = await opened(world)
    world.clock.advance(179 * DAY)
    await keyring.read()
    both = kids(keyring)
    world.clock.advance(30 * DAY)
    is_off = True
    with pytest.raises(ClockOff):
        await keyring.read()
    assert kids(keyring) == both
    assert len(both) == 2
    world.clock.advance(-30 * DAY)
    is_off = False
    assert kids(keyring) == both
    assert keyring.signing("ES256").key.key_id == both[1]


async def test_keys_of_another_issuer_string_are_not_used(world: SigningWorld) -> None:
    """As where a community was given another `url` under the same name."""
    await opened(world)
    world.url = "https://elsewhere.example.org/"
    with pytest.raises(StoreMisconfigured, match="another issuer string"):
        await opened(world)


def without_private_half(key: SigningKey) -> SigningKey:
    """Return the key as it is where its private half cannot be read."""
    return replace(key, halves=replace(key.halves, private=Secret("signing key", "no key")))


async def test_a_damaged_private_half_is_told_and_leaves_the_rest(world: SigningWorld) -> None:
    """A replica that had read the keys goes on with them; a later one signs with the others."""
    world.algorithms = ("RS256", "ES256")
    keyring = await opened(world)
    rsa, good = stored(world)
    await put(world, rsa, without_private_half(good))
    late = await opened(world)
    [trouble] = late.troubles()
    assert good.key_id in trouble
    with pytest.raises(KeysMissing, match="cannot be read"):
        late.signing("ES256")
    assert late.signing("RS256").key == rsa
    assert kids(late) == kids(keyring)
    await keyring.read()
    used = keyring.signing("ES256")
    [signature] = await used.signer.sign([b"a"])
    assert keyring.verifies(good, b"a", signature)


async def test_a_successor_that_cannot_be_used_here_hides_no_key_from_anybody(
    world: SigningWorld,
) -> None:
    """As where it lies in a transit engine that only another replica's settings name."""
    keyring = await opened(world)
    old = keyring.signing("ES256").key
    world.clock.advance(179 * DAY)
    await keyring.read()
    new = next(one for one in stored(world) if one != old)
    await put(world, old, replace(new, halves=replace(new.halves, private=None, remote="there")))
    late = await opened(world)
    assert late.troubles() == []
    world.clock.advance(DAY + SETTLING_SECONDS)
    assert kids(late) == [new.key_id, old.key_id]
    with pytest.raises(KeysMissing, match="transit"):
        late.signing("ES256")
    await late.read()
    assert len(late.troubles()) == 1


async def test_a_pair_that_could_not_be_written_is_tried_again(world: SigningWorld) -> None:
    """In a transit engine each new one would stay for ever."""
    keyring, make, pairs = world.keyring(), world.keysmith.make, list[str]()

    async def counted(algorithm: str) -> KeyHalves:
        made = await make(algorithm)
        pairs.append(made.key_id)
        return made

    world.keysmith.make = counted  # type: ignore[method-assign]  # counts what is made
    for _ in range(3):
        world.records.fail_next(AWAY, on="put")
        with pytest.raises(StoreUnavailable):
            await keyring.read()
    await keyring.read()
    assert pairs == kids(keyring) == [key.key_id for key in stored(world)]


async def test_a_key_of_an_algorithm_from_a_later_version_is_published_and_not_used(
    world: SigningWorld,
) -> None:
    """A newer replica signs with it."""
    keyring = await opened(world)
    good = stored(world)[0]
    newer = replace(good, halves=replace(good.halves, key_id="newer", algorithm="ES384"))
    await put(world, good, newer)
    await keyring.read()
    assert set(kids(keyring)) == {good.key_id, "newer"}
    with pytest.raises(KeysMissing):
        keyring.signing("ES384")


async def test_longer_tokens_of_new_settings_keep_the_old_key_for_as_long(
    world: SigningWorld,
) -> None:
    """The record says so before such a token is signed."""
    await opened(world)
    world.rules = replace(RULES, longest_seconds=20 * DAY)
    keyring = await opened(world)
    assert keyring.signing("ES256").key.token_seconds == stored(world)[0].token_seconds == 20 * DAY


async def test_times_are_whole_seconds_as_the_record_has_them(world: SigningWorld) -> None:
    """Else a record would differ from what was written, and be written for ever."""
    world.clock.advance(0.75)
    keyring = await opened(world)
    made = keyring.signing("ES256").key
    assert made.made_at == made.uses_from == datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)


async def test_a_damaged_record_stops_no_other_community_and_no_replica(
    world: SigningWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody signs for this one until it is mended; no other replica would do better, so all are ready."""
    reading = world.records.get

    async def damaged(_segment: str) -> Stored[SigningKeys] | None:
        raise RecordDamaged("A record in OpenBao/Vault is damaged or from a newer version.")

    monkeypatch.setattr(world.records, "get", damaged)
    keyring = await opened(world)
    with pytest.raises(KeysMissing):
        keyring.signing("ES256")
    assert keyring.troubles() == []
    monkeypatch.setattr(world.records, "get", reading)
    await keyring.read()
    assert keyring.signing("ES256").key.algorithm == "ES256"
