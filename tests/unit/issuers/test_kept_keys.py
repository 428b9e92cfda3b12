"""An issuer's public keys are kept by all replicas in one record, which costs few writes."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from credbroker.domain.errors import RecordDamaged, StoreUnavailable
from credbroker.domain.marks import MOST_KEY_SET_CHARACTERS, PublishedKeys
from credbroker.issuers.kept_keys import WRITTEN_AGAIN_SECONDS, KeptKeys
from credbroker.ports import StaleVersionError
from tests.fakes.clock import FakeClock, turns
from tests.fakes.store import MemoryRecords

URL = "https://issuer.test/"
AWAY = StoreUnavailable("OpenBao/Vault does not answer.")


class World:
    """One record, and what each replica has to do with it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.records = MemoryRecords[PublishedKeys](self.clock)

    def replica(self, url: str = URL) -> KeptKeys:
        """Return another replica's view of it."""
        return KeptKeys(self.records, "keys", url)

    async def keep(self, key_set: str, replica: KeptKeys | None = None) -> None:
        """Keep it, and wait until that is done."""
        (replica or self.replica()).keep(key_set)
        await turns()


async def test_what_one_replica_keeps_another_finds_with_its_age() -> None:
    """By the clock of the store."""
    world = World()
    assert await world.replica().found() is None
    await world.keep("the keys")
    world.clock.advance(60)
    assert await world.replica().found() == ("the keys", 60)


async def test_the_record_is_written_when_it_changes_and_else_every_few_hours() -> None:
    """However many replicas hear the issuer, and however often."""
    world = World()
    for _ in range(5):
        await world.keep("the keys")
        world.clock.advance(WRITTEN_AGAIN_SECONDS / 5)
    assert len(world.records.history) == 1
    await world.keep("the keys")
    await world.keep("other keys")
    assert [one.key_set for one in world.records.history] == ["the keys"] * 2 + ["other keys"]


async def test_the_keys_of_another_address_are_not_this_issuers() -> None:
    """The settings were changed, and the name stayed."""
    world = World()
    await world.keep("the keys", world.replica("https://before.test/"))
    assert await world.replica().found() is None
    await world.keep("the keys")
    assert await world.replica().found() == ("the keys", 0)


async def test_more_keys_than_a_record_takes_are_not_kept() -> None:
    """The log says so."""
    world = World()
    with capture_logs() as logs:
        await world.keep("x" * (MOST_KEY_SET_CHARACTERS + 1))
    assert not world.records.history
    assert [one["event"] for one in logs] == ["keys_not_kept"]


@pytest.mark.parametrize("error", [AWAY, RecordDamaged("It is damaged.")])
async def test_a_record_that_cannot_be_read_is_said_to_be_and_is_none(error: Exception) -> None:
    """Whether the store is away or the record is damaged; the next time it may be otherwise."""
    world = World()
    await world.keep("the keys")
    world.records.fail_next(error, on="get")
    with capture_logs() as logs:
        assert await world.replica().found() is None
    assert [one["event"] for one in logs] == ["kept_keys_not_read"]
    assert await world.replica().found() == ("the keys", 0)


@pytest.mark.parametrize("error", [AWAY, StaleVersionError()])
async def test_a_write_that_fails_is_made_up_for_by_the_next(error: Exception) -> None:
    """Whoever has fetched the keys hears nothing of it."""
    world = World()
    replica = world.replica()
    world.records.fail_next(error, on="put")
    await world.keep("the keys", replica)
    assert await replica.found() is None
    await world.keep("the keys", replica)
    assert await replica.found() == ("the keys", 0)
