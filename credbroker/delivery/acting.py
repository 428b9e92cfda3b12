"""Does file work with the rights of the person whose folder it is, so that root is nobody's tool.

Whoever owns a folder decides what its names lead to: links, pipes, other people's files. Between
looking and writing they can change it. So the kernel judges each step as if that person took it: what
they could not read or write, is not read or written for them.

Only the thread that asks is changed, and only for files (setfsuid(2)): others go on as they were, and
the person gets no right over this process.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Iterator, Optional, Tuple

from credbroker.domain.errors import LocalFileUnfit

if TYPE_CHECKING:
    import ctypes
    from pathlib import Path

Owner = Tuple[int, int]
"""A uid and a gid."""

_ONLY_TELL = -1
_UNSIGNED = 0xFFFFFFFF
"""What makes a uid of the C library's sign-bearing number."""


@contextlib.contextmanager
def rights_of(owner: Optional[Owner]) -> Iterator[None]:
    """Have this thread open, make and rename files as `owner` would; None changes nothing.

    Nothing in between may wait for other tasks of an event loop. Groups beside the gid are those of
    this process, which should have none.

    Raises:
        LocalFileUnfit: This process may not act for others; nothing was changed.
    """
    if owner is None or owner[0] == os.geteuid():
        yield
        return
    import ctypes  # programs that act for nobody start quicker without it

    system = ctypes.CDLL(None)
    before = _identity(system)
    try:
        # The group comes first and goes last: without root's uid it could not be changed.
        system.setfsgid(owner[1])
        system.setfsuid(owner[0])
        if _identity(system) != owner:
            raise LocalFileUnfit(
                f"This program may not write files for the user {owner[0]}.",
                "Run it as root, with the capabilities CAP_SETUID and CAP_SETGID.",
            )
        yield
    finally:
        system.setfsuid(before[0])
        system.setfsgid(before[1])


def is_in_other_hands(folder: Path, most_links: int = 40) -> bool:
    """True if somebody besides root and us could lead this path elsewhere, at any step of it.

    What is not there leads nowhere; a path with more than `most_links` links is nobody's.
    """
    for step in (*reversed(folder.parents), folder):
        try:
            found = step.lstat()
            if found.st_uid not in {0, os.geteuid()} or _is_open(found.st_mode):
                return True
            if stat.S_ISLNK(found.st_mode):
                behind = step.parent / step.readlink() / folder.relative_to(step)
                return most_links == 0 or is_in_other_hands(behind, most_links - 1)
        except OSError:
            return False
    return False


def _is_open(mode: int) -> bool:
    """True for a folder in which everybody may put another in the place of what is there."""
    return stat.S_ISDIR(mode) and bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def _identity(system: ctypes.CDLL) -> Owner:
    """Return as whom this thread opens files; asking for an impossible one only tells."""
    return system.setfsuid(_ONLY_TELL) & _UNSIGNED, system.setfsgid(_ONLY_TELL) & _UNSIGNED
