"""A host's marks outlive its processes, and no damaged or full disk stops the broker."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from credbroker.domain.errors import BadSettings, LocalFileUnfit
from credbroker.stores.host_marks import SqliteHostMarks

Start = Callable[..., SqliteHostMarks]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the host's marks are."""
    return tmp_path / "custody"


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts replicas, which end with the test."""
    with ExitStack() as opened:

        def started(replica: str = "a", where: Path = folder) -> SqliteHostMarks:
            marks = SqliteHostMarks(where, replica)
            opened.callback(marks.close)
            return marks

        yield started


def database_of(marks: SqliteHostMarks) -> sqlite3.Connection:
    """Return what its one thread writes to."""
    assert marks._database is not None
    return marks._database


def known(marks: SqliteHostMarks) -> tuple[int, dict[str, int]]:
    """Return all that is remembered."""
    return marks.counter, dict(marks.generations())


async def test_marks_outlive_their_process(folder: Path) -> None:
    """All of them."""
    first = SqliteHostMarks(folder, "a")
    await first.remember(5, {"x": 3})
    first.close()
    again = SqliteHostMarks(folder, "a")
    assert known(again) == (5, {"x": 3})
    again.close()


@pytest.mark.parametrize("reader", ["a", "b"])
async def test_marks_outlive_a_kill(
    start: Start, folder: Path, tmp_path: Path, reader: str
) -> None:
    """The files as they lie when the process is gone at once, for itself and for a neighbour."""
    marks = start()
    await marks.remember(5, {"x": 3})
    shutil.copytree(folder, tmp_path / "copy")
    assert known(start(reader, tmp_path / "copy")) == (5, {"x": 3})


async def test_files_are_their_owners_alone(start: Start, folder: Path) -> None:
    """With everything that stands beside the database."""
    await start().remember(5, {"x": 3})
    assert mode(folder) == 0o700
    for ending in ("", "-wal", "-shm"):
        assert mode(folder / f"marks-a.sqlite{ending}") == 0o600


def mode(path: Path) -> int:
    """Return who may do what with it."""
    return path.stat().st_mode & 0o777


async def test_every_write_is_flushed(start: Start) -> None:
    """Not left to the system, as the database would by default."""
    marks = start()
    asked = marks._disk.submit(database_of(marks).execute, "PRAGMA synchronous").result()
    assert marks._disk.submit(asked.fetchone).result() == (2,)


async def test_what_is_known_is_not_written_again(start: Start) -> None:
    """A beat in which nothing rose costs no flush."""
    marks = start()
    await marks.remember(5, {"x": 3})
    before = changes(marks)
    await marks.remember(5, {"x": 3, "y": 0})
    assert changes(marks) == before


def changes(marks: SqliteHostMarks) -> int:
    """Return how many rows were written so far."""
    return marks._disk.submit(lambda: database_of(marks).total_changes).result()


async def test_a_start_on_a_full_disk_knows_what_lies_there_and_writes_when_it_can(
    start: Start, folder: Path, tmp_path: Path
) -> None:
    """Also what was only in the log of a life that was killed, once there is room to read it."""
    first = SqliteHostMarks(folder, "a")
    await first.remember(5, {"x": 3})
    first.close()
    with no_byte_to_be_written():
        marks = start()
        assert known(marks) == (5, {"x": 3})
        with pytest.raises(LocalFileUnfit, match="cannot be written"):
            await marks.remember(6, {"y": 1})
    await marks.remember(6, {})
    shutil.copytree(folder, tmp_path / "copy")
    assert known(start("a", tmp_path / "copy")) == (6, {"x": 3, "y": 1})


async def test_what_a_killed_life_left_in_its_log_is_known_once_there_is_room(
    start: Start, folder: Path, tmp_path: Path
) -> None:
    """A full disk hides it for a while; it is never lowered."""
    await start().remember(5, {"x": 3})
    left = tmp_path / "left"
    shutil.copytree(folder, left)
    with no_byte_to_be_written():
        marks = start("a", left)
    await marks.remember(1, {"y": 1})
    assert known(marks) == (5, {"x": 3, "y": 1})


@contextmanager
def no_byte_to_be_written() -> Iterator[None]:
    """Have the system refuse whatever would make a file longer."""
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most[1]))
    try:
        with capture_logs():
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)


async def test_a_full_disk_is_told_and_made_up_for(start: Start, folder: Path) -> None:
    """What it did not take is known all the same, and goes with the next call."""
    marks = start()
    many = {f"segment-{number}": 1 for number in range(1000)}
    limit(marks, 1)
    with pytest.raises(LocalFileUnfit, match=r"marks-a\.sqlite: .*full"):
        await marks.remember(5, many)
    assert (marks.counter, marks.generation("segment-7")) == (5, 1)
    limit(marks, 1 << 20)
    await marks.remember(5, {"segment-7": 2})
    assert known(start("b")) == (5, many | {"segment-7": 2})


def limit(marks: SqliteHostMarks, pages: int) -> None:
    """Let the database grow to so many pages, or no further than it is."""
    statement = f"PRAGMA max_page_count = {pages}"
    marks._disk.submit(lambda: database_of(marks).execute(statement).close()).result()


async def test_a_caller_who_goes_away_takes_no_marks_along(start: Start) -> None:
    """They are written by the time that the next caller is answered."""
    marks = start()
    going = asyncio.ensure_future(marks.remember(5, {"x": 3}))
    await asyncio.wait([going], timeout=0)
    going.cancel()
    await asyncio.wait([going])
    await marks.remember(0, {})
    assert known(start("b")) == (5, {"x": 3})


@pytest.mark.parametrize("damage", ["no database", "cut", "overwritten"])
async def test_a_damaged_file_is_set_aside(folder: Path, start: Start, damage: str) -> None:
    """Told as an error; the broker starts, remembers nothing and goes on."""
    first = SqliteHostMarks(folder, "a")
    await first.remember(5, {f"segment-{number}": 1 for number in range(5000)})
    first.close()
    path = folder / "marks-a.sqlite"
    spoil(path, damage)
    with capture_logs() as logs:
        marks = start()
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("host_marks_damaged", "error")
    ]
    assert known(marks) == (0, {})
    assert (folder / "marks-a.sqlite.damaged").exists()
    await marks.remember(6, {"x": 3})
    with capture_logs() as logs:
        assert known(start("b")) == (6, {"x": 3})
    assert logs == []


def spoil(path: Path, damage: str) -> None:
    """Damage a database in one of the ways that disks have."""
    if damage == "no database":
        path.write_bytes(b"not a database at all" * 1000)
    elif damage == "cut":
        os.truncate(path, path.stat().st_size // 2)
    else:
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (path.stat().st_size - 4096))


async def test_a_neighbours_damaged_file_is_passed_over(folder: Path, start: Start) -> None:
    """It is that replica's to set aside."""
    first = SqliteHostMarks(folder, "a")
    await first.remember(5, {"x": 3})
    first.close()
    (folder / "marks-b.sqlite").write_bytes(b"not a database at all" * 1000)
    with capture_logs() as logs:
        assert known(start("a")) == (5, {"x": 3})
    assert [line["event"] for line in logs] == ["neighbours_marks_not_read"]
    assert (folder / "marks-b.sqlite").read_bytes().startswith(b"not a database")


