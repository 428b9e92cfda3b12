"""Changes are noticed as they come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from asyncinotify import Inotify

from credbroker.edge.condor.wake import Noticed, Wake
from credbroker.edge.condor.watch import Watch
from tests.unit.edge.condor.scene import REQUEST

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.unit.edge.condor.scene import Scene


async def noticed_when(scene: Scene, deed: Callable[[], object], quiet: bool = False) -> Noticed:
    """Return what is noticed of a deed."""
    wake = Wake()
    wake.take()
    with Inotify() as inotify:
        watch = Watch(inotify, scene.credd.folder, wake)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(watch.run())
            deed()
            if quiet:
                wake_later(group, wake)
            await asyncio.wait_for(wake.wait(), 10)
            task.cancel()
    return wake.take()


def wake_later(group: asyncio.TaskGroup, wake: Wake) -> None:
    """Say something by other means once all that was there to be noticed has been."""

    async def after_all() -> None:
        for _ in range(50):
            await turn()
        wake.user("nobody")

    group.create_task(after_all())


def turn() -> Awaitable[None]:
    """Let the loop look at its files once."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_later(0.001, done.set_result, None)
    return done


async def test_a_new_user_and_a_replaced_request_are_noticed(scene: Scene) -> None:
    """Also in a folder that was not there before."""
    found = await noticed_when(scene, lambda: scene.credd.store("alice", "cms", REQUEST))
    assert found == Noticed(frozenset({"alice"}))
    found = await noticed_when(scene, lambda: scene.credd.store("alice", "cms", REQUEST))
    assert found == Noticed(frozenset({"alice"}))


async def test_a_lost_file_is_noticed(scene: Scene) -> None:
    """Jobs are held while it is missing."""
    path = scene.credd.store_plain("alice", "cms", b"x")
    assert (await noticed_when(scene, path.unlink)).users == {"alice"}


async def test_what_is_delivered_is_not_noticed(scene: Scene) -> None:
    """Or each delivery would lead to a look, and marks and temporary files too."""
    scene.credd.store("alice", "cms", REQUEST)
    scene.look()

    def deeds() -> None:
        scene.deliver("alice/cms")
        scene.credd.mark("alice")

    assert (await noticed_when(scene, deeds, quiet=True)).users == {"nobody"}


async def test_a_linked_user_is_not_watched(scene: Scene) -> None:
    """Nor is a file in the place of one."""
    outside = scene.credd.folder.parent / "outside"
    outside.mkdir()
    (scene.credd.folder / "mallory").symlink_to(outside)
    (scene.credd.folder / "pid").touch()

    def deed() -> None:
        (outside / "cms.top").touch()

    assert (await noticed_when(scene, deed, quiet=True)).users == {"nobody"}


async def test_too_many_watches_are_said(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then files must be looked for."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Inotify, "add_watch", full)
    with Inotify() as inotify, pytest.raises(OSError, match="No space"):
        Watch(inotify, scene.credd.folder, Wake())
