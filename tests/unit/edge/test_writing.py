"""Files in numbers: each with its own owner and mode whatever the umask, none through a link."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from credbroker.delivery import whole_file
from credbroker.domain.errors import LocalFileUnfit
from credbroker.edge.orders import Form, Place
from credbroker.edge.writing import WRITES_AT_ONCE, Writing
from credbroker.host.entropy import SystemEntropy
from tests.fakes.clock import turns
from tests.unit.things import access_token

TOKEN = access_token()
SOMEBODY = (12345, 54321)


@pytest.fixture
def writing() -> Iterator[Writing]:
    """The threads under test."""
    one = Writing(SystemEntropy())
    yield one
    one.close()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o027, 0o077])
async def test_owner_and_mode_are_what_the_order_says_at_every_write(
    tmp_path: Path, writing: Writing, umask: int
) -> None:
    """Whatever the umask, and again at the next write, whatever somebody set meanwhile."""
    owner = SOMEBODY if os.geteuid() == 0 else (os.getuid(), os.getgid())
    before = os.umask(umask)
    try:
        for mode in (0o600, 0o640, 0o444):
            place = Place(tmp_path / f"{mode:o}", mode=mode, owner=owner)
            for _ in range(2):
                await writing.write(place, TOKEN)
                found = place.path.stat()
                assert stat.S_IMODE(found.st_mode) == mode
                assert (found.st_uid, found.st_gid) == owner
                place.path.chmod(0o777)
    finally:
        os.umask(before)


async def test_nothing_is_written_through_a_link_or_over_what_is_somebody_elses(
    tmp_path: Path, writing: Writing
) -> None:
    """A link, a folder, a pipe and a foreign file are errors; what they lead to is as it was."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "link").symlink_to(victim)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    names = ["link", "folder", "pipe"]
    if os.geteuid() == 0:
        (tmp_path / "foreign").write_text("theirs")
        os.chown(tmp_path / "foreign", *SOMEBODY)
        names.append("foreign")
    for name in names:
        with pytest.raises(LocalFileUnfit, match="is there already"):
            await writing.write(Place(tmp_path / name), TOKEN)
    assert victim.read_text() == "precious"
    assert (tmp_path / "link").is_symlink()


async def test_a_second_name_of_a_file_keeps_the_old_content(
    tmp_path: Path, writing: Writing
) -> None:
    """A hard link made beforehand shows no new token to anybody."""
    place, other = Place(tmp_path / "token"), tmp_path / "other"
    place.path.write_text("old")
    os.link(place.path, other)
    await writing.write(place, TOKEN)
    assert (place.path.read_text(), other.read_text()) == (TOKEN.value.reveal(), "old")


async def test_a_temporary_name_that_somebody_took_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writing: Writing
) -> None:
    """Whoever guesses it gets no token."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    monkeypatch.setattr(SystemEntropy, "token", lambda _self, _size: "guessed")
    (tmp_path / ".credbroker-guessed").symlink_to(victim)
    with pytest.raises(LocalFileUnfit, match="exists"):
        await writing.write(Place(tmp_path / "token"), TOKEN)
    assert victim.read_text() == "precious"
    assert not (tmp_path / "token").exists()


async def test_files_are_flushed_several_at_once_and_one_does_not_wait_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writing: Writing
) -> None:
    """As many as there are threads are in the disk's hands; each ends when it is done."""
    flushing = threading.Semaphore(0)
    at_once = threading.Barrier(WRITES_AT_ONCE)
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            at_once.wait(20)
            flushing.release()
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    places = [Place(tmp_path / str(number)) for number in range(WRITES_AT_ONCE)]
    await asyncio.gather(*(writing.write(place, TOKEN) for place in places))
    assert all(place.path.exists() for place in places)


async def test_writes_that_hang_keep_no_other_file_from_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as may be written at once lie on a server of files that is away; they end when it is back."""
    writing = Writing(SystemEntropy(), at_once=2, slow_seconds=0.01)
    back, fsync = threading.Event(), os.fsync
    away = tmp_path / "away"
    away.mkdir()

    def hang(descriptor: int) -> None:
        if away in Path(f"/proc/self/fd/{descriptor}").readlink().parents:
            back.wait(20)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", hang)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(writing.write(Place(away / str(number)), TOKEN))
        await turns()
        await writing.write(Place(tmp_path / "good"), TOKEN)
        assert not list(away.glob("[0-9]"))
        back.set()
    assert len(list(away.glob("[0-9]"))) == 4
    writing.close()


async def test_a_write_that_has_begun_is_ended_when_all_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited for it is gone; the file is whole, and no temporary one is left."""
    writing = Writing(SystemEntropy(), at_once=1)
    begun, go_on, fsync = threading.Event(), threading.Event(), os.fsync

    def slow(descriptor: int) -> None:
        begun.set()
        go_on.wait(20)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    waiting = [
        asyncio.ensure_future(
            writing.write(
                Place(tmp_path / name),
                TOKEN,
            )
        )
        for name in "ab"
    ]
    await asyncio.to_thread(begun.wait, 20)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    go_on.set()
    await asyncio.to_thread(writing.close)
    assert [one.name for one in files_in(tmp_path)] == ["a"]
    assert (tmp_path / "a").read_text() == TOKEN.value.reveal()


async def test_the_form_of_an_order_is_what_is_written(tmp_path: Path, writing: Writing) -> None:
    """With a line end if it says so; the file that was made is told."""
    place = Place(tmp_path / "token", Form.ENV, line_end=True)
    made = await writing.write(place, TOKEN)
    assert place.path.read_text() == f"BEARER_TOKEN={TOKEN.value.reveal()}\n"
    assert whole_file.is_there(place.path, made)
    place.path.unlink()
    assert not whole_file.is_there(place.path, made)


def files_in(folder: Path) -> list[Path]:
    """Return all that lies in a folder."""
    return sorted(folder.iterdir())
