"""Who is logged in: watches the folder in which logind makes one for each person (`/run/user`).

A person counts once the folder of that name belongs to that uid: logind makes it as root's and mounts
the person's own over it a moment later. The kernel tells at once when a folder comes or goes; looking
now and then finds what it did not tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from asyncinotify import Inotify, Mask

from credbroker.edge.sessions.bell import Bell
from credbroker.ports import Clock

LOOK_SECONDS = 5.0
_UNSETTLED_LOOK_SECONDS = 0.05
_UNSETTLED_LOOKS = 100

_COMES_OR_GOES = Mask.CREATE | Mask.DELETE | Mask.MOVE | Mask.ATTRIB | Mask.DELETE_SELF


@dataclass(frozen=True, slots=True)
class Session:
    """A person who is logged in, and how often that person's folder has come anew while we watched.

    The file system cannot tell: it gives the number of a folder that is gone to the next one.
    """

    uid: int
    gid: int
    folder: Path
    comings: int = 0


Sessions = Mapping[int, Session]
Seen = Callable[[Sessions], None]


class LoggedIn:
    """Tells who is logged in, whenever that may have changed."""

    def __init__(self, folder: Path, clock: Clock, seen: Seen) -> None:
        """Watch `folder`; `seen` is told by uid, and does not wait."""
        self._folder = folder
        self._clock = clock
        self._seen = seen
        self._bell = Bell(clock)
        self._comings: Counter[str] = Counter()
        self.looks = 0
        """How many times it was looked."""

    async def run(self) -> None:
        """Watch for ever."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._listen())
            both.create_task(self._look())

    async def _look(self) -> None:
        unsettled_looks = 0
        while True:
            settled = True
            with contextlib.suppress(OSError):  # nothing was seen, so nothing is known to be over
                sessions, settled = await asyncio.to_thread(find, self._folder, self._comings)
                self._seen(sessions)
            self.looks += 1
            unsettled_looks = 0 if settled else unsettled_looks + 1
            soon = 0 < unsettled_looks < _UNSETTLED_LOOKS
            await self._bell.heard_within(_UNSETTLED_LOOK_SECONDS if soon else LOOK_SECONDS)

    async def _listen(self) -> None:
        """Ring when the kernel says so; a folder that is not there, or goes, is tried again."""
        while True:
            with contextlib.suppress(OSError), Inotify() as inotify:
                inotify.add_watch(self._folder, _COMES_OR_GOES | Mask.ONLYDIR)
                self._bell.ring()
                async for event in inotify:
                    if event.mask & Mask.CREATE:
                        self._comings[str(event.name)] += 1
                    self._bell.ring()
                    if event.mask & (Mask.DELETE_SELF | Mask.IGNORED):
                        break
            await self._clock.sleep(LOOK_SECONDS)


def find(folder: Path, comings: Mapping[str, int]) -> tuple[dict[int, Session], bool]:
    """Return who is logged in, and whether every folder there already belongs to its person.

    `comings` says by name how often a folder has come anew.

    Raises:
        OSError: The folder cannot be read.
    """
    sessions: dict[int, Session] = {}
    settled = True
    for place in folder.iterdir():
        if not _names_a_uid(place.name):
            continue
        with contextlib.suppress(OSError):  # it went just now; or its person lets nobody look
            found = place.lstat()
            if found.st_uid != int(place.name):
                settled = False
            elif stat.S_ISDIR(found.st_mode):
                times = comings.get(place.name, 0)
                sessions[found.st_uid] = Session(found.st_uid, found.st_gid, place, times)
    return sessions, settled


def _names_a_uid(name: str) -> bool:
    return name.isascii() and name.isdecimal() and name == str(int(name))