async def test_a_neighbour_is_only_read(folder: Path, start: Start) -> None:
    """Whatever it knows is taken over, whichever of the two is ahead."""
    first, second = start("a"), start("b")
    await first.remember(5, {"x": 3, "y": 1})
    await second.remember(7, {"x": 1, "z": 4})
    assert known(start("c")) == (7, {"x": 3, "y": 1, "z": 4})
    with closing(sqlite3.connect(folder / "marks-b.sqlite")) as database:
        assert dict(database.execute("SELECT name, mark FROM marks")) == {"": 7, "x": 1, "z": 4}


@pytest.mark.parametrize("damage", ["no database", "overwritten"])
async def test_a_damaged_file_takes_its_log_along(
    start: Start, folder: Path, tmp_path: Path, damage: str
) -> None:
    """What was written last is no good without what came before."""
    marks = start()
    await marks.remember(5, {f"segment-{number}": 1 for number in range(5000)})
    marks._disk.submit(database_of(marks).execute, "PRAGMA wal_checkpoint").result()
    await marks.remember(6, {"segment-7": 2})
    shutil.copytree(folder, tmp_path / "copy")
    spoil(tmp_path / "copy" / "marks-a.sqlite", damage)
    again = start("a", tmp_path / "copy")
    assert known(again) == (0, {})
    await again.remember(7, {"x": 1})
    assert known(start("b", tmp_path / "copy")) == (7, {"x": 1})


async def test_two_with_one_name_lower_nothing(start: Start) -> None:
    """Though neither knows what the other wrote."""
    first, second = start("a"), start("a")
    await first.remember(5, {"x": 3, "y": 1})
    await second.remember(4, {"x": 2, "y": 2})
    assert known(start("b")) == (5, {"x": 3, "y": 2})


@pytest.mark.parametrize("obstacle", ["folder", "link"])
def test_a_file_that_cannot_be_used_is_told(folder: Path, start: Start, obstacle: str) -> None:
    """Where it should be, before anything runs."""
    folder.mkdir()
    if obstacle == "folder":
        (folder / "marks-a.sqlite").mkdir()
    else:
        (folder / "marks-a.sqlite").symlink_to(folder / "elsewhere")
    with pytest.raises(BadSettings, match=r"marks-a\.sqlite"):
        start()


@pytest.mark.slow
async def test_a_large_host_remembers_quickly(start: Start) -> None:
    """A thousand risen marks among a hundred thousand, many times within a beat."""
    marks = start()
    await marks.remember(1, {f"segment-{number:06}": 1 for number in range(100_000)})
    took = []
    for beat in range(2, 7):
        risen = {f"segment-{number:06}": beat for number in range(0, 100_000, 100)}
        begun = time.perf_counter()
        await marks.remember(beat, risen)
        took.append(time.perf_counter() - begun)
    assert min(took) < 0.25
    assert start("b").generation("segment-000100") == 6
