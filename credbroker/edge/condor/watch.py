"""Notices changed files as they change, with inotify; where that cannot be had, it says so.

The folder's own list of users is watched, and each user's folder, never through a link. What is
written from here is not noticed. A missed event is found by the look at everything that comes anyway.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from asyncinotify import Event, Inotify, Mask

from credbroker.edge.condor.folder import TOP, USE
from credbroker.edge.condor.names import is_on_disk
from credbroker.edge.condor.wake import Wake

_SAFELY = Mask.ONLYDIR | Mask.DONT_FOLLOW
_USERS = Mask.CREATE | Mask.MOVED_TO | _SAFELY
# HTCondor's credd renames its files into place and unlinks them; each event more is one for each of
# the files written from here, too.
_FILES = Mask.MOVED_TO | Mask.DELETE | _SAFELY


class Watch:
    """Watches one folder of users."""

    def __init__(self, inotify: Inotify, path: Path, wake: Wake) -> None:
        """Watch the folder at `path` and those in it, and tell `wake`.

        Raises:
            OSError: The machine allows no more watches, or the file system has none.
        """
        self._inotify = inotify
        self._path = path
        self._wake = wake
        inotify.add_watch(path, _USERS)
        for entry in path.iterdir():
            if is_on_disk(entry.name):
                self._add(entry.name)

    async def run(self) -> None:
        """Tell of changes for ever. Raises `OSError` as soon as no more can be watched."""
        async for event in self._inotify:
            self._note(event)

    def _note(self, event: Event) -> None:
        if Mask.Q_OVERFLOW in event.mask:
            self._wake.everywhere()
        elif event.watch is None or event.name is None:
            return
        elif event.watch.path == self._path:
            self._note_user(event, event.name.name)
        elif _matters(event, event.name.name):
            self._wake.user(event.watch.path.name)

    def _note_user(self, event: Event, name: str) -> None:
        if Mask.ISDIR in event.mask and is_on_disk(name):
            self._add(name)
            self._wake.user(name)

    def _add(self, user: str) -> None:
        # Not a folder, or gone again.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._inotify.add_watch(self._path / user, _FILES)


def _matters(event: Event, file: str) -> bool:
    return file.endswith(TOP) or (file.endswith(USE) and Mask.DELETE in event.mask)
