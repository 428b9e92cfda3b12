"""The life of a credmon: its signals, its rounds, its end."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from credbroker.domain.errors import BadSettings, LocalFileUnfit
from credbroker.edge.condor import credmon as life
from credbroker.edge.condor.credmon import Credmon
from credbroker.edge.condor.duties import Duties
from credbroker.edge.engine import Engine
from credbroker.edge.writing import Writing
from credbroker.host.entropy import SystemEntropy
from tests.fakes.clock import FakeClock
from tests.fakes.edge import FakeAsker
from tests.unit.edge.condor.scene import REQUEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.edge.condor.scene import Scene


class Life:
    """A credmon in this very process, and how often its settings were read."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.read = 0
        self.writing = Writing(SystemEntropy())
        self.trouble: Exception | None = None
        clock = scene.clock
        asker = FakeAsker(FakeClock(clock.now()))
        self.credmon = Credmon(
            folder=scene.folder,
            duties=Duties(scene.folder, SystemEntropy()),
            source=scene.source,
            engine=Engine(scene.source, lambda _: asker, self.writing, clock, SystemEntropy()),
            wake=scene.wake,
            clock=clock,
            say=scene.say,
            reconfigure=self.reconfigure,
        )

    async def reconfigure(self) -> None:
        """Count, and fail if the test says so."""
        self.read += 1
        if self.trouble is not None:
            raise self.trouble

    async def until(self, found: Callable[[], object]) -> None:
        """Wait until something is true."""
        async with asyncio.timeout(20):
            while not found():
                await self.scene.clock.sleep(0.005)

    async def until_ready(self) -> None:
        """Wait until it says so."""
        await self.until(lambda: "ready" in self.scene.events())

    def stop(self) -> None:
        """Tell it to stop, as condor_master does."""
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def a_life(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    """A credmon that is not running yet."""
    monkeypatch.setattr(life, "LEAST_PAUSE_SECONDS", 0.2)
    signals = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
    before = {one: signal.getsignal(one) for one in signals}
    made = Life(scene)
    yield made
    made.writing.close()
    for one, deed in before.items():
        signal.signal(one, deed)


async def test_a_thousand_signals_are_one_look_more(a_life: Life) -> None:
    """One is answered at once, and all that come meanwhile by one look after it."""
    a_life.scene.credd.store("alice", "cms", REQUEST)
    async with asyncio.TaskGroup() as group:
        group.create_task(a_life.credmon.run())
        await a_life.until_ready()
        looks = a_life.scene.source.looks
        for _ in range(1000):
            os.kill(os.getpid(), signal.SIGHUP)
        await a_life.until(lambda: a_life.read == 2 or a_life.scene.source.looks > looks)
        await a_life.scene.clock.sleep(0.6)
        assert 1 <= a_life.scene.source.looks - looks <= 2
        assert a_life.read <= 2
        a_life.stop()
    assert not (a_life.scene.credd.folder / "pid").exists()
    assert a_life.scene.events()[-1] == "stopped"


@pytest.mark.parametrize("trouble", [BadSettings("X is no number."), ZeroDivisionError()])
async def test_settings_that_cannot_be_read_leave_those_before_in_force(
    a_life: Life, trouble: Exception
) -> None:
    """It is told, and goes on, whatever is wrong with them."""
    a_life.trouble = trouble
    async with asyncio.TaskGroup() as group:
        group.create_task(a_life.credmon.run())
        await a_life.until_ready()
        os.kill(os.getpid(), signal.SIGHUP)
        await a_life.until(lambda: "the settings stay as they were" in a_life.scene.events())
        a_life.scene.credd.store("alice", "cms", REQUEST)
        await a_life.until(lambda: a_life.scene.use("alice", "cms").exists())
        a_life.stop()


async def test_where_files_cannot_be_watched_they_are_looked_for(
    a_life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More often, and that is told."""

    def full() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(life, "Inotify", full)
    monkeypatch.setattr(life, "UNWATCHED_SECONDS", 0.02)
    async with asyncio.TaskGroup() as group:
        group.create_task(a_life.credmon.run())
        await a_life.until_ready()
        a_life.scene.credd.store("alice", "cms", REQUEST)
        await a_life.until(lambda: a_life.scene.use("alice", "cms").exists())
        a_life.stop()
    assert any("cannot be watched" in event for event in a_life.scene.events())


async def test_a_mark_that_cannot_be_made_keeps_nobody_from_being_served(
    a_life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that is full: HTCondor waits for the mark of other credentials alone."""
    monkeypatch.setattr(life, "WATCHED_SECONDS", 0.02)
    async with asyncio.TaskGroup() as group:
        group.create_task(a_life.credmon.run())
        await a_life.until_ready()
        mark = a_life.scene.credd.folder / "CREDMON_COMPLETE"
        mark.unlink()
        mark.mkdir()
        await a_life.until(lambda: len(a_life.scene.events()) > 1)
        a_life.scene.credd.store("alice", "cms", REQUEST)
        await a_life.until(lambda: a_life.scene.use("alice", "cms").exists())
        a_life.stop()
    assert a_life.scene.events().count("it cannot be said that all was looked at") == 1


async def test_a_folder_that_is_another_one_ends_it(
    a_life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """condor_master starts it again, in the new one."""
    monkeypatch.setattr(life, "WATCHED_SECONDS", 0.02)
    folder = a_life.scene.credd.folder
    folder.rename(folder.with_name("old"))
    folder.mkdir()
    with pytest.raises(LocalFileUnfit, match="not the folder any more"):
        await asyncio.wait_for(a_life.credmon.run(), 20)
