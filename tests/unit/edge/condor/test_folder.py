"""The folder of credentials, read and tidied with care."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from credbroker.domain.errors import LocalFileUnfit
from credbroker.edge.condor.folder import Folder
from tests.unit.edge.condor.scene import REQUEST

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.edge.condor.scene import Scene


@pytest.mark.parametrize("bits", [0o2771, 0o2774, 0o2772])
def test_a_folder_that_is_open_to_everybody_is_refused(tmp_path: Path, bits: int) -> None:
    """Any bit for others is one too many."""
    (tmp_path / "od").mkdir()
    (tmp_path / "od").chmod(bits)
    with pytest.raises(LocalFileUnfit, match="open to everybody") as unfit:
        Folder(tmp_path / "od")
    assert "2770" in unfit.value.remedy


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """The sentence says how HTCondor makes it."""
    with pytest.raises(LocalFileUnfit, match="no such file"):
        Folder(tmp_path / "od")
    assert not (tmp_path / "od").exists()


def test_a_folder_in_the_place_of_another_is_noticed(scene: Scene) -> None:
    """What is open stays open, but nobody looks there any more."""
    assert scene.folder.is_in_place()
    scene.credd.folder.rename(scene.credd.folder.with_name("old"))
    assert not scene.folder.is_in_place()
    scene.credd.folder.mkdir()
    assert not scene.folder.is_in_place()


def test_a_user_who_vanishes_is_nobody(scene: Scene) -> None:
    """At whatever step: there is nothing to list, read or remove."""
    scene.credd.store("alice", "cms", REQUEST)
    seen = scene.folder.files("alice")["cms.top"]
    scene.credd.mark("alice")
    scene.credd.sweep("alice")
    assert scene.folder.files("alice") == {}
    assert scene.folder.read("alice", "cms.top") is None
    assert scene.folder.glance("alice", "cms.top") is None
    assert not scene.folder.remove("alice", "cms.top", seen)


def test_a_file_is_removed_only_if_it_is_the_one_that_was_seen(scene: Scene) -> None:
    """Somebody may have put another in its place meanwhile."""
    path = scene.credd.store_plain("alice", "cms", b"one")
    seen = scene.folder.files("alice")["cms.use"]
    path.unlink()
    path.write_bytes(b"two")
    assert not scene.folder.remove("alice", "cms.use", seen)
    assert scene.folder.remove("alice", "cms.use", scene.folder.files("alice")["cms.use"])
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="a file of somebody else takes root to make")
def test_a_file_of_an_account_that_has_no_business_here_is_not_read(scene: Scene) -> None:
    """Root's and HTCondor's are; see the owners in the folder."""
    path = scene.credd.store_plain("alice", "cms", b"x")
    os.chown(path, 4711, 4711)
    with pytest.raises(LocalFileUnfit, match="belongs to somebody else"):
        scene.folder.read("alice", "cms.use")


def test_a_mark_of_completion_is_made_beside_no_link(scene: Scene) -> None:
    """What somebody planted in its place is not written through."""
    scene.folder.touch("CREDMON_COMPLETE")
    scene.folder.touch("CREDMON_COMPLETE")
    assert (scene.credd.folder / "CREDMON_COMPLETE").read_bytes() == b""
    scene.folder.clear("CREDMON_COMPLETE")
    scene.folder.clear("CREDMON_COMPLETE")
    target = scene.credd.folder.parent / "target"
    (scene.credd.folder / "CREDMON_COMPLETE").symlink_to(target)
    with pytest.raises(LocalFileUnfit, match="a link"):
        scene.folder.touch("CREDMON_COMPLETE")
    assert not target.exists()
