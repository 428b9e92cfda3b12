"""What lies in the spool is sealed, on disk when it is said to be, and never in two hands."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from credbroker.domain.errors import (
    BadSettings,
    RecordDamaged,
    SpoolFull,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.grants import Grant
from credbroker.domain.marks import SpoolKey
from credbroker.domain.secret import Secret
from credbroker.ports import StaleVersionError, Stored
from credbroker.stores.sealing import new_key
from credbroker.stores.slots import SLOT_BYTES
from credbroker.stores.spool import SPOOL_KEY_SEGMENT, SealedSpool
from credbroker.telemetry.canaries import Canaries
from tests.fakes.store import MemoryRecords
from tests.unit.things import grant

CANARY = "r3fresh-Zp0QmT7vKx2LbN9wYd5HgC1sJf8UaE4i"
ONE = grant(generation=2, refresh_token=Secret("refresh token", CANARY))


class Host:
    """Replicas that share a folder and a Vault."""

    def __init__(self, folder: Path, keys: MemoryRecords[SpoolKey]) -> None:
        self._folder = folder
        self._keys = keys
        self._alive: dict[str, SealedSpool] = {}

    async def start(self, replica: str = "a", slots: int = 4) -> SealedSpool:
        """Start a replica, after the death of the one of that name."""
        self.kill(replica)
        spool = SealedSpool(self._folder, replica, self._keys, slots)
        await spool.open()
        self._alive[replica] = spool
        return spool

    def kill(self, *replicas: str) -> None:
        """End these, if they run."""
        for replica in replicas:
            if replica in self._alive:
                self._alive.pop(replica).close()

    def end(self) -> None:
        """End all."""
        self.kill(*list(self._alive))


@pytest.fixture
def keys() -> MemoryRecords[SpoolKey]:
    """Vault's place for the key."""
    return MemoryRecords()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the host's spools are."""
    return tmp_path / "custody"


@pytest.fixture
async def host(folder: Path, keys: MemoryRecords[SpoolKey]) -> AsyncIterator[Host]:
    """A host on which nothing runs yet."""
    host = Host(folder, keys)
    yield host
    host.end()


def numbered(number: int) -> Grant:
    """Return one of many grants."""
    return grant(generation=number, refresh_token=Secret("refresh token", f"{CANARY}-{number}"))


async def generations(spool: SealedSpool) -> list[int]:
    """Return which grants were left, by their generation."""
    return sorted(one.generation for one in (await spool.left()).values())


# Custody


async def test_the_refresh_token_is_nowhere_on_the_disk(host: Host, folder: Path) -> None:
    """Nor in the name, nor in the record's other words."""
    spool = await host.start()
    entry = await spool.keep(ONE)
    canaries = Canaries()
    canaries.plant("refresh token", CANARY)
    canaries.search_folder(folder)
    canaries.search_text("entry", entry.encode())
    canaries.assert_unseen()
    assert b"sub-ada" not in (folder / "spool-a.sealed").read_bytes()


async def test_the_private_half_stays_in_vault(
    host: Host, folder: Path, keys: MemoryRecords[SpoolKey]
) -> None:
    """Neither the disk nor the spool holds it, not even after it opened something."""
    await (await host.start()).keep(ONE)
    spool = await host.start()
    assert await generations(spool) == [2]
    canaries = Canaries()
    canaries.plant("spool key", keys.newest(SPOOL_KEY_SEGMENT).private.reveal())
    canaries.search_folder(folder)
    canaries.search_text("spool", repr(vars(spool)).encode() + repr(vars(spool._sealer)).encode())
    canaries.assert_unseen()


async def test_the_private_half_is_asked_for_only_when_there_is_something(
    host: Host, keys: MemoryRecords[SpoolKey]
) -> None:
    """A spool that is empty, as nearly always, costs Vault nothing."""
    spool = await host.start()
    await spool.keep(ONE)
    before = keys.reads
    assert await spool.left() == {}
    assert keys.reads == before


async def test_folder_and_file_are_their_owners_alone(host: Host, folder: Path) -> None:
    """Also where the folder was there, and open."""
    open_to_all(folder)
    await host.start()
    assert mode(folder) == 0o700
    assert mode(folder / "spool-a.sealed") == 0o600


def open_to_all(folder: Path) -> None:
    """Leave a folder there that everybody may look into."""
    folder.mkdir()
    folder.chmod(0o755)


def mode(path: Path) -> int:
    """Return who may do what with it."""
    return path.stat().st_mode & 0o777


