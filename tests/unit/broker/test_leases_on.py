"""What lives on a grant is found without a look at all leases, and nothing that is over is in it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.broker import leases_on
from credbroker.broker.leases_on import LeasesOn, logins_of
from credbroker.broker.walking import READS_AT_ONCE
from credbroker.domain.errors import ClockOff, LeaseEnded, RecordDamaged, StoreUnavailable
from credbroker.domain.leases import Lease, id_on
from credbroker.domain.names import GrantKey
from tests.fakes.clock import turns
from tests.unit import things
from tests.unit.broker.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from credbroker.broker.leases_on import Living
    from credbroker.ports import Stored

GRANT = things.grant(line="line-1", login_id="L" * 22, earlier_logins=("E" * 22,))
HERE = GRANT.line


def id_of(number: int, line: str = HERE) -> str:
    """Return the id of a lease that is found by its line."""
    return id_on(line, f"{number:014}")


def everything_lives(_lease: Lease) -> None:
    """Find no lease to be over."""


def over(ids: Collection[str]) -> Callable[[Lease], None]:
    """Return what finds the leases with these ids, and no others, to be over."""

    def check_alive(lease: Lease) -> None:
        if lease.id in ids:
            raise LeaseEnded("This lease was ended.")

    return check_alive


class Shelf:
    """Leases in a store, and who looks for them."""

    def __init__(self, check_alive: Callable[[Lease], None] = everything_lives) -> None:
        """Begin with no lease."""
        self.world = World()
        self.records = self.world.leases
        self.looking = LeasesOn(self.world.replica().leasing, check_alive)
        self.under_way = self.most = 0

    async def keep(self, *leases: Lease) -> None:
        """Store leases."""
        for one in leases:
            await self.records.put(one.id, one, 0)

    async def keep_many(self, count: int, line: str = HERE) -> None:
        """Store so many leases on a line."""
        await self.keep(*(things.lease(id=id_of(one, line), line=line) for one in range(count)))

    def count_reads(self) -> None:
        """Count from now on how many reads are under way at once."""
        get = self.records.get

        async def counted(segment: str) -> Stored[Lease] | None:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            try:
                await turns(2)
                return await get(segment)
            finally:
                self.under_way -= 1

        self.records.get = counted  # type: ignore[method-assign]  # stands in for the fake's own


def ids(found: Living) -> list[str]:
    """Return the ids of what lives, in the order of ids."""
    return sorted(one.id for one in found.leases)


async def test_leases_are_found_by_their_line_and_by_the_logins_that_the_grant_remembers() -> None:
    """Nobody looks through others'; a remembered login that is long gone is no trouble."""
    shelf = Shelf()
    login = things.lease(id=GRANT.login_id)
    await shelf.keep(login, things.lease(id=id_of(1)), things.lease(id="A" * 22))
    await shelf.keep_many(30, "another line")
    found = await shelf.looking.grant(GRANT)
    assert ids(found) == sorted([login.id, id_of(1)])
    assert not found.more
    assert shelf.records.reads == 3


async def test_a_login_that_is_found_both_ways_is_there_once() -> None:
    """Those of today have ids by which they are found on their line, too."""
    shelf = Shelf()
    grant = replace(GRANT, login_id=id_of(1), earlier_logins=(id_of(2),))
    await shelf.keep_many(4)
    assert len((await shelf.looking.grant(grant)).leases) == 4


async def test_what_is_of_another_place_is_not_there() -> None:
    """Its id may begin alike, or a grant remember it from before: its record says where it is."""
    shelf = Shelf()
    elsewhere = GrantKey(GRANT.key.issuer, GRANT.key.credkey, "another role")
    await shelf.keep(
        things.lease(id=id_of(1), key=elsewhere),
        things.lease(id=id_of(2), line="a line with this beginning"),
        things.lease(id="E" * 22, line="the line before"),
    )
    assert (await shelf.looking.grant(GRANT)).leases == []


@given(st.data())
async def test_a_lease_lives_as_long_as_all_that_it_was_made_from(data: st.DataObject) -> None:
    """However deep, also where a record between is gone."""
    leases: list[Lease] = []
    for number in range(data.draw(st.integers(0, 8))):
        above = data.draw(st.sampled_from([None, *leases]))
        ancestors = (*above.ancestors, above.id) if above is not None else ()
        leases.append(things.lease(id=id_of(number), ancestors=ancestors))
    some = st.sets(st.sampled_from([one.id for one in leases])) if leases else st.just(set[str]())
    ended, gone = data.draw(some), data.draw(some)
    there = [one for one in leases if one.id not in gone]
    shelf = Shelf(over(ended))
    await shelf.keep(*there)
    known_over = ended - gone
    living = [one.id for one in there if known_over.isdisjoint({one.id, *one.ancestors})]
    assert ids(await shelf.looking.grant(GRANT)) == living


@given(counts=st.lists(st.integers(0, 7), min_size=1, max_size=3))
async def test_so_many_of_each_line_are_looked_at_and_of_more_it_is_said(counts: list[int]) -> None:
    """One long line hides none of another."""
    shelf = Shelf()
    by_line = {f"line-{number}": count for number, count in enumerate(counts)}
    for line, count in by_line.items():
        await shelf.keep_many(count, line)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(leases_on, "MOST_LEASES", 5)
        found = await shelf.looking.place(GRANT.key, by_line)
    on = [one.line for one in found.leases]
    assert {line: on.count(line) for line in by_line} == {
        line: min(count, 5) for line, count in by_line.items()
    }
    assert found.more == any(count > 5 for count in counts)


async def test_a_damaged_lease_hides_no_other() -> None:
    """It is passed by, and not counted as living."""
    shelf = Shelf()
    await shelf.keep_many(3)
    shelf.records.fail_next(RecordDamaged("A record is damaged."), on="get")
    found = await shelf.looking.place(GRANT.key, [HERE])
    assert len(found.leases) == 2


async def test_a_store_that_falls_silent_is_said_when_all_reads_have_ended() -> None:
    """Nobody is told that nothing lives; the next who looks is not kept waiting."""
    shelf = Shelf()
    await shelf.keep_many(30)
    shelf.count_reads()
    shelf.records.fail_next(StoreUnavailable("OpenBao/Vault does not answer."), on="get")
    with pytest.raises(StoreUnavailable):
        await shelf.looking.grant(GRANT)
    assert shelf.under_way == 0
    assert len((await shelf.looking.grant(GRANT)).leases) == 30


async def test_all_who_look_have_a_few_read_at_a_time() -> None:
    """However many they are; each still comes to its end."""
    shelf = Shelf()
    await shelf.keep_many(40)
    shelf.count_reads()
    found = await asyncio.gather(*(shelf.looking.grant(GRANT) for _ in range(5)))
    assert {len(one.leases) for one in found} == {40}
    assert 1 < shelf.most <= READS_AT_ONCE


async def test_where_nobody_can_tell_what_is_over_that_is_said() -> None:
    """A clock that is off makes no lease look as if it had ended."""

    def nobody_can_tell(_lease: Lease) -> None:
        raise ClockOff("The clock of this host is off.")

    shelf = Shelf(nobody_can_tell)
    await shelf.keep_many(1)
    with pytest.raises(ClockOff):
        await shelf.looking.grant(GRANT)


def test_a_grant_remembers_its_own_login_and_those_before_it() -> None:
    """One that came without a lease of that kind remembers none."""
    assert logins_of(GRANT) == ["L" * 22, "E" * 22]
    assert logins_of(things.grant()) == []
