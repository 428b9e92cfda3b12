"""A slot holds a whole entry or none, whatever cut its writing short."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from credbroker.stores.slots import MOST_CONTENT_BYTES, SLOT_BYTES, SlotFile

SECTOR = 512
OLD = b"old" * 1000
NEW = bytes(range(256)) * 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "slots"


@pytest.fixture
def file(path: Path) -> Iterator[SlotFile]:
    """A file of three slots."""
    made = SlotFile.make(path, 3)
    assert made is not None
    yield made
    made.close()


def test_a_new_file_is_private_and_has_its_room(file: SlotFile, path: Path) -> None:
    """Taken on the disk, not promised."""
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size == 3 * SLOT_BYTES
    assert path.stat().st_blocks * 512 >= 3 * SLOT_BYTES
    assert file.read().free == [0, 1, 2]


def test_writing_takes_no_more_room(file: SlotFile, path: Path) -> None:
    """A disk that is full by then does not matter."""
    before = path.stat()
    for slot in range(3):
        file.write(slot, bytes([7]) * MOST_CONTENT_BYTES)
    file.sync()
    after = path.stat()
    assert (after.st_size, after.st_blocks) == (before.st_size, before.st_blocks)


def test_what_was_written_is_read(file: SlotFile) -> None:
    """In its slot; others stay free."""
    file.write(1, NEW)
    contents = file.read()
    assert (contents.entries, contents.free, contents.damaged) == ({1: NEW}, [0, 2], [])


def test_what_was_wiped_leaves_nothing(file: SlotFile, path: Path) -> None:
    """Not one byte."""
    file.write(1, NEW)
    file.wipe(1)
    assert not any(path.read_bytes())
    assert file.read().free == [0, 1, 2]


def test_a_disk_that_takes_little_at_a_time_gets_all(
    file: SlotFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short write is gone on with."""
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda at, part, place: write(at, part[:1000], place))
    file.write(2, NEW)
    assert file.read().entries == {2: NEW}


@pytest.mark.parametrize("before", [b"", OLD, NEW[::-1]])
@pytest.mark.parametrize("order", ["forwards", "backwards", "one missing", "one there"])
def test_a_write_cut_short_anywhere_is_the_old_or_the_new(
    file: SlotFile, path: Path, before: bytes, order: str
) -> None:
    """Whichever of its sectors reached the disk, and whatever lay there before."""
    old, new = sectors(file, path, before), sectors(file, path, NEW)
    for cut in range(len(new) + 1):
        taken = {
            "forwards": range(cut),
            "backwards": range(cut, len(new)),
            "one missing": [at for at in range(len(new)) if at != cut],
            "one there": [cut],
        }[order]
        mixed = [new[at] if at in taken else old[at] for at in range(len(new))]
        overwrite(path, b"".join(mixed))
        found = file.read().entries.get(1)
        assert found in {None, before, NEW}
        assert found != b""
        if mixed == new:
            assert found == NEW


def sectors(file: SlotFile, path: Path, content: bytes) -> list[bytes]:
    """Return the second slot as it is on disk with this content, sector by sector."""
    file.wipe(1)
    if content:
        file.write(1, content)
    slot = path.read_bytes()[SLOT_BYTES : 2 * SLOT_BYTES]
    return [slot[at : at + SECTOR] for at in range(0, SLOT_BYTES, SECTOR)]


def overwrite(path: Path, content: bytes) -> None:
    """Put bytes into the second slot behind everybody's back."""
    with path.open("r+b") as opened:
        opened.seek(SLOT_BYTES)
        opened.write(content)


def test_a_file_cut_short_anywhere_gives_whole_entries(file: SlotFile, path: Path) -> None:
    """And nothing else, nor an error."""
    for slot in range(3):
        file.write(slot, NEW)
    for length in range(3 * SLOT_BYTES, -1, -SECTOR):
        os.truncate(path, length)
        contents = file.read()
        assert contents.entries == dict.fromkeys(range(length // SLOT_BYTES), NEW)
        assert contents.damaged == []


@pytest.mark.parametrize(
    ("place", "byte"), [(0, 0), (0, 65), (9, 2), (10, 255), (13, 1), (20, 1), (60, 7)]
)
def test_a_damaged_slot_is_neither_an_entry_nor_free(
    file: SlotFile, path: Path, place: int, byte: int
) -> None:
    """Another name, a newer format, a length beyond the slot, a wrong checksum or content."""
    file.write(1, NEW)
    slot = bytearray(path.read_bytes()[SLOT_BYTES : 2 * SLOT_BYTES])
    slot[place] = byte
    overwrite(path, bytes(slot))
    contents = file.read()
    assert (contents.entries, contents.free, contents.damaged) == ({}, [0, 2], [1])


def test_a_file_has_one_owner(file: SlotFile, path: Path) -> None:
    """Until it lets go, or dies."""
    assert SlotFile.make(path, 3) is None
    assert SlotFile.adopt(path) is None
    file.write(0, NEW)
    os.close(os.dup(file._file))
    assert SlotFile.adopt(path) is None


def test_what_the_dead_left_can_be_adopted(path: Path) -> None:
    """With the lock; not what is gone."""
    assert SlotFile.adopt(path) is None
    dead = SlotFile.make(path, 2)
    assert dead is not None
    dead.write(1, NEW)
    dead.close()
    adopted = SlotFile.adopt(path)
    assert adopted is not None
    assert adopted.read().entries == {1: NEW}
    assert SlotFile.make(path, 2) is None
    adopted.close()


def test_more_room_keeps_what_is_there_and_less_takes_none_away(path: Path) -> None:
    """A changed setting loses no entry."""
    for slots, expected in ((2, 2), (5, 5), (1, 5)):
        file = SlotFile.make(path, slots)
        assert file is not None
        if slots == 2:
            file.write(1, NEW)
        contents = file.read()
        assert len(contents.free) + 1 == expected
        assert contents.entries == {1: NEW}
        file.close()


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    """It would lead the spool to somebody else's file."""
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        SlotFile.make(path, 1)
    assert not (tmp_path / "elsewhere").exists()
