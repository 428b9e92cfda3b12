"""What a revocation ends is counted, within the time there is for it."""

from __future__ import annotations

from typing import Any

from credbroker.broker.hits import MOST_PEOPLE, Hits, count_hits
from credbroker.domain.errors import RecordDamaged, StoreUnavailable
from credbroker.domain.leases import Lease
from credbroker.domain.names import GrantKey
from credbroker.domain.revocations import Kind
from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryRecords
from tests.unit.things import lease, seconds


class World:
    """Leases, and time."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.leases = MemoryRecords[Lease](self.clock)

    async def give(self, number: int, **changes: Any) -> Lease:
        """Store a lease made now, for an hour."""
        now = self.clock.now()
        fields = {"id": f"{number:022}", "created_at": now, "ends_at": now + seconds(3600)}
        found = lease(**{**fields, **changes})
        await self.leases.put(found.id, found, 0)
        return found

    async def hits(self, kind: Kind, name: str, seconds_left: float = 9.0) -> Hits:
        """Count what a mark of a minute later would end."""
        before = self.clock.now() + seconds(60)
        return await count_hits(self.leases, kind, name, before, self.clock, seconds=seconds_left)


async def test_each_kind_counts_what_it_ends() -> None:
    """Once each, with the jobs among them and whose they are."""
    world = World()
    own = await world.give(1, origin="192.0.2.7")
    await world.give(2, job="job 1", ancestors=(own.id,), origin="192.0.2.8")
    await world.give(3, key=GrantKey("egi", "bob", "default"))
    await world.give(4, key=GrantKey("cms", "ada", "default"))
    both = Hits(2, 1, ("egi/ada",))
    assert await world.hits(Kind.LEASE, own.id) == both
    assert await world.hits(Kind.PERSON, "egi/ada") == both
    assert await world.hits(Kind.JOB, "job 1") == Hits(1, 1, ("egi/ada",))
    assert await world.hits(Kind.HOST, "192.0.2.7") == Hits(1, 0, ("egi/ada",))
    assert await world.hits(Kind.ISSUER, "egi") == Hits(3, 1, ("egi/ada", "egi/bob"))
    assert await world.hits(Kind.PERSON, "egi/eve") == Hits()


async def test_of_many_people_some_are_named() -> None:
    """All are counted."""
    world = World()
    for number in range(50):
        await world.give(number, key=GrantKey("egi", f"p{number}", "default"))
    hits = await world.hits(Kind.ISSUER, "egi")
    assert (hits.leases, len(hits.people)) == (50, MOST_PEOPLE)


async def test_a_damaged_lease_is_none_and_a_silent_store_is_said() -> None:
    """What was not looked at is never called spared."""
    world = World()
    for number in range(3):
        await world.give(number)
    world.leases.fail_next(RecordDamaged("Damaged."), on="get")
    assert await world.hits(Kind.ISSUER, "egi") == Hits(2, 0, ("egi/ada",))
    world.leases.fail_next(StoreUnavailable("Away."))
    assert not (await world.hits(Kind.ISSUER, "egi")).complete
    hits = await world.hits(Kind.ISSUER, "egi", seconds_left=0.0)
    assert hits == Hits(complete=False)
