"""Who lives is told by Vault's clock alone, and the same by everybody."""

from __future__ import annotations

import contextlib
import datetime

import pytest
from structlog.typing import EventDict

from credbroker.broker.custody.replicas import (
    LIVE_SECONDS,
    NEWCOMER_SECONDS,
    Replicas,
    Share,
    name_segment,
)
from credbroker.broker.running import Deeds, Means
from credbroker.domain.errors import RecordDamaged, StoreUnavailable, StoreUnclear
from credbroker.domain.marks import Heartbeat, IssuerCount
from credbroker.domain.pacing import IssuerLimits, places_of
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.unit.broker.rewind_world import RestorableRecords

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")


class Fleet:
    """One store of heartbeats and as many replicas as are started."""

    def __init__(self) -> None:
        """Begin with none."""
        self.clock = FakeClock()
        self.records = RestorableRecords[Heartbeat](self.clock)
        self._entropy = FakeEntropy()

    def start(self, name: str) -> Replicas:
        """Start a replica that has not beaten yet."""
        self._entropy.next_fraction += 0.01
        means = Means(FakeAudit(), self.clock, self._entropy, Deeds(self.clock))
        return Replicas(self.records, name, means)

    async def beat(self, *replicas: Replicas, times: int = 1) -> None:
        """Let these beat, 10 s apart."""
        for _ in range(times):
            self.clock.advance(10.0)
            for one in replicas:
                await one.beat({})


async def test_living_replicas_see_each_other_in_the_same_order() -> None:
    """Each has a rank of its own among as many as there are."""
    fleet = Fleet()
    c, a, b = fleet.start("c"), fleet.start("a"), fleet.start("b")
    await fleet.beat(c, a, b, times=3)
    assert a.live() == b.live() == c.live() == ("a", "b", "c")
    assert [one.share() for one in (a, b, c)] == [
        Share(rank, 3, newcomer=False) for rank in range(3)
    ]


async def test_a_replica_is_new_until_the_others_have_had_time_to_see_it() -> None:
    """Counted from its first heartbeat, by a clock that cannot be set."""
    fleet = Fleet()
    a = fleet.start("a")
    await a.beat({})
    assert a.share() == Share(0, 1, newcomer=True)
    fleet.clock.advance(NEWCOMER_SECONDS - 0.1)
    assert a.share().newcomer
    fleet.clock.advance(0.1)
    assert not a.share().newcomer


async def test_before_its_first_look_a_replica_does_not_take_the_whole_limit() -> None:
    """Others may live: it has the one place that is kept free for a newcomer."""
    fleet = Fleet()
    others = [fleet.start(name) for name in ("a", "b", "c")]
    await fleet.beat(*others, times=2)
    fourth = fleet.start("d")
    fleet.records.fail_next(AWAY, on="segments")
    for _ in range(2):
        share = fourth.share()
        limits = IssuerLimits(per_second=50.0, at_once=16)
        assert places_of(limits, share.rank, share.count, newcomer=share.newcomer) == 1
        with contextlib.suppress(StoreUnavailable):
            await fourth.beat({})
    assert fourth.share() == Share(3, 4, newcomer=True)


async def test_a_replica_whose_heartbeat_is_old_no_longer_lives() -> None:
    """Whatever its own clock or ours says."""
    fleet = Fleet()
    a, b = fleet.start("a"), fleet.start("b")
    await fleet.beat(a, b, times=2)
    fleet.clock.advance(LIVE_SECONDS)
    await a.beat({})
    assert a.live() == ("a",)


async def test_while_vault_is_silent_the_last_view_stays() -> None:
    """It says nothing about who lives."""
    fleet = Fleet()
    a, b = fleet.start("a"), fleet.start("b")
    await fleet.beat(b, a)
    fleet.clock.advance(1000.0)
    fleet.records.fail_next(AWAY, on="put")
    with pytest.raises(StoreUnavailable):
        await a.beat({})
    assert a.live() == ("a", "b")


async def test_the_others_counts_are_summed_without_our_own() -> None:
    """And the first horizon of all is the horizon."""
    fleet = Fleet()
    a, b, c = fleet.start("a"), fleet.start("b"), fleet.start("c")
    soon = fleet.clock.now()
    later = soon + datetime.timedelta(hours=1)
    await b.beat({"egi": IssuerCount(10, 1, later), "cms": IssuerCount(5, 5, later)})
    await c.beat({"egi": IssuerCount(20, 2, soon)})
    await a.beat({"egi": IssuerCount(100, 100, soon)})
    assert a.others("egi") == IssuerCount(30, 3, soon)
    assert a.others("cms") == IssuerCount(5, 5, later)
    assert a.others("nobody") == IssuerCount()


