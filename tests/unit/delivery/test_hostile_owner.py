"""A folder whose owner means harm: root writes there and becomes nobody's tool."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from pathlib import Path

import pytest

from credbroker.delivery import whole_file
from credbroker.delivery.acting import rights_of
from credbroker.delivery.whole_file import ForeignFile
from credbroker.domain.errors import LocalFileUnfit
from credbroker.host.entropy import SystemEntropy
from tests.people import EVE, as_root, hall, move_in

__all__ = ["hall"]

NEW = b"new"
pytestmark = as_root


@pytest.fixture
def theirs(hall: Path) -> Path:
    """Eve's folder, beside one that is root's and in reach of links."""
    (hall / "roots").mkdir(mode=0o755)
    return move_in(hall, EVE)


def write(path: Path) -> None:
    """Write as the agent of a host does."""
    whole_file.replace(path, NEW, SystemEntropy(), owner=EVE, as_owner=True)


def test_the_file_is_the_persons_own(theirs: Path) -> None:
    """0600, and nothing is left beside it."""
    write(theirs / "bt")
    found = (theirs / "bt").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (*EVE, 0o600)
    assert [one.name for one in theirs.iterdir()] == ["bt"]
    assert whole_file.read(theirs / "bt", private=True, owner=EVE) == NEW


def test_a_link_to_a_file_of_roots_is_neither_followed_nor_replaced(theirs: Path) -> None:
    """What it leads to is as before."""
    victim = theirs.parent / "roots" / "shadow"
    victim.write_text("root's")
    (theirs / "bt").symlink_to(victim)
    with pytest.raises(LocalFileUnfit, match="not a plain file"):
        write(theirs / "bt")
    with pytest.raises(LocalFileUnfit):
        whole_file.read(theirs / "bt", private=False, owner=EVE)
    assert victim.read_text() == "root's"


def test_a_hard_link_is_replaced_and_not_written_through(theirs: Path) -> None:
    """The other name keeps its content, owner and mode."""
    victim = theirs.parent / "roots" / "own"
    victim.write_text("before")
    os.chown(victim, *EVE)
    victim.chmod(0o640)
    os.link(victim, theirs / "bt")
    write(theirs / "bt")
    assert victim.read_text() == "before"
    assert stat.S_IMODE(victim.stat().st_mode) == 0o640
    assert (theirs / "bt").read_bytes() == NEW


def test_a_folder_swapped_for_a_link_leads_nowhere_eve_could_not_write(theirs: Path) -> None:
    """As into root's own folders."""
    theirs.rmdir()
    theirs.symlink_to(theirs.parent / "roots")
    with pytest.raises(LocalFileUnfit, match="ermission"):
        write(theirs / "bt")
    assert list((theirs.parent / "roots").iterdir()) == []


def test_a_way_through_a_folder_of_hers_leads_nowhere_eve_could_not_write(theirs: Path) -> None:
    """Nobody said that it is hers: whoever owns any step of a path decides where it leads."""
    roots = theirs.parent / "roots"
    own = theirs / "own"
    own.mkdir()
    os.chown(own, *EVE)
    whole_file.replace(own / "bt", NEW, SystemEntropy(), owner=EVE)
    assert ((own / "bt").read_bytes(), (own / "bt").stat().st_uid) == (NEW, EVE[0])
    (theirs / "way").symlink_to(theirs.parent)
    with pytest.raises(LocalFileUnfit, match="ermission"):
        whole_file.replace(theirs / "way" / "roots" / "bt", NEW, SystemEntropy(), owner=EVE)
    (theirs.parent / "link").symlink_to(theirs / "way" / "roots")
    with pytest.raises(LocalFileUnfit, match="ermission"):
        whole_file.replace(theirs.parent / "link" / "bt", NEW, SystemEntropy(), owner=EVE)
    assert list(roots.iterdir()) == []


def test_a_file_for_somebody_in_a_folder_of_roots_is_written_as_root(theirs: Path) -> None:
    """As the folder of a service that only reads there."""
    path = theirs.parent / "roots" / "bt"
    whole_file.replace(path, NEW, SystemEntropy(), owner=EVE, mode=0o640)
    assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (EVE[0], 0o640)


