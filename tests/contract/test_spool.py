"""What `ports.Spool` promises, by the fake of the tests and by the sealed one on a disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from credbroker.domain.errors import SpoolFull, StoreUnavailable
from credbroker.domain.marks import SpoolKey
from credbroker.domain.secret import Secret
from credbroker.ports import Spool
from credbroker.stores.spool import SealedSpool
from tests.fakes.spool import FakeSpool
from tests.fakes.store import MemoryRecords
from tests.unit.things import grant

ONE = grant(generation=2, refresh_token=Secret("refresh token", "successor-one"))
TWO = grant(generation=3, refresh_token=Secret("refresh token", "successor-two"))


class Host(Protocol):
    """A host whose replicas come and go."""

    async def start(self, replica: str) -> Spool:
        """Return the spool of a process that has just started."""

    def kill(self, replica: str) -> None:
        """End that process at once."""

    def fail_next(self) -> None:
        """Have Vault away when it is asked next."""


class FakeHost:
    """With spools in memory."""

    def __init__(self) -> None:
        self._spools: dict[str, FakeSpool] = {}
        self._last: FakeSpool | None = None

    async def start(self, replica: str) -> Spool:
        self._last = self._spools[replica] = FakeSpool(self._last)
        return self._last

    def kill(self, replica: str) -> None:
        self._spools[replica].die()

    def fail_next(self) -> None:
        for spool in self._spools.values():
            spool.fail_next(StoreUnavailable("Down."))


class DiskHost:
    """With files in one folder and the key in one Vault."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: MemoryRecords[SpoolKey] = MemoryRecords()
        self._spools: dict[str, SealedSpool] = {}

    async def start(self, replica: str) -> Spool:
        spool = SealedSpool(self._folder, replica, self._keys, slots=4)
        await spool.open()
        self._spools[replica] = spool
        return spool

    def kill(self, replica: str) -> None:
        self._spools.pop(replica).close()

    def fail_next(self) -> None:
        self._keys.fail_next(StoreUnavailable("Down."))

    def end(self) -> None:
        for replica in list(self._spools):
            self.kill(replica)


@pytest.fixture(params=["fake", "sealed"])
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Host]:
    """A host on which nothing runs yet."""
    if request.param == "fake":
        yield FakeHost()
        return
    disk = DiskHost(tmp_path / "spool")
    yield disk
    disk.end()


async def test_what_was_kept_is_there_after_a_death(host: Host) -> None:
    """In the same replica's next life, whole."""
    spool = await host.start("a")
    await spool.keep(ONE)
    await spool.keep(TWO)
    host.kill("a")
    left = await (await host.start("a")).left()
    assert sorted(left.values(), key=lambda one: one.generation) == [ONE, TWO]


async def test_a_neighbour_finds_what_the_dead_kept(host: Host) -> None:
    """Any replica of the host will do."""
    spool, neighbour = await host.start("a"), await host.start("b")
    await spool.keep(ONE)
    host.kill("a")
    assert list((await neighbour.left()).values()) == [ONE]


async def test_what_the_living_keep_is_their_own(host: Host) -> None:
    """Neither they nor anybody else finds it left behind."""
    spool, neighbour = await host.start("a"), await host.start("b")
    await spool.keep(ONE)
    assert await spool.left() == {}
    assert await neighbour.left() == {}


async def test_what_was_dropped_is_gone(host: Host) -> None:
    """By whoever kept it, or by whoever found it."""
    spool, neighbour = await host.start("a"), await host.start("b")
    await spool.drop(await spool.keep(ONE))
    await spool.keep(TWO)
    host.kill("a")
    left = await neighbour.left()
    assert list(left.values()) == [TWO]
    for entry in left:
        await neighbour.drop(entry)
    assert await neighbour.left() == {}
    assert await (await host.start("a")).left() == {}


async def test_what_was_not_dropped_is_still_left(host: Host) -> None:
    """By the same name, so that one who looks twice knows it again."""
    spool, neighbour = await host.start("a"), await host.start("b")
    await spool.keep(ONE)
    host.kill("a")
    assert await neighbour.left() == await neighbour.left() != {}


async def test_one_of_two_neighbours_works_on_what_was_left(host: Host) -> None:
    """The other takes over when that one dies, too."""
    await (await host.start("a")).keep(ONE)
    first, second = await host.start("b"), await host.start("c")
    host.kill("a")
    assert list((await first.left()).values()) == [ONE]
    assert await second.left() == {}
    host.kill("b")
    assert list((await second.left()).values()) == [ONE]


async def test_a_replica_starts_while_a_neighbour_has_what_it_left(host: Host) -> None:
    """It keeps on keeping; nothing of either is lost or in two hands."""
    spool, neighbour = await host.start("a"), await host.start("b")
    await spool.keep(ONE)
    host.kill("a")
    left = await neighbour.left()
    again = await host.start("a")
    await again.keep(TWO)
    assert await again.left() == {}
    host.kill("a")
    for entry in left:
        await neighbour.drop(entry)
    assert list((await neighbour.left()).values()) == [TWO]


async def test_dropping_twice_drops_nothing_else(host: Host) -> None:
    """A late drop meets no later entry, even where its room was used again."""
    spool = await host.start("a")
    gone = await spool.keep(ONE)
    await spool.drop(gone)
    for _ in range(4):
        await spool.keep(TWO)
    await spool.drop(gone)
    host.kill("a")
    assert list((await (await host.start("a")).left()).values()) == [TWO] * 4


async def test_many_at_once_are_all_kept(host: Host) -> None:
    """Each under a name of its own."""
    spool = await host.start("a")
    names = await asyncio.gather(*(spool.keep(one) for one in (ONE, TWO, ONE, TWO)))
    assert len(set(names)) == 4
    host.kill("a")
    assert len(await (await host.start("a")).left()) == 4


async def test_without_vault_nothing_is_opened_and_nothing_lost(host: Host) -> None:
    """It is there when Vault is."""
    spool, neighbour = await host.start("a"), await host.start("b")
    await spool.keep(ONE)
    host.kill("a")
    host.fail_next()
    with pytest.raises(StoreUnavailable):
        await neighbour.left()
    assert list((await neighbour.left()).values()) == [ONE]


async def test_the_fake_is_full_when_told_to() -> None:
    """And keeps what it has."""
    fake = FakeSpool()
    await fake.keep(ONE)
    fake.full = True
    with pytest.raises(SpoolFull):
        await fake.keep(TWO)
    assert list(fake.entries.values()) == [ONE]
