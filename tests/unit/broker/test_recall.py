"""What is remembered is at most five seconds old, or said to be."""

from __future__ import annotations

import asyncio

import pytest

from credbroker.broker.recall import (
    ANSWER_SECONDS,
    FRESH_SECONDS,
    PATIENCE_SECONDS,
    UNKNOWN_SECONDS,
    Recall,
    Recalled,
)
from credbroker.domain.errors import RecordDamaged, StoreMisconfigured, StoreUnavailable
from credbroker.ports import Stored
from tests.fakes.clock import FakeClock, turns
from tests.fakes.store import MemoryRecords

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")


class SlowReads(MemoryRecords[str]):
    """A store whose answers are on the way for as long as a test says."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        super().__init__(clock)
        self.clock = clock
        self.seconds = seconds

    async def get(self, segment: str) -> Stored[str] | None:
        """Read at once, answer later."""
        found = await super().get(segment)
        await self.clock.sleep(self.seconds)
        return found


async def test_a_record_is_read_once_in_five_seconds() -> None:
    """The steady state asks the store for nothing."""
    clock, records = FakeClock(), MemoryRecords[str]()
    recall = Recall(records, clock)
    await records.put("x", "one", 0)
    for _ in range(100):
        assert await recall.get("x") == Recalled("one", fresh=True)
        clock.advance(FRESH_SECONDS / 101)
    assert records.reads == 1


async def test_a_change_is_noticed_within_five_seconds() -> None:
    """So is a revocation, which is a change."""
    clock, records = FakeClock(), MemoryRecords[str]()
    recall = Recall(records, clock)
    await records.put("x", "one", 0)
    await recall.get("x")
    await records.put("x", "two", 1)
    clock.advance(FRESH_SECONDS)
    assert await recall.get("x") == Recalled("two", fresh=True)


async def test_a_store_that_is_away_leaves_the_last_word_marked_as_not_fresh() -> None:
    """And fresh again once it is back."""
    clock, records = FakeClock(), MemoryRecords[str]()
    recall = Recall(records, clock)
    await records.put("x", "one", 0)
    await recall.get("x")
    clock.advance(FRESH_SECONDS)
    records.fail_next(AWAY)
    assert await recall.get("x") == Recalled("one", fresh=False)
    clock.advance(FRESH_SECONDS)
    assert await recall.get("x") == Recalled("one", fresh=True)


async def test_nobody_waits_for_a_silent_store_for_every_record() -> None:
    """Once is enough for some seconds; what is known is told at once."""
    clock = FakeClock()
    records = SlowReads(clock, 0)
    recall = Recall(records, clock)
    for segment in ("x", "y"):
        await records.put(segment, "one", 0)
        reading = asyncio.ensure_future(recall.get(segment))
        await clock.pass_time(0)
        await reading
    clock.advance(FRESH_SECONDS)
    records.seconds = 60
    waited = asyncio.ensure_future(recall.get("x"))
    await clock.pass_time(PATIENCE_SECONDS)
    assert await waited == Recalled("one", fresh=False)
    assert await recall.get("y") == Recalled("one", fresh=False)
    assert await recall.get("x") == Recalled("one", fresh=False)


@pytest.mark.parametrize("asked_before", [False, True])
async def test_nothing_is_said_of_a_record_that_was_never_seen(asked_before: bool) -> None:
    """That it was absent a while ago does not count while the store is away."""
    clock, records = FakeClock(), MemoryRecords[str]()
    recall = Recall(records, clock)
    if asked_before:
        assert await recall.get("x") == Recalled(None, fresh=True)
        clock.advance(UNKNOWN_SECONDS)
    records.fail_next(AWAY)
    with pytest.raises(StoreUnavailable):
        await recall.get("x")


async def test_a_store_that_refuses_us_leaves_the_last_word() -> None:
    """A login that is refused is an outage like another, for who has a token at hand."""
    clock, records = FakeClock(), MemoryRecords[str]()
    recall = Recall(records, clock)
    await records.put("x", "one", 0)
    await recall.get("x")
    clock.advance(FRESH_SECONDS)
    records.fail_next(StoreMisconfigured("OpenBao/Vault refuses the broker."))
    assert await recall.get("x") == Recalled("one", fresh=False)


async def test_a_damaged_record_is_told_not_papered_over() -> None:
    """Nobody knows what it says."""
    clock, records = FakeClock(), MemoryRecords[str]()
    recall = Recall(records, clock)
    await records.put("x", "one", 0)
    await recall.get("x")
    clock.advance(FRESH_SECONDS)
    records.fail_next(RecordDamaged("A record is damaged."))
    with pytest.raises(RecordDamaged):
        await recall.get("x")


async def test_what_was_learnt_outranks_a_read_that_began_before() -> None:
    """A logout is not undone by an answer that was on the way when it happened."""
    clock = FakeClock()
    records = SlowReads(clock, 1)
    recall = Recall(records, clock)
    await records.put("x", "alive", 0)
    reading = asyncio.ensure_future(recall.get("x"))
    await turns()
    recall.learn("x", "ended")
    await clock.pass_time(1)
    assert (await reading).value == "ended"
    assert (await recall.get("x")).value == "ended"


async def test_the_five_seconds_count_from_the_question_not_from_the_answer() -> None:
    """A slow answer may be as old as the question."""
    clock = FakeClock()
    records = SlowReads(clock, FRESH_SECONDS)
    recall = Recall(records, clock)
    await records.put("x", "alive", 0)
    reading = asyncio.ensure_future(recall.get("x"))
    await turns()
    await records.put("x", "ended", 1)
    await clock.pass_time(FRESH_SECONDS)
    assert (await reading).value == "alive"
    records.seconds = 0
    again = asyncio.ensure_future(recall.get("x"))
    await clock.pass_time(0)
    assert (await again).value == "ended"


async def test_names_that_do_not_exist_do_not_fill_the_memory() -> None:
    """Whoever guesses lease ids makes the broker forget nothing and keep nothing."""
    clock, records = FakeClock(), MemoryRecords[str]()
    recall = Recall(records, clock, room=8)
    await records.put("x", "one", 0)
    await recall.get("x")
    for guess in range(64):
        clock.advance(1)
        await recall.get(f"guess-{guess}")
        assert len(recall._known) <= 2 * UNKNOWN_SECONDS
    records.fail_next(AWAY)
    assert (await recall.get("x")).value == "one"


@pytest.mark.parametrize("known", [False, True])
async def test_who_needs_the_stores_word_waits_for_it(known: bool) -> None:
    """Also while nobody else does any more."""
    clock = FakeClock()
    records = SlowReads(clock, 0)
    recall = Recall(records, clock)
    await records.put("x", "one", 0)
    if known:
        reading = asyncio.ensure_future(recall.get("x"))
        await clock.pass_time(0)
        assert reading.done()
        clock.advance(FRESH_SECONDS)
        records.fail_next(AWAY)
        unsure = asyncio.ensure_future(recall.get("x"))
        await clock.pass_time(0)
        assert unsure.result() == Recalled("one", fresh=False)
    records.seconds = 5
    waiting = asyncio.ensure_future(recall.confirmed("x", ANSWER_SECONDS))
    await clock.pass_time(5)
    assert waiting.result() == "one"


@pytest.mark.parametrize("ask", ["get", "confirmed"])
async def test_nobody_waits_for_a_store_past_its_own_time(ask: str) -> None:
    """What comes later is learnt all the same."""
    clock = FakeClock()
    records = SlowReads(clock, ANSWER_SECONDS + 1)
    recall = Recall(records, clock)
    await records.put("x", "one", 0)
    waiting = asyncio.ensure_future(getattr(recall, ask)("x", ANSWER_SECONDS))
    await clock.pass_time(ANSWER_SECONDS)
    with pytest.raises(StoreUnavailable, match="in time"):
        waiting.result()
    await clock.pass_time(1)
    known = asyncio.ensure_future(recall.get("x"))
    await clock.pass_time(PATIENCE_SECONDS)
    assert known.result().value == "one"


async def test_what_is_told_of_when_it_changes_is_not_read_again() -> None:
    """Until it is dropped; then it is."""
    clock, records = FakeClock(), MemoryRecords[str]()
    recall = Recall(records, clock, fresh_seconds=float("inf"))
    await records.put("x", "one", 0)
    for _ in range(3):
        assert await recall.get("x") == Recalled("one", fresh=True)
        clock.advance(86400.0)
    assert records.reads == 1
    await records.put("x", "two", 1)
    recall.drop("x")
    assert await recall.get("x") == Recalled("two", fresh=True)


async def test_what_was_dropped_is_told_of_by_nobody_but_the_store() -> None:
    """Not by the last word on it while the store is away."""
    clock, records = FakeClock(), MemoryRecords[str]()
    recall = Recall(records, clock)
    await records.put("x", "one", 0)
    await recall.get("x")
    recall.drop("x")
    records.fail_next(AWAY)
    with pytest.raises(StoreUnavailable):
        await recall.get("x")


async def test_what_is_in_doubt_is_read_again_or_said_to_be_old() -> None:
    """As after its time."""
    clock, records = FakeClock(), MemoryRecords[str]()
    recall = Recall(records, clock, fresh_seconds=float("inf"))
    await records.put("x", "one", 0)
    await recall.get("x")
    await records.put("x", "two", 1)
    recall.doubt()
    records.fail_next(AWAY)
    assert await recall.get("x") == Recalled("one", fresh=False)
    clock.advance(FRESH_SECONDS)
    assert await recall.get("x") == Recalled("two", fresh=True)


async def test_what_may_be_changing_is_read_again_every_five_seconds_for_a_while() -> None:
    """The change may come after the word of it; while the store is away the last word serves."""
    clock, records = FakeClock(), MemoryRecords[str]()
    recall = Recall(records, clock, fresh_seconds=float("inf"))
    await records.put("x", "one", 0)
    await recall.get("x")
    recall.expect_change("x", 60.0)
    recall.expect_change("x", 0.0)  # takes nothing back
    records.fail_next(AWAY)
    assert await recall.get("x") == Recalled("one", fresh=False)
    for version in range(1, 12):
        clock.advance(FRESH_SECONDS)
        await records.put("x", f"version {version}", version)
        assert await recall.get("x") == Recalled(f"version {version}", fresh=True)
    clock.advance(FRESH_SECONDS)
    await recall.get("x")
    reads = records.reads
    clock.advance(86400.0)
    assert (await recall.get("x")).fresh
    assert records.reads == reads


async def test_who_wants_no_old_word_gets_a_new_one() -> None:
    """Where others go by what is remembered."""
    clock, records = FakeClock(), MemoryRecords[str]()
    recall = Recall(records, clock, fresh_seconds=float("inf"))
    await records.put("x", "one", 0)
    await recall.get("x")
    await records.put("x", "two", 1)
    clock.advance(FRESH_SECONDS)
    assert (await recall.get("x")).value == "one"
    assert recall.last_word("x") == "one"
    assert (await recall.get("x", oldest=FRESH_SECONDS)).value == "two"


async def test_word_of_changes_does_not_fill_the_memory() -> None:
    """However many records change that nobody here asks for."""
    clock, records = FakeClock(), MemoryRecords[str]()
    recall = Recall(records, clock, room=8)
    for change in range(64):
        clock.advance(1)
        recall.expect_change(f"change-{change}", 4.0)
        assert len(recall._changing_until) <= 9


@pytest.mark.parametrize("known", [False, True])
async def test_a_read_that_began_before_a_record_was_dropped_is_made_again(known: bool) -> None:
    """Its answer may be older than the change."""
    clock = FakeClock()
    records = SlowReads(clock, 0)
    recall = Recall(records, clock)
    await records.put("x", "alive", 0)
    if known:
        first = asyncio.ensure_future(recall.get("x"))
        await clock.pass_time(0)
        assert first.done()
        clock.advance(FRESH_SECONDS)
    records.seconds = PATIENCE_SECONDS / 3
    reading = asyncio.ensure_future(recall.get("x"))
    await turns()
    await records.put("x", "ended", 1)
    recall.drop("x")
    await clock.pass_time(PATIENCE_SECONDS)
    assert (await reading).value == "ended"


async def test_who_waited_in_vain_is_not_served_what_was_dropped_meanwhile() -> None:
    """The last word on it was good when the waiting began."""
    clock = FakeClock()
    records = SlowReads(clock, 0)
    recall = Recall(records, clock)
    await records.put("x", "alive", 0)
    first = asyncio.ensure_future(recall.get("x"))
    await clock.pass_time(FRESH_SECONDS)
    assert first.done()
    records.seconds = 60
    waiting = asyncio.ensure_future(recall.get("x"))
    await turns()
    recall.drop("x")
    await clock.pass_time(PATIENCE_SECONDS)
    with pytest.raises(StoreUnavailable):
        await waiting
