"""Who is logged in: those whose folder is theirs, told within a moment."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from pathlib import Path

import pytest

from credbroker.edge.sessions import logged_in
from credbroker.edge.sessions.logged_in import LoggedIn, Sessions
from credbroker.host.clock import SystemClock
from tests.fakes.clock import FakeClock
from tests.people import ALICE, BOB, EVE, as_root, hall, move_in

__all__ = ["hall"]


@as_root
def test_only_folders_of_their_own_person_count(hall: Path) -> None:
    """Not root's that wait for their mount, not links, files, or what is no uid."""
    move_in(hall, ALICE)
    (hall / str(BOB[0])).mkdir()
    for name in ("doc", "007", "-1", "\N{ARABIC-INDIC DIGIT ONE}"):
        (hall / name).mkdir()
    (hall / str(EVE[0])).symlink_to(hall / str(ALICE[0]))
    os.chown(hall / str(EVE[0]), *EVE, follow_symlinks=False)
    (hall / "64009").touch()
    os.chown(hall / "64009", 64009, 64009)
    sessions, settled = logged_in.find(hall, {})
    assert list(sessions) == [ALICE[0]]
    assert not settled
    session = sessions[ALICE[0]]
    assert (session.uid, session.gid) == ALICE
    assert session.folder == hall / str(ALICE[0])


@as_root
def test_a_folder_that_cannot_be_looked_at_hides_nobody_elses(
    hall: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People can mount a file system of their own over it, at which not even root may look."""
    move_in(hall, ALICE)
    theirs, look = move_in(hall, EVE), Path.lstat

    def refused(path: Path) -> os.stat_result:
        if path == theirs:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return look(path)

    monkeypatch.setattr(Path, "lstat", refused)
    sessions, settled = logged_in.find(hall, {})
    assert (list(sessions), settled) == ([ALICE[0]], True)


@as_root
async def test_a_login_is_seen_at_once_and_so_is_a_logout(hall: Path) -> None:
    """Nobody waits for the slow look: the kernel tells; here the clock never moves."""
    seen: asyncio.Queue[Sessions] = asyncio.Queue()

    async def until(uids: set[int]) -> None:
        async with asyncio.timeout(10):
            while set(await seen.get()) != uids:
                pass

    with contextlib.suppress(TimeoutError, asyncio.CancelledError):
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(LoggedIn(hall, FakeClock(), seen.put_nowait).run())
            await until(set())
            folder = move_in(hall, ALICE)
            await until({ALICE[0]})
            folder.rmdir()
            await until(set())
            watching.cancel()
    assert watching.cancelled()


@as_root
async def test_who_is_away_for_less_than_a_look_has_come_anew(hall: Path) -> None:
    """The folder is another one and empty, though its number may be the same."""
    seen: asyncio.Queue[Sessions] = asyncio.Queue()
    folder = move_in(hall, ALICE)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(LoggedIn(hall, FakeClock(), seen.put_nowait).run())
        async with asyncio.timeout(10):
            before = (await seen.get())[ALICE[0]]
            await seen.get()  # the kernel is asked from here on
            folder.rmdir()
            move_in(hall, ALICE)
            while (await seen.get()).get(ALICE[0], before) == before:
                pass
        watching.cancel()


@as_root
async def test_a_folder_that_becomes_the_person_s_later_is_looked_at_again_soon(
    hall: Path,
) -> None:
    """As when logind mounts the person's own over it, of which the kernel tells nobody."""
    clock = FakeClock()
    seen: list[Sessions] = []
    watch = LoggedIn(hall, clock, seen.append)
    (hall / str(ALICE[0])).mkdir()
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(watch._look())
        while watch.looks < 1:
            await asyncio.wait_for(clock.until_somebody_sleeps(), 10)
        os.chown(hall / str(ALICE[0]), *ALICE)
        before = clock.elapsed()
        while not seen[-1]:
            await asyncio.wait_for(clock.until_somebody_sleeps(), 10)
            clock.advance(0.05)
        assert clock.elapsed() - before < 1.0
        looking.cancel()


async def test_a_folder_that_cannot_be_read_logs_nobody_out(tmp_path: Path) -> None:
    """What is not seen is not known to be over."""
    seen: list[Sessions] = []
    watch = LoggedIn(tmp_path / "nowhere", SystemClock(), seen.append)
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(watch._look())
        async with asyncio.timeout(10):
            while not watch.looks:
                await asyncio.to_thread(lambda: None)
        looking.cancel()
    assert seen == []