@pytest.mark.parametrize("acted", [True, False])
async def test_a_beat_without_an_answer_is_looked_for(acted: bool) -> None:
    """It is made once more only over what was found, and means no rewind and no double."""
    fleet = Fleet()
    a = fleet.start("a")
    await a.beat({})
    fleet.records.fail_next(StoreUnclear("No answer."), acted=acted, on="put")
    await fleet.beat(a, times=2)
    beats = [one.beat for one in fleet.records.history]
    assert beats == sorted(set(beats))
    assert len(beats) == 3
    assert not a.fell_back


async def test_a_restart_goes_on_with_the_record_of_the_life_before(
    logged: list[EventDict],
) -> None:
    """Its own name is no stranger's."""
    fleet = Fleet()
    await fleet.beat(fleet.start("a"), times=3)
    again = fleet.start("a")
    await fleet.beat(again, times=2)
    assert logged == []
    assert not again.fell_back
    assert again.share().count == 1


async def test_two_replicas_with_one_name_are_told_of_once(logged: list[EventDict]) -> None:
    """By each of them; it is no sign of a restore."""
    fleet = Fleet()
    one, other = fleet.start("a"), fleet.start("a")
    for _ in range(4):
        await fleet.beat(one, other)
        assert not one.fell_back
        assert not other.fell_back
    assert [line["event"] for line in logged] == ["heartbeat_not_ours"] * 2


async def test_an_earlier_beat_in_the_place_of_a_later_one_says_that_vault_was_set_back() -> None:
    """Until the next beat is where it belongs."""
    fleet = Fleet()
    a = fleet.start("a")
    await fleet.beat(a, times=2)
    saved = fleet.records.snapshot()
    await fleet.beat(a)
    fleet.records.restore(saved)
    fell_back = []
    for _ in range(2):
        await fleet.beat(a)
        fell_back.append(a.fell_back)
    assert fell_back == [True, False]


async def test_an_old_reading_is_no_sign_of_a_restore() -> None:
    """The write over it does not succeed, so it was not the newest."""
    fleet = Fleet()
    a = fleet.start("a")
    await fleet.beat(a, times=2)
    old = fleet.records.snapshot()
    await fleet.beat(a, times=2)
    fleet.records.fail_next(StoreUnclear("No answer."), on="put")
    fleet.records.answer_from(old, times=1)
    await fleet.beat(a)
    assert not a.fell_back
    await fleet.beat(a)
    assert not a.fell_back


async def test_a_damaged_heartbeat_hides_no_other() -> None:
    """It counts as nobody's."""
    fleet = Fleet()
    names = sorted(["a", "b", "c"], key=name_segment)
    damaged, sound, own = [fleet.start(name) for name in names]
    await fleet.beat(damaged, sound, own)
    # Its own record is not read in a beat, so the first reading is that of the first other.
    fleet.records.fail_next(RecordDamaged("A record is damaged."), on="get")
    await fleet.beat(own)
    assert set(own.live()) == {sound.name, own.name}


def test_a_name_that_somebody_typed_is_on_no_path() -> None:
    """Only its hash is."""
    assert name_segment("../../x") == name_segment("../../x") != name_segment("x")
    assert set(name_segment("../../x")).isdisjoint("./")


async def test_a_lost_answer_and_an_old_reading_are_no_restore() -> None:
    """A node that lags shows an old beat; a write that is refused over it proves it old."""
    fleet = Fleet()
    one = fleet.start("one")
    await fleet.beat(one, times=3)
    old = fleet.records.snapshot()
    await fleet.beat(one)
    fleet.records.fail_next(StoreUnclear("No answer."), acted=True, on="put")
    fleet.records.answer_from(old, 1)
    await fleet.beat(one)
    assert not one.fell_back


async def test_how_long_the_others_see_an_issuer_fail_is_heard_of_each() -> None:
    """One that says nothing of it, or is not known yet or any more, has seen nothing."""
    fleet = Fleet()
    one, two, three = fleet.start("a"), fleet.start("b"), fleet.start("c")
    assert one.failing_seconds("cms") == [0.0]
    await two.beat({"cms": IssuerCount(failing_seconds=300.0)})
    await three.beat({"egi": IssuerCount(failing_seconds=400.0)})
    await one.beat({"cms": IssuerCount(failing_seconds=500.0)})
    assert sorted(one.failing_seconds("cms")) == [0.0, 300.0]
    assert sorted(one.failing_seconds("egi")) == [0.0, 400.0]
    fleet.clock.advance(LIVE_SECONDS + 1)
    assert one.failing_seconds("cms") == [0.0]
    await one.beat({})
    assert one.failing_seconds("cms") == []
