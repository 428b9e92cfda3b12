"""After a write it is known whether it was written, whatever the store said or left unsaid."""

from __future__ import annotations

import pytest

from credbroker.broker.storing import TRIES, put_surely
from credbroker.domain.errors import StoreMisconfigured, StoreUnavailable, StoreUnclear
from credbroker.ports import StaleVersionError
from tests.fakes.store import MemoryRecords

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")
UNCLEAR = StoreUnclear("OpenBao/Vault took a write and did not answer.")


async def put_mine(records: MemoryRecords[str], expected: int = 0) -> int:
    """Write "mine" over version `expected`."""
    return await put_surely(records, "x", "mine", expected, is_ours=lambda found: found == "mine")


async def test_a_write_that_was_taken_without_an_answer_is_recognised() -> None:
    """By reading our own write back."""
    records = MemoryRecords[str]()
    records.fail_next(UNCLEAR, acted=True, on="put")
    assert await put_mine(records) == 1


async def test_a_write_that_was_not_taken_is_made_again() -> None:
    """At the same version, so that it cannot happen twice."""
    records = MemoryRecords[str]()
    records.fail_next(UNCLEAR, on="put")
    assert await put_mine(records) == 1
    assert records.history == ["mine"]


async def test_a_write_that_lands_late_finds_its_place_taken() -> None:
    """It was not there when we looked; that is no proof that it never comes."""
    records = MemoryRecords[str]()
    records.delay_next_put(UNCLEAR)
    assert await put_mine(records) == 1
    with pytest.raises(StaleVersionError):
        await records.land()


async def test_a_write_that_never_gets_an_answer_stays_unclear() -> None:
    """However often it is made."""
    records = MemoryRecords[str]()
    for _ in range(TRIES):
        records.fail_next(UNCLEAR, on="put")
    with pytest.raises(StoreUnclear):
        await put_mine(records)


async def test_a_write_stays_unclear_if_even_the_reading_fails() -> None:
    """Then nobody may act on either belief."""
    records = MemoryRecords[str]()
    records.fail_next(UNCLEAR, acted=True, on="put")
    records.fail_next(AWAY, on="get")
    with pytest.raises(StoreUnclear):
        await put_mine(records)


@pytest.mark.parametrize("answer_lost", [False, True])
async def test_somebody_elses_write_is_stale(answer_lost: bool) -> None:
    """Whether the store said so or the reading shows it."""
    records = MemoryRecords[str]()
    await records.put("x", "theirs", 0)
    if answer_lost:
        records.fail_next(UNCLEAR, on="put")
    with pytest.raises(StaleVersionError):
        await put_mine(records)
    assert records.newest("x") == "theirs"


async def test_our_own_earlier_try_is_not_taken_for_somebody_elses() -> None:
    """A try whose answer got lost makes the next one stale."""
    records = MemoryRecords[str]()
    await records.put("x", "mine", 0)
    assert await put_mine(records) == 1


@pytest.mark.parametrize("error", [AWAY, StoreMisconfigured("OpenBao/Vault refuses the broker.")])
async def test_a_clear_refusal_passes_through(error: Exception) -> None:
    """Nothing was written, and nothing is read to find that out."""
    records = MemoryRecords[str]()
    records.fail_next(error, on="put")
    with pytest.raises(type(error)):
        await put_mine(records)
    assert records.reads == 0
