"""A file of equal slots, each empty or with one whole entry, locked for one process.

Room for every slot is taken when the file is made, so a full disk stops no write later (where the
file system writes in place). An entry carries its length and checksum: a write that was cut short
anywhere is told from a whole one and never returned. All calls here block.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from credbroker.stores.own_folder import sync_folder

SLOT_BYTES = 16 * 1024
_MAGIC = b"CBSPOOL\n"
_FORMAT = 1
_LEAD = struct.Struct(">8sHI")
_CHECKSUM_BYTES = 32
_HEAD_BYTES = _LEAD.size + _CHECKSUM_BYTES
MOST_CONTENT_BYTES = SLOT_BYTES - _HEAD_BYTES


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds: whole entries by slot, slots without one, and slots nobody can read."""

    entries: Mapping[int, bytes]
    free: Sequence[int]
    damaged: Sequence[int]
    """Cut short, changed, or written by a newer version; left alone."""


class SlotFile:
    """One open file of slots. Nobody else has it open while this does."""

    def __init__(self, path: Path, file: int) -> None:
        """Wrap a file that is open and locked; `make` and `adopt` do that."""
        self.path = path
        self._file = file

    @classmethod
    def make(cls, path: Path, slots: int) -> SlotFile | None:
        """Open the file, new or not, with room for `slots`; None if another process has it.

        Raises `OSError`, with `ENOSPC` if the disk has no room for it.
        """
        file = _locked(path, os.O_CREAT)
        if file is None:
            return None
        try:
            os.posix_fallocate(file, 0, max(slots, 1) * SLOT_BYTES)
            os.fsync(file)
            sync_folder(path.parent)
        except BaseException:
            os.close(file)
            raise
        return cls(path, file)

    @classmethod
    def adopt(cls, path: Path) -> SlotFile | None:
        """Open a file that is there; None if it is gone or its process lives. Raises `OSError`."""
        try:
            file = _locked(path)
        except FileNotFoundError:
            return None
        return None if file is None else cls(path, file)

    def read(self) -> Contents:
        """Look at every slot."""
        entries: dict[int, bytes] = {}
        free: list[int] = []
        damaged: list[int] = []
        for slot in range(os.fstat(self._file).st_size // SLOT_BYTES):
            head = os.pread(self._file, _HEAD_BYTES, slot * SLOT_BYTES)
            content = self._content(slot, head)
            if content is not None:
                entries[slot] = content
            else:
                (damaged if any(head) else free).append(slot)
        return Contents(entries, free, damaged)

    def write(self, slot: int, content: bytes) -> None:
        """Put an entry of at most `MOST_CONTENT_BYTES` into a slot; `sync` makes it last."""
        assert len(content) <= MOST_CONTENT_BYTES, "the caller looks at the length"
        lead = _LEAD.pack(_MAGIC, _FORMAT, len(content))
        self._overwrite(slot, lead + hashlib.sha256(lead + content).digest() + content)

    def wipe(self, slot: int) -> None:
        """Empty a slot; nothing of its entry stays in the file."""
        self._overwrite(slot, bytes(SLOT_BYTES))

    def sync(self) -> None:
        """Return once everything written is on disk."""
        os.fdatasync(self._file)

    def close(self) -> None:
        """Let go of the file and its lock."""
        os.close(self._file)

    def _content(self, slot: int, head: bytes) -> bytes | None:
        lead, checksum = head[: _LEAD.size], head[_LEAD.size :]
        magic, form, length = _LEAD.unpack(lead)
        if (magic, form) != (_MAGIC, _FORMAT) or length > MOST_CONTENT_BYTES:
            return None
        content = os.pread(self._file, length, slot * SLOT_BYTES + _HEAD_BYTES)
        return content if hashlib.sha256(lead + content).digest() == checksum else None

    def _overwrite(self, slot: int, content: bytes) -> None:
        written, start = 0, slot * SLOT_BYTES
        while written < len(content):
            written += os.pwrite(self._file, content[written:], start + written)


def _locked(path: Path, create: int = 0) -> int | None:
    """Open a file and lock it; None if somebody else has it locked."""
    file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | create, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    except BaseException:
        os.close(file)
        raise
    return file