# On disk


async def test_an_entry_is_on_disk_before_its_name_is_known(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written first, flushed then, returned last."""
    spool = await host.start()
    steps = watch_disk(monkeypatch)
    await spool.keep(ONE)
    steps.append("returned")
    assert steps == ["written", "flushed", "returned"]


def watch_disk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is done to the disk from now on, as it is done."""
    steps: list[str] = []
    write, sync = os.pwrite, os.fdatasync

    def watched_write(file: int, content: bytes, place: int) -> int:
        count = write(file, content, place)
        steps.append("written")
        return count

    def watched_sync(file: int) -> None:
        sync(file)
        steps.append("flushed")

    monkeypatch.setattr(os, "pwrite", watched_write)
    monkeypatch.setattr(os, "fdatasync", watched_sync)
    return steps


async def test_those_that_come_together_share_a_flush(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many they are."""
    spool = await host.start(slots=50)
    steps = watch_disk(monkeypatch)
    await asyncio.gather(*(spool.keep(numbered(one)) for one in range(50)))
    assert (steps.count("written"), steps.count("flushed")) == (50, 1)
    assert await generations(await host.start(slots=50)) == list(range(50))


async def test_a_disk_that_fails_is_told_and_keeps_nothing_taken(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place is free again; the next entry may fare better."""
    spool = await host.start(slots=1)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", failing(errno.EIO))
        with pytest.raises(SpoolFull, match="Input/output error") as told:
            await spool.keep(ONE)
    assert CANARY not in str(told.value) + told.value.remedy
    await spool.keep(numbered(7))
    assert await generations(await host.start()) == [7]


def failing(number: int) -> Callable[..., None]:
    """Return a call to the disk that fails with this error."""

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


async def test_a_wipe_that_fails_is_no_error(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record is in Vault; what comes back is handed in once more, and found needless."""
    spool = await host.start(slots=1)
    entry = await spool.keep(ONE)
    with monkeypatch.context() as broken, capture_logs() as logs:
        broken.setattr(os, "fdatasync", failing(errno.EIO))
        await spool.drop(entry)
    assert [line["event"] for line in logs] == ["spool_entry_not_wiped"]
    await spool.keep(numbered(7))


async def test_a_caller_who_goes_away_takes_no_entry_along(host: Host) -> None:
    """What was on its way to the disk arrives, and its place is given to nobody else."""
    spool = await host.start(slots=2)
    keeping = asyncio.ensure_future(spool.keep(ONE))
    while not spool._waiting and not spool._writing.locked():
        await asyncio.wait([keeping], timeout=0)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    await spool.keep(numbered(7))
    with pytest.raises(SpoolFull):
        await spool.keep(numbered(8))
    assert await generations(await host.start()) == [2, 7]


async def test_no_place_left_is_told(host: Host) -> None:
    """And a dropped entry makes room."""
    spool = await host.start(slots=2)
    entry = await spool.keep(numbered(1))
    await spool.keep(numbered(2))
    with pytest.raises(SpoolFull):
        await spool.keep(numbered(3))
    await spool.drop(entry)
    await spool.keep(numbered(4))
    assert await generations(await host.start()) == [2, 4]


async def test_places_that_were_left_full_stay_full_until_dropped(host: Host) -> None:
    """A new life writes over nothing of the old one."""
    await (await host.start(slots=2)).keep(numbered(1))
    spool = await host.start(slots=2)
    await spool.keep(numbered(2))
    with pytest.raises(SpoolFull):
        await spool.keep(numbered(3))
    for entry in await spool.left():
        await spool.drop(entry)
    await spool.keep(numbered(4))
    assert await generations(await host.start()) == [2, 4]


@pytest.mark.parametrize(("size", "fits"), [(12_000, True), (17_000, False)])
async def test_a_large_record_is_kept_or_told(host: Host, size: int, fits: bool) -> None:
    """Twelve kilobytes are enough for a refresh token of any issuer."""
    spool = await host.start()
    large = grant(refresh_token=Secret("refresh token", "x" * size))
    if fits:
        await spool.keep(large)
        assert list((await (await host.start()).left()).values()) == [large]
    else:
        with pytest.raises(SpoolFull, match="too large"):
            await spool.keep(large)


async def test_a_disk_without_the_room_is_told_at_the_start(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How much is wanted, and where."""
    with monkeypatch.context() as full:
        full.setattr(os, "posix_fallocate", failing(errno.ENOSPC))
        with pytest.raises(BadSettings, match=r"spool-a\.sealed: .* no room .* 16 MiB"):
            await host.start(slots=1024)
    await host.start()


async def test_a_folder_that_cannot_be_is_told(
    keys: MemoryRecords[SpoolKey],
) -> None:
    """With its name."""
    a_file = Path(__file__)
    with pytest.raises(BadSettings, match=r"test_spool\.py: .* cannot be made"):
        await SealedSpool(a_file, "a", keys).open()


# What is damaged


async def test_a_damaged_entry_hides_no_other(host: Host, folder: Path) -> None:
    """It is told once, without what it holds, and its place is left alone."""
    spool = await host.start()
    for one in range(3):
        await spool.keep(numbered(one))
    damage(folder / "spool-a.sealed", slot=1)
    with capture_logs() as logs:
        again = await host.start()
        assert await generations(again) == [0, 2]
        assert await generations(again) == [0, 2]
    assert [line["event"] for line in logs] == ["spool_not_readable"]
    assert logs[0]["slots"] == [1]
    await again.keep(numbered(9))
    with pytest.raises(SpoolFull):
        await again.keep(numbered(10))


async def test_a_neighbours_damage_is_told_once(host: Host, folder: Path) -> None:
    """However often one looks."""
    await (await host.start("b")).keep(ONE)
    spool = await host.start("a")
    host.kill("b")
    damage(folder / "spool-b.sealed", slot=0)
    with capture_logs() as logs:
        assert await spool.left() == {}
        assert await spool.left() == {}
    assert [(line["event"], line["file"]) for line in logs] == [
        ("spool_not_readable", "spool-b.sealed")
    ]


async def test_what_is_no_spool_is_passed_over(host: Host, folder: Path) -> None:
    """A folder or a link of that name, or a file that is too short."""
    spool = await host.start()
    (folder / "spool-x.sealed").mkdir()
    (folder / "spool-y.sealed").symlink_to(folder / "spool-a.sealed")
    (folder / "spool-z.sealed").write_bytes(b"short")
    with capture_logs() as logs:
        assert await spool.left() == {}
    assert {line["event"] for line in logs} == {"spool_not_readable"}


async def test_what_another_key_sealed_is_kept_and_told_once(
    host: Host, keys: MemoryRecords[SpoolKey]
) -> None:
    """The key may come back with a restored Vault; then everything opens."""
    await (await host.start("b")).keep(ONE)
    await (await host.start("b")).keep(numbered(3))
    right = keys._newest.pop(SPOOL_KEY_SEGMENT)
    spool = await host.start("b")
    with capture_logs() as logs:
        assert await spool.left() == {}
        assert await spool.left() == {}
    assert sorted(line["slot"] for line in logs) == [0, 1]
    keys._newest[SPOOL_KEY_SEGMENT] = right
    assert await generations(await host.start("b")) == [2, 3]


async def test_a_file_of_which_nothing_opens_is_given_back(
    host: Host, keys: MemoryRecords[SpoolKey]
) -> None:
    """Its own replica may be a newer one, and need it."""
    dead = await host.start("b")
    await dead.keep(ONE)
    spool = await host.start("a")
    host.kill("b")
    right = keys._newest[SPOOL_KEY_SEGMENT]
    keys._newest[SPOOL_KEY_SEGMENT] = (new_key(), 2, 0.0)
    with capture_logs() as logs:
        assert await spool.left() == {}
        assert await spool.left() == {}
    assert [line["event"] for line in logs] == ["spool_entry_not_opened"]
    keys._newest[SPOOL_KEY_SEGMENT] = right
    again = await host.start("b")
    assert (await again.keep(ONE)).startswith("spool-b.sealed#")
    assert await generations(again) == [2]


async def test_a_key_that_is_gone_opens_nothing(host: Host, keys: MemoryRecords[SpoolKey]) -> None:
    """Told, and not raised."""
    await (await host.start()).keep(ONE)
    spool = await host.start()
    del keys._newest[SPOOL_KEY_SEGMENT]
    with capture_logs() as logs:
        assert await spool.left() == {}
    assert [line["event"] for line in logs] == ["spool_entry_not_opened"]


def damage(path: Path, slot: int) -> None:
    """Change bytes in the middle of an entry."""
    with path.open("r+b") as file:
        file.seek(slot * SLOT_BYTES + 100)
        file.write(b"damage")


# Two hands


async def test_two_drops_at_once_leave_the_file_to_both(host: Host, folder: Path) -> None:
    """The first to end does not close it under the second."""
    dead = await host.start("b")
    for one in range(4):
        await dead.keep(numbered(one))
    spool = await host.start("a")
    host.kill("b")
    left = await spool.left()
    await asyncio.gather(*(spool.drop(entry) for entry in [*left, *left]))
    assert not any((folder / "spool-b.sealed").read_bytes())
    assert not spool._files_in_use()


async def test_looking_twice_at_once_finds_the_same(host: Host) -> None:
    """One name for each entry, whoever asks."""
    dead = await host.start("b")
    await dead.keep(ONE)
    spool = await host.start("a")
    host.kill("b")
    first, second = await asyncio.gather(spool.left(), spool.left())
    assert first == second != {}


async def test_what_is_dropped_while_somebody_looks_is_not_shown(
    host: Host, keys: MemoryRecords[SpoolKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in Vault already."""
    spool = await host.start()
    await spool.keep(ONE)
    await spool.keep(numbered(7))
    spool = await host.start()
    [gone, _] = await spool.left()
    fetch = keys.get

    async def drop_meanwhile(segment: str) -> Stored[SpoolKey] | None:
        await spool.drop(gone)
        return await fetch(segment)

    monkeypatch.setattr(keys, "get", drop_meanwhile)
    assert await generations(spool) == [7]


@pytest.mark.parametrize("entries", [0, 2])
async def test_a_file_that_is_emptied_is_given_back(host: Host, entries: int) -> None:
    """Its own replica goes on in it; a neighbour that looked holds up nobody."""
    dead = await host.start("b")
    for one in range(entries):
        await dead.keep(numbered(one))
    spool = await host.start("a")
    host.kill("b")
    for entry in await spool.left():
        await spool.drop(entry)
    again = await host.start("b")
    assert (await again.keep(ONE)).startswith("spool-b.sealed#")


# The key


async def test_all_replicas_seal_to_the_same_key(host: Host, keys: MemoryRecords[SpoolKey]) -> None:
    """Made by the first that comes."""
    for replica in ("a", "b", "a"):
        await host.start(replica)
    assert len(keys.history) == 1


async def test_of_two_that_start_at_once_one_makes_the_key(
    folder: Path, keys: MemoryRecords[SpoolKey]
) -> None:
    """The other seals to that one: its entries open."""
    spools = [SealedSpool(folder, replica, keys, 2) for replica in ("a", "b", "c")]
    await asyncio.gather(*(spool.open() for spool in spools))
    assert len(keys.history) == 1
    for number, spool in enumerate(spools):
        await spool.keep(numbered(number))
        spool.close()
    last = SealedSpool(folder, "d", keys, 2)
    await last.open()
    assert await generations(last) == [0, 1, 2]
    last.close()


@pytest.mark.parametrize("error", [StaleVersionError(), StoreUnclear("Lost.")])
async def test_a_key_whose_writing_was_unclear_is_read(
    host: Host, keys: MemoryRecords[SpoolKey], error: Exception
) -> None:
    """What is there counts."""
    keys.fail_next(error, acted=True, on="put")
    await (await host.start()).keep(ONE)
    assert await generations(await host.start()) == [2]


async def test_a_key_that_comes_late_is_not_sealed_to_unseen(
    host: Host, keys: MemoryRecords[SpoolKey]
) -> None:
    """Without a key in Vault nothing starts; once one is there, everybody takes that one."""
    keys.delay_next_put(StoreUnclear("Lost."))
    with pytest.raises(StoreUnavailable):
        await host.start()
    await (await host.start()).keep(ONE)
    with pytest.raises(StaleVersionError):
        await keys.land()
    assert await generations(await host.start()) == [2]


async def test_a_damaged_key_stops_the_start(host: Host, keys: MemoryRecords[SpoolKey]) -> None:
    """Rather than to seal to nobody."""
    keys._newest[SPOOL_KEY_SEGMENT] = (SpoolKey("?", new_key().private), 1, 0.0)
    with pytest.raises(RecordDamaged):
        await host.start()


# Names


async def test_too_many_of_one_name_are_refused(host: Host, folder: Path) -> None:
    """Each replica has a name of its own; a few may wait for a neighbour to finish."""
    keys: MemoryRecords[SpoolKey] = MemoryRecords()
    with ExitStack() as opened:
        for _ in range(16):
            spool = SealedSpool(folder, "a", keys, 1)
            await spool.open()
            opened.callback(spool.close)
        with pytest.raises(BadSettings, match="its own name"):
            await SealedSpool(folder, "a", keys, 1).open()
