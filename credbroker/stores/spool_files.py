"""Which files of a host's spool a process may work on: its own, and those of the dead.

A lock that can be had says that a file's process is gone. All calls here block.
"""

from __future__ import annotations

import errno
from collections.abc import Collection
from pathlib import Path

import structlog

from credbroker.domain.errors import BadSettings
from credbroker.stores.own_folder import make_own_folder
from credbroker.stores.slots import SLOT_BYTES, Contents, SlotFile

# A replica's file may be in the hands of a neighbour who empties it; then the next one is used.
_MOST_FILES = 16

log = structlog.get_logger(__name__)


class SpoolFiles:
    """The spool's files in one folder, for one replica."""

    def __init__(self, folder: Path, replica: str) -> None:
        """Look at `folder`/spool-*.sealed."""
        self._folder = folder
        self._replica = replica
        self._told: set[str] = set()

    def open_own(self, slots: int) -> tuple[SlotFile, Contents]:
        """Open this replica's file with room for `slots`; raise `BadSettings` if it cannot be."""
        make_own_folder(self._folder)
        for number in range(1, _MOST_FILES + 1):
            ending = f".{number}.sealed" if number > 1 else ".sealed"
            path = self._folder / f"spool-{self._replica}{ending}"
            try:
                if (file := SlotFile.make(path, slots)) is not None:
                    return file, self._read(file)
            except OSError as error:
                raise BadSettings(f"{path}: {_why(error, slots)}") from None
        raise BadSettings(
            f"{path}: other processes use all files of this replica; give each its own name."
        )

    def adopt(self, held: Collection[Path]) -> list[tuple[SlotFile, Contents]]:
        """Open every file with entries in it, beyond those `held`, whose process is gone."""
        adopted = []
        for path in sorted(set(self._folder.glob("spool-*.sealed")) - set(held)):
            try:
                if (file := SlotFile.adopt(path)) is None:
                    continue
                contents = self._read(file)
            except OSError as error:
                self._tell_once(path, error.strerror)
                continue
            if contents.entries:
                adopted.append((file, contents))
            else:
                file.close()
        return adopted

    def _read(self, file: SlotFile) -> Contents:
        try:
            contents = file.read()
        except BaseException:
            file.close()
            raise
        if contents.damaged:
            self._tell_once(file.path, "damaged entries", slots=list(contents.damaged))
        return contents

    def _tell_once(self, path: Path, why: str | None, **fields: object) -> None:
        if path.name not in self._told:
            self._told.add(path.name)
            log.error("spool_not_readable", file=path.name, why=why, **fields)


def _why(error: OSError, slots: int) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"the disk has no room for the spool, which takes {slots * SLOT_BYTES >> 20} MiB."
    return f"the spool cannot be used ({error.strerror})."