def test_a_folder_that_becomes_a_link_while_it_is_looked_at_is_not_followed(
    theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was none when it was opened, and is one of Eve's a moment later."""
    roots, opened = theirs.parent / "roots", os.open
    theirs.rmdir()
    theirs.write_text("no folder")

    def swap(path: Path, *args: int, **more: int) -> int:
        try:
            return opened(path, *args, **more)
        finally:
            if path == theirs and not theirs.is_symlink():
                theirs.unlink()
                theirs.symlink_to(roots)
                os.lchown(theirs, *EVE)

    monkeypatch.setattr(os, "open", swap)
    with pytest.raises(LocalFileUnfit):
        whole_file.replace(theirs / "bt", NEW, SystemEntropy())
    assert list(roots.iterdir()) == []


def test_a_folder_that_is_still_roots_gets_no_file(theirs: Path) -> None:
    """As /run/user/UID is before logind has mounted the person's own over it."""
    os.chown(theirs, 0, 0)
    with pytest.raises(LocalFileUnfit, match="ermission"):
        write(theirs / "bt")


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_plain_file_is_refused_without_waiting(theirs: Path, kind: str) -> None:
    """A pipe that nobody writes to would hold the reader for ever."""
    if kind == "pipe":
        os.mkfifo(theirs / "bt")
    elif kind == "folder":
        (theirs / "bt").mkdir()
    else:
        os.mknod(theirs / "bt", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with pytest.raises(LocalFileUnfit, match="not a plain file"):
        write(theirs / "bt")
    with pytest.raises(LocalFileUnfit):
        whole_file.read(theirs / "bt", private=False, owner=EVE)


def test_a_file_of_roots_is_not_read_for_its_owner(theirs: Path) -> None:
    """Eve gets nothing to hear about a secret that she has linked into her folder."""
    (theirs / "bt").write_text("root's")
    (theirs / "bt").chmod(0o600)
    with pytest.raises(LocalFileUnfit, match="ermission"):
        whole_file.read(theirs / "bt", private=False, owner=EVE)


def test_who_swaps_things_all_the_time_gains_nothing(theirs: Path) -> None:
    """Links, pipes and folders come and go between any two steps; root's folder stays as it was."""
    victim = theirs.parent / "roots" / "shadow"
    victim.write_text("root's")
    stop = threading.Event()

    def swap() -> None:
        with rights_of(EVE):
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    (theirs / "x").symlink_to(victim)
                    (theirs / "x").replace(theirs / "bt")
                with contextlib.suppress(OSError):
                    for one in theirs.glob(".credbroker-*"):
                        one.unlink()
                        one.symlink_to(victim)
                with contextlib.suppress(OSError):
                    (theirs / "bt").unlink()

    eve = threading.Thread(target=swap)
    eve.start()
    try:
        for _ in range(200):
            with contextlib.suppress(LocalFileUnfit):
                write(theirs / "bt")
    finally:
        stop.set()
        eve.join()
    assert victim.read_text() == "root's"
    assert (victim.stat().st_uid, stat.S_IMODE(victim.stat().st_mode) & 0o022) == (0, 0)
    assert [one.name for one in victim.parent.iterdir()] == ["shadow"]


def test_a_foreign_file_stays_and_our_own_goes(theirs: Path) -> None:
    """Whose it is, its content tells, and that is asked right before it would go."""
    own: set[bytes] = set()
    path = theirs / "bt"

    def write_over(content: bytes) -> None:
        whole_file.replace(
            path, content, SystemEntropy(), owner=EVE, as_owner=True, may_replace=own.__contains__
        )
        own.add(content)

    write_over(b"one")
    write_over(b"two")
    assert path.read_bytes() == b"two"
    path.write_bytes(b"eve's")
    with pytest.raises(ForeignFile, match="not made by this program"):
        write_over(b"three")
    assert path.read_bytes() == b"eve's"
    path.chmod(0)
    with pytest.raises(ForeignFile):
        write_over(b"three")
    assert [one.name for one in theirs.iterdir()] == ["bt"]


def test_a_file_that_comes_while_ours_is_written_stays(theirs: Path) -> None:
    """The question is put after the new content is on disk, not before."""
    path = theirs / "bt"

    class Late(SystemEntropy):
        def token(self, size: int) -> str:
            path.write_bytes(b"eve's")
            os.chown(path, *EVE)
            return super().token(size)

    with pytest.raises(ForeignFile):
        whole_file.replace(path, NEW, Late(), owner=EVE, as_owner=True, may_replace=lambda _: False)
    assert path.read_bytes() == b"eve's"
