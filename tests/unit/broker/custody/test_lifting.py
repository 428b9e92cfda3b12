"""A halt is lifted by an operator's word alone, and not before every replica has sorted."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from credbroker.broker.custody.lifting import Lifting, MustLogIn
from credbroker.broker.custody.replicas import KNOWN_SECONDS, LIVE_SECONDS, name_segment
from credbroker.broker.custody.sorting import LEAP, NAMELESS, REWIND_SEGMENT
from credbroker.broker.running import Deeds, Means
from credbroker.domain.errors import Busy, RecordDamaged
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.keeping import PROBE_CREDKEY
from credbroker.domain.losses import RESTORED
from credbroker.domain.marks import Heartbeat, RewindMark
from credbroker.domain.names import GrantKey
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.fakes.store import MemoryRecords
from tests.unit.things import NOON, grant


class Vault:
    """What a restored Vault has, and whoever lifts the halt."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.grants = MemoryRecords[Grant](clock)
        self.rewind = MemoryRecords[RewindMark](clock)
        self.heartbeats = MemoryRecords[Heartbeat](clock)
        self.audit = FakeAudit()
        means = Means(self.audit, clock, FakeEntropy(), Deeds(clock))
        self.lifting = Lifting(self.grants, self.rewind, self.heartbeats, means)

    async def beat(self, *names: str) -> None:
        """Let these replicas be alive now."""
        for name in names:
            await self.heartbeats.put(name_segment(name), Heartbeat(name, 1), 0)

    async def halt(self, *sorted_by: str) -> None:
        """Let there be a halt, for which these replicas have sorted, long enough ago."""
        mark = RewindMark(500, NOON, "one", tuple(sorted_by))
        await self.rewind.put(REWIND_SEGMENT, mark, 0)
        self.clock.advance(LIVE_SECONDS)

    async def lose(self, person: str, **changes: Any) -> Grant:
        """Let somebody's login be lost by the restore."""
        fields = {"key": GrantKey("cms", person, "default"), "subject": f"sub-{person}"}
        one = grant(**{**fields, "state": GrantState.LOST, "reason": RESTORED, **changes})
        await self.grants.put(one.key.segment(), one, 0)
        return one

    @property
    def mark(self) -> RewindMark:
        """The record now."""
        return self.rewind.newest(REWIND_SEGMENT)


@pytest.fixture
def vault(clock: FakeClock) -> Vault:
    """A Vault with nothing in it."""
    return Vault(clock)


async def test_a_halt_that_all_have_sorted_for_is_lifted(vault: Vault) -> None:
    """The counter leaps beyond what any host can remember, and the trail says who did it."""
    await vault.beat("one", "two")
    await vault.halt("two", "one")
    await vault.lifting.lift()
    assert (vault.mark.halted_at, vault.mark.counter) == (None, 500 + LEAP)
    assert vault.mark.sorted_by == ("two", "one")
    assert vault.audit.events() == ["halt_lifted"]


async def test_replicas_that_have_not_sorted_are_named(vault: Vault) -> None:
    """And nothing is lifted."""
    await vault.beat("one", "two", "three")
    await vault.halt("one")
    with pytest.raises(Busy, match=r"not sorted their grants yet: three, two\.") as refused:
        await vault.lifting.lift()
    assert "--without three" in refused.value.remedy
    assert vault.mark.halted_at is not None


async def test_those_that_are_gone_for_good_are_not_waited_for(vault: Vault) -> None:
    """If an operator says so."""
    await vault.beat("one", "two")
    await vault.halt("one")
    await vault.lifting.lift(["two"])
    assert vault.mark.halted_at is None
    assert vault.audit.last("halt_lifted")["without"] == ["two"]


async def test_a_replica_gone_for_a_month_is_waited_for_by_nobody(vault: Vault) -> None:
    """Its name would else be asked for at every restore."""
    await vault.beat("old")
    vault.clock.advance(KNOWN_SECONDS)
    await vault.beat("one")
    await vault.halt("one")
    await vault.lifting.lift()
    assert vault.mark.halted_at is None


async def test_replicas_that_joined_after_the_snapshot_get_time_to_be_heard_of(
    vault: Vault,
) -> None:
    """By Vault's clock: a restored Vault does not know them until they have beaten again."""
    await vault.halt("one")
    vault.clock.advance(-1.0)
    with pytest.raises(Busy) as refused:
        await vault.lifting.lift()
    assert refused.value.remedy == "Ask again in 1 s."
    vault.clock.advance(1.0)
    await vault.lifting.lift()


async def test_a_damaged_heartbeat_holds_up_nobody(vault: Vault) -> None:
    """It names nobody."""
    await vault.beat("one")
    await vault.halt("one")
    vault.heartbeats.fail_next(RecordDamaged("A record is damaged."), on="get")
    await vault.lifting.lift()
    assert vault.mark.halted_at is None


async def test_the_list_is_exact(vault: Vault) -> None:
    """Those lost by the restore and not logged in again; not the operator's own throw-away login."""
    ada, bob = await vault.lose("ada"), await vault.lose("bob")
    await vault.lose("cyd", state=GrantState.READY, reason="")
    await vault.lose("dan", reason="login_needed")
    await vault.lose(PROBE_CREDKEY)
    await vault.lose(NAMELESS, subject=NAMELESS, state=GrantState.ENDED)
    await vault.halt()
    found = await vault.lifting.lift()
    assert set(found.people) == {MustLogIn(one.key, one.subject) for one in (ada, bob)}
    assert (found.nameless, found.damaged) == (1, 0)


async def test_the_list_can_be_had_again(vault: Vault) -> None:
    """Once the halt is lifted, nothing but the list is to be done."""
    await vault.lose("ada")
    await vault.halt()
    first = await vault.lifting.lift()
    lifted = vault.mark
    assert await vault.lifting.lift() == first
    assert vault.mark == lifted
    assert vault.audit.events() == ["halt_lifted"]


async def test_without_any_record_there_is_nothing_to_lift(vault: Vault) -> None:
    """As on the first day."""
    assert (await vault.lifting.lift()).people == ()


async def test_a_replica_that_sorts_meanwhile_is_not_forgotten(vault: Vault) -> None:
    """The record is looked at again when somebody else wrote it."""
    await vault.beat("one")
    await vault.halt("one")
    real_put = vault.rewind.put

    async def put(segment: str, value: RewindMark, expected_version: int) -> int:
        vault.rewind.put = real_put  # type: ignore[method-assign]  # once is enough
        await real_put(segment, dataclasses.replace(vault.mark, sorted_by=("one", "two")), 1)
        vault.clock.advance(LIVE_SECONDS)
        return await real_put(segment, value, expected_version)

    vault.rewind.put = put  # type: ignore[method-assign]  # somebody writes before our first write
    await vault.lifting.lift()
    assert (vault.mark.halted_at, vault.mark.sorted_by) == (None, ("one", "two"))
