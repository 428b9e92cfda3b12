"""All grants are walked through once, a few at a time, past what cannot be read."""

from __future__ import annotations

import pytest

from credbroker.broker import walking
from credbroker.broker.walking import walk
from credbroker.domain.errors import RecordDamaged, StoreUnavailable
from credbroker.domain.grants import Grant
from credbroker.domain.names import GrantKey
from credbroker.ports import Stored
from tests.fakes.clock import turns
from tests.fakes.store import MemoryRecords
from tests.unit.things import grant


class CountingRecords(MemoryRecords[Grant]):
    """Tells how many reads were under way at once."""

    under_way = 0
    most = 0

    async def get(self, segment: str) -> Stored[Grant] | None:
        """Return the newest version, after a while."""
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await turns(2)
            return await super().get(segment)
        finally:
            self.under_way -= 1


async def filled(count: int) -> CountingRecords:
    """Return a store with so many grants."""
    records = CountingRecords()
    for number in range(count):
        one = grant(key=GrantKey("cms", f"person {number}", "default"))
        await records.put(one.key.segment(), one, 0)
    return records


@pytest.mark.parametrize("page", [1, 7, 16, 5000])
async def test_each_grant_comes_once_in_order(page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the pages are."""
    monkeypatch.setattr(walking, "PAGE", page)
    records = await filled(40)
    segments = [found.segment async for found in walk(records)]
    assert segments == sorted(set(segments))
    assert len(segments) == 40


async def test_reads_under_way_are_bounded() -> None:
    """And more than one at once."""
    records = await filled(100)
    assert len([found async for found in walk(records)]) == 100
    assert 1 < records.most <= walking.READS_AT_ONCE


async def test_what_cannot_be_read_is_said_and_passed_by() -> None:
    """Its place comes without a record."""
    records = await filled(5)
    records.fail_next(RecordDamaged("A record is damaged."), on="get")
    assert [found.stored is None for found in [one async for one in walk(records)]].count(True) == 1


async def test_a_store_that_falls_silent_ends_the_walk_when_all_reads_have_ended() -> None:
    """Nothing goes on behind the error."""
    records = await filled(30)
    records.fail_next(StoreUnavailable("OpenBao/Vault does not answer."), on="get")
    with pytest.raises(StoreUnavailable):
        assert [found async for found in walk(records)]
    assert records.under_way == 0
