"""Files are replaced whole or not at all, and read with care."""

from __future__ import annotations

import errno
import os
import stat
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credbroker.delivery import whole_file
from credbroker.domain.errors import LocalFileUnfit
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENTROPY = SystemEntropy()


def mode_of(path: Path) -> int:
    """Return the permission bits of `path`."""
    return stat.S_IMODE(path.stat().st_mode)


def names_in(folder: Path) -> list[str]:
    """Return what is in `folder`."""
    return sorted(one.name for one in folder.iterdir())


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None
)
@given(umask=st.integers(0, 0o777), mode=st.sampled_from([0o400, 0o600, 0o640]))
def test_the_mode_is_what_was_asked_whatever_the_umask(
    tmp_path: Path, umask: int, mode: int
) -> None:
    """Neither a lax nor a strict umask shows in the new file."""
    before = os.umask(umask)
    try:
        whole_file.replace(tmp_path / "f", b"x", ENTROPY, mode=mode)
    finally:
        os.umask(before)
    assert (mode_of(tmp_path / "f"), (tmp_path / "f").read_bytes()) == (mode, b"x")


def test_the_temporary_file_is_never_wider_than_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the moment of the swap it is complete, private, and in the same folder."""
    seen = []
    rename = os.rename

    def look(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        found = os.stat(source, dir_fd=src_dir_fd)
        seen.append((stat.S_IMODE(found.st_mode), found.st_size, src_dir_fd == dst_dir_fd))
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", look)
    whole_file.replace(tmp_path / "f", b"secret", ENTROPY)
    assert seen == [(0o600, 6, True)]
    assert names_in(tmp_path) == ["f"]


@pytest.mark.parametrize(
    ("call", "failure"),
    [
        ("open", OSError(errno.EMFILE, "Too many open files")),
        ("fchmod", OSError(errno.EPERM, "Operation not permitted")),
        ("fchown", OSError(errno.EPERM, "Operation not permitted")),
        ("fsync", OSError(errno.ENOSPC, "No space left on device")),
        ("fsync", OSError(errno.EIO, "Input/output error")),
        ("rename", OSError(errno.EDQUOT, "Disk quota exceeded")),
        ("rename", KeyboardInterrupt()),
    ],
)
def test_whatever_fails_the_old_file_stays_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, failure: BaseException
) -> None:
    """Full disks, quotas, denied owners, and signals leave the folder as it was."""
    path = tmp_path / "f"
    whole_file.replace(path, b"old", ENTROPY)

    def fail(*_: object, **__: object) -> None:
        raise failure

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        expected = LocalFileUnfit if isinstance(failure, OSError) else KeyboardInterrupt
        with pytest.raises(expected):
            whole_file.replace(path, b"new", ENTROPY, owner=(os.geteuid(), os.getegid()))
    assert (path.read_bytes(), names_in(tmp_path)) == (b"old", ["f"])


def test_a_folder_that_cannot_be_flushed_does_not_undo_the_swap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file is whole and in place; that is no failure to a caller."""
    fsync, calls = os.fsync, []

    def only_files(descriptor: int) -> None:
        calls.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        if calls[-1]:
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    whole_file.replace(tmp_path / "f", b"x", ENTROPY)
    assert (calls, (tmp_path / "f").read_bytes()) == ([False, True], b"x")


def test_a_reader_never_sees_a_missing_or_partial_file(tmp_path: Path) -> None:
    """A reader in a tight loop sees one of the whole contents, whatever the moment."""
    path, wrong, over = tmp_path / "f", [], threading.Event()
    contents = {letter * 5000 for letter in (b"a", b"b")}
    whole_file.replace(path, b"a" * 5000, ENTROPY)

    def watch() -> None:
        while not over.is_set():
            if path.read_bytes() not in contents:
                wrong.append(True)

    reader = threading.Thread(target=watch)
    reader.start()
    for _ in range(50):
        for content in contents:
            whole_file.replace(path, content, ENTROPY)
    over.set()
    reader.join()
    assert not wrong


@pytest.mark.parametrize("planted", ["symlink", "dangling", "folder", "pipe"])
def test_what_is_no_plain_file_is_not_replaced(tmp_path: Path, planted: str) -> None:
    """A planted link, folder or pipe is refused, and a link's target stays as it was."""
    path, other = tmp_path / "f", tmp_path / "other"
    other.write_text("theirs")
    deeds: dict[str, Callable[[], object]] = {
        "symlink": lambda: path.symlink_to(other),
        "dangling": lambda: path.symlink_to(tmp_path / "nothing"),
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
    }
    deeds[planted]()
    with pytest.raises(LocalFileUnfit, match="not a plain file"):
        whole_file.replace(path, b"x", ENTROPY)
    assert other.read_text() == "theirs"


def test_a_hard_link_keeps_its_own_content(tmp_path: Path) -> None:
    """The name gets a new file; whoever holds the old one by another name sees no token."""
    path, other = tmp_path / "f", tmp_path / "other"
    path.write_text("old")
    os.link(path, other)
    whole_file.replace(path, b"new", ENTROPY)
    assert (path.read_text(), other.read_text()) == ("new", "old")


