"""Reads one token file in a tight loop and notes whatever is wrong with it.

Wrong is: no file, an empty one, part of one, one of another mode or owner than it should have, and
one that is older than what was read before.
"""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

from tests.chaos.file_writer import MODE, Diary, number_of, owner_of_file

_LARGEST_BYTES = 65_536


class Reader:
    """One who needs the token at every instant."""

    def __init__(self, path: Path, diary: Diary) -> None:
        """Read `path`; what is wrong goes into `diary`."""
        self._path = str(path)
        self._diary = diary
        self._owner = owner_of_file() or (os.geteuid(), os.getegid())
        self._newest = 0
        self._over = False
        self.reads = 0

    def read_on(self) -> None:
        """Read until told to end by SIGTERM."""
        signal.signal(signal.SIGTERM, self._end)
        while not self._over:
            wrong = self._look()
            self.reads += 1
            if wrong:
                self._diary.note(f"wrong: {wrong}")
        self._diary.note(f"reads: {self.reads}")

    def _look(self) -> str:
        """Read once; return what is wrong, in words."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY)
        except OSError as failure:
            return f"{failure.strerror}"
        try:
            found = os.fstat(descriptor)
            content = os.read(descriptor, _LARGEST_BYTES)
        finally:
            os.close(descriptor)
        if stat.S_IMODE(found.st_mode) != MODE:
            return f"mode {stat.S_IMODE(found.st_mode):o}"
        if (found.st_uid, found.st_gid) != self._owner:
            return f"owner {found.st_uid}:{found.st_gid}"
        number = number_of(content)
        if number is None:
            return "part of a token" if content else "empty"
        if number < self._newest:
            return "an older token"
        self._newest = number
        return ""

    def _end(self, *_: object) -> None:
        self._over = True
