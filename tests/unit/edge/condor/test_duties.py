"""The pid file, the mark of completion, and the word to the master."""

from __future__ import annotations

import os
import sys
import types
from typing import TYPE_CHECKING

import pytest

from credbroker.domain.errors import LocalFileUnfit
from credbroker.edge.condor.duties import Duties, tell_master
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    from tests.unit.edge.condor.scene import Scene


def test_the_files_are_there_as_long_as_they_are_true(scene: Scene) -> None:
    """What a former credmon left is replaced, and what is ours is taken away."""
    (scene.credd.folder / "pid").write_text("1")
    (scene.credd.folder / "CREDMON_COMPLETE").touch()
    duties = Duties(scene.folder, SystemEntropy())
    duties.begin()
    assert (scene.credd.folder / "pid").read_text().strip() == str(os.getpid())
    assert (scene.credd.folder / "pid").stat().st_mode & 0o777 == 0o644
    assert not (scene.credd.folder / "CREDMON_COMPLETE").exists()
    duties.complete()
    assert (scene.credd.folder / "CREDMON_COMPLETE").exists()
    duties.end()
    assert not (scene.credd.folder / "pid").exists()


def test_the_pid_of_a_successor_stays(scene: Scene) -> None:
    """Who started meanwhile must be signalled."""
    duties = Duties(scene.folder, SystemEntropy())
    duties.begin()
    (scene.credd.folder / "pid").write_text("1\n")
    duties.end()
    assert (scene.credd.folder / "pid").read_text() == "1\n"


def test_no_link_is_written_through(scene: Scene) -> None:
    """HTCondor's account may plant one, and root writes here."""
    target = scene.credd.folder.parent / "target"
    (scene.credd.folder / "pid").symlink_to(target)
    with pytest.raises(LocalFileUnfit):
        Duties(scene.folder, SystemEntropy()).begin()
    assert not target.exists()


def test_alongside_another_credmon_nothing_is_touched(scene: Scene) -> None:
    """Both files are the other's."""
    (scene.credd.folder / "pid").write_text("1")
    (scene.credd.folder / "CREDMON_COMPLETE").write_text("theirs")
    duties = Duties(scene.folder, SystemEntropy(), alongside=True)
    duties.begin()
    duties.complete()
    duties.end()
    assert (scene.credd.folder / "pid").read_text() == "1"
    assert (scene.credd.folder / "CREDMON_COMPLETE").read_text() == "theirs"


async def test_the_master_is_told_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """By HTCondor's bindings, the newer ones first; whatever fails is a remark."""
    monkeypatch.delenv("CONDOR_INHERIT", raising=False)
    assert await tell_master() == "no condor_master has started this"
    monkeypatch.setenv("CONDOR_INHERIT", "1 <127.0.0.1:9618>")
    for name in ("htcondor2", "htcondor"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "not installed" in str(await tell_master())
    said: list[str] = []
    monkeypatch.setitem(sys.modules, "htcondor", types.SimpleNamespace(set_ready_state=said.append))
    assert await tell_master() is None
    assert said == ["Ready"]

    def fail(_: str) -> None:
        raise RuntimeError

    monkeypatch.setitem(sys.modules, "htcondor2", types.SimpleNamespace(set_ready_state=fail))
    assert await tell_master() == "htcondor2 failed: RuntimeError"