@pytest.mark.parametrize(("bits", "fits"), [(0o777, False), (0o1777, True), (0o700, True)])
def test_a_folder_open_to_everybody_needs_the_sticky_bit(
    tmp_path: Path, bits: int, fits: bool
) -> None:
    """Without it anybody could swap the file."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(bits)
    if fits:
        whole_file.replace(folder / "f", b"x", ENTROPY)
    else:
        with pytest.raises(LocalFileUnfit, match="Everybody may replace") as unfit:
            whole_file.replace(folder / "f", b"x", ENTROPY)
        assert "sticky" in unfit.value.remedy


def test_a_file_of_somebody_else_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who was there first, as in /tmp, is not trusted."""
    (tmp_path / "f").write_text("theirs")
    (tmp_path / "f").chmod(0o644)
    elsewhere = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: elsewhere)
    with pytest.raises(LocalFileUnfit, match="belongs to somebody else"):
        whole_file.replace(tmp_path / "f", b"x", ENTROPY)


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_link_to_a_folder_is_followed_only_if_it_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_ours: bool
) -> None:
    """Who owns a link in a folder of theirs must not choose where another program writes."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    if is_ours:
        whole_file.replace(tmp_path / "link" / "f", b"x", ENTROPY)
        assert (tmp_path / "elsewhere" / "f").read_bytes() == b"x"
        return
    if os.geteuid() == 0:
        os.chown(tmp_path / "link", 4711, 4711, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(LocalFileUnfit, match="a link that somebody else made"):
        whole_file.replace(tmp_path / "link" / "f", b"x", ENTROPY)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """The sentence has the path and the reason."""
    with pytest.raises(LocalFileUnfit, match="nowhere/f cannot be written: no such file"):
        whole_file.replace(tmp_path / "nowhere" / "f", b"x", ENTROPY)


def test_removing_says_whether_there_was_one(tmp_path: Path) -> None:
    """A second removal is no error; a folder in the place is."""
    (tmp_path / "f").touch()
    assert whole_file.remove(tmp_path / "f")
    assert not whole_file.remove(tmp_path / "f")
    with pytest.raises(LocalFileUnfit, match="cannot be removed"):
        whole_file.remove(tmp_path)


def test_reading_gives_the_content_or_nothing(tmp_path: Path) -> None:
    """A missing file or folder is None, not an error."""
    (tmp_path / "f").write_text("x")
    assert whole_file.read(tmp_path / "f", private=False) == b"x"
    assert whole_file.read(tmp_path / "g", private=False) is None
    assert whole_file.read(tmp_path / "f" / "g", private=False) is None


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """A planted pipe or folder cannot make a program hang."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(LocalFileUnfit, match=r"not a plain file|cannot be read"):
            whole_file.read(path, private=False)


def test_links_are_followed_only_where_the_person_chose_the_path(tmp_path: Path) -> None:
    """A link in a shared folder may point anywhere; one that was named on purpose is fine."""
    (tmp_path / "f").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "f")
    assert whole_file.read(tmp_path / "link", private=False, follow_links=True) == b"x"
    with pytest.raises(LocalFileUnfit, match="cannot be read"):
        whole_file.read(tmp_path / "link", private=False)


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o644])
def test_a_private_file_that_others_can_reach_is_refused(tmp_path: Path, bits: int) -> None:
    """It is refused, not merely warned about, and the remedy is named."""
    (tmp_path / "f").write_text("x")
    (tmp_path / "f").chmod(bits)
    with pytest.raises(LocalFileUnfit, match="by others") as unfit:
        whole_file.read(tmp_path / "f", private=True)
    assert "chmod 600" in unfit.value.remedy
    assert whole_file.read(tmp_path / "f", private=False) == b"x"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_not_read_and_owners_can_be_set(tmp_path: Path) -> None:
    """The owner is set before the file appears; a foreign owner is refused on reading."""
    whole_file.replace(tmp_path / "f", b"x", ENTROPY, owner=(12345, 12345))
    assert (tmp_path / "f").stat().st_uid == 12345
    with pytest.raises(LocalFileUnfit, match="belongs to somebody else"):
        whole_file.read(tmp_path / "f", private=False)
    whole_file.replace(tmp_path / "f", b"y", ENTROPY, owner=(12345, 12345))


def test_a_file_is_removed_only_if_it_is_the_one_that_was_written(tmp_path: Path) -> None:
    """Another's file at the same path stays, and so does ours once somebody has changed it."""
    path = tmp_path / "f"
    ours = whole_file.replace(path, b"ours", ENTROPY)
    theirs = whole_file.replace(path, b"theirs", ENTROPY)
    assert not whole_file.remove(path, ours)
    assert path.read_bytes() == b"theirs"
    os.utime(path, ns=(0, 0))
    assert not whole_file.remove(path, theirs)
    again = whole_file.replace(path, b"again", ENTROPY)
    assert whole_file.remove(path, again)
    assert not path.exists()
    assert not whole_file.remove(path, again)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """What cannot be a token or a lease is not taken into memory."""
    (tmp_path / "f").write_bytes(b"x" * (whole_file.LARGEST_BYTES + 1))
    with pytest.raises(LocalFileUnfit, match="too large"):
        whole_file.read(tmp_path / "f", private=False)
