"""The sealed spool: successors that Vault could not take yet, on this host's disk.

- Room is taken when a file is made, so a full disk stops nothing later.
- An entry is sealed, written and on disk before its name is returned; one that was cut short is
  never returned. Entries that come while the disk is busy share one flush.
- Each process writes to a file of its own, locked for as long as it lives. What the dead left there
  is taken over with the lock, by whoever of this host looks first.
- The private key is asked of Vault only where there is something to open, and then forgotten.
- No entry's name is given twice in a process's life, so a late `drop` hits nobody else's entry.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from credbroker.domain.errors import Malformed, SpoolFull, StoreUnavailable
from credbroker.domain.grants import Grant
from credbroker.domain.marks import SpoolKey
from credbroker.ports import RecordStore, StaleVersionError
from credbroker.stores.sealing import Opener, Sealer, new_key
from credbroker.stores.slots import MOST_CONTENT_BYTES, Contents, SlotFile
from credbroker.stores.spool_files import SpoolFiles
from credbroker.wire.fields import write_object
from credbroker.wire.records import read_grant, write_grant

T = TypeVar("T")

SPOOL_KEY_SEGMENT = "spool-key"
SLOTS = 1024

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """A slot this process answers for; `sealed` is what an earlier life, or a neighbour, left."""

    file: SlotFile
    slot: int
    sealed: bytes = b""


@dataclass(slots=True, eq=False)
class _Write:
    """An entry on its way to the disk; without content its slot is wiped."""

    entry: _Entry
    content: bytes
    done: bool = False
    error: OSError | None = None


class SealedSpool:
    """The spool of one replica, and of its neighbours that died. Follows `ports.Spool`."""

    def __init__(
        self, folder: Path, replica: str, keys: RecordStore[SpoolKey], slots: int = SLOTS
    ) -> None:
        """Keep at most `slots` entries of 16 KiB in `folder`; call `open` before anything else."""
        self._files = SpoolFiles(folder, replica)
        self._keys = keys
        self._slots = slots
        # A thread of its own: those of the loop may all be waiting for a name server.
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._free: deque[int] = deque()
        self._entries: dict[str, _Entry] = {}
        self._dropping: set[_Entry] = set()
        self._serial = itertools.count(1)
        self._waiting: list[_Write] = []
        self._writing = asyncio.Lock()
        self._told: set[tuple[Path, int]] = set()

    async def open(self) -> None:
        """Make what is missing of key pair, folder and file; note what an earlier life left.

        Raises `BadSettings` if the file or its room cannot be had, and `StoreUnavailable` kinds.
        """
        self._sealer = Sealer(await self._key_made_if_missing())
        self._own, contents = await self._on_disk(lambda: self._files.open_own(self._slots))
        self._free.extend(contents.free)
        self._take_over(self._own, contents)

    def close(self) -> None:
        """Let go of all files, once what is being written is on disk."""
        self._disk.shutdown()
        for file in {self._own, *self._files_in_use()}:
            file.close()

    async def keep(self, grant: Grant) -> str:
        """Seal a record; it is on disk when this returns its entry's name; see `ports.Spool`."""
        sealed = self._sealer.sealed(write_object(write_grant(grant)))
        if len(sealed) > MOST_CONTENT_BYTES:
            raise SpoolFull("A login's record is too large for the spool.")
        if not self._free:
            raise SpoolFull("There is no free place left in this host's spool.")
        entry = _Entry(self._own, self._free.popleft())
        # Whoever is cancelled here leaves the slot taken: its entry is for the next life.
        if (error := await self._written(entry, sealed)) is not None:
            self._free.append(entry.slot)
            raise SpoolFull(
                f"This host's spool cannot be written ({error.strerror}).",
                "OpenBao/Vault must come back, or the operator must mend the disk.",
            )
        return self._named(entry)

    async def drop(self, entry: str) -> None:
        """Wipe an entry, if it is still there; see `ports.Spool`.

        A disk that fails is logged alone: what it brings back is found needless when handed in.
        """
        found = self._entries.pop(entry, None)
        if found is None:
            return
        self._dropping.add(found)
        if (error := await self._written(found, b"")) is not None:
            log.error("spool_entry_not_wiped", file=found.file.path.name, why=error.strerror)
        self._dropping.remove(found)
        if found.file is self._own:
            self._free.append(found.slot)
        self._let_go({found.file})

    async def left(self) -> Mapping[str, Grant]:
        """Open what the dead left behind, by entry name; see `ports.Spool`."""
        held = {self._own.path, *(file.path for file in self._files_in_use())}
        for file, contents in await self._on_disk(lambda: self._files.adopt(held)):
            self._take_over(file, contents)
        left = {name: entry for name, entry in self._entries.items() if entry.sealed}
        if not left:
            return {}
        stored = await self._keys.get(SPOOL_KEY_SEGMENT)
        opener = Opener(stored.value) if stored is not None else None
        opened = await self._on_disk(lambda: _opened(opener, left))
        # Meanwhile some may have been dropped.
        self._put_aside({name for name in left.keys() - opened if name in self._entries})
        return {name: grant for name, grant in opened.items() if name in self._entries}

    async def _key_made_if_missing(self) -> SpoolKey:
        stored = await self._keys.get(SPOOL_KEY_SEGMENT)
        if stored is None:
            # Whether this was taken, or another replica was first: what is there is everybody's.
            with suppress(StaleVersionError, StoreUnavailable):
                await self._keys.put(SPOOL_KEY_SEGMENT, new_key(), 0)
            stored = await self._keys.get(SPOOL_KEY_SEGMENT)
        if stored is None:
            raise StoreUnavailable("OpenBao/Vault did not take the spool's key.")
        return stored.value

    def _take_over(self, file: SlotFile, contents: Contents) -> None:
        for slot, sealed in contents.entries.items():
            self._named(_Entry(file, slot, sealed))

    def _named(self, entry: _Entry) -> str:
        name = f"{entry.file.path.name}#{entry.slot}.{next(self._serial)}"
        self._entries[name] = entry
        return name

    def _put_aside(self, names: Iterable[str]) -> None:
        """Say once which entries do not open, and let go of files in which none does.

        Their key may come back with a restored Vault, or their own replica may be a newer one.
        """
        unopened = {name: self._entries[name] for name in names}
        for entry in unopened.values():
            if (where := (entry.file.path, entry.slot)) not in self._told:
                self._told.add(where)
                log.error("spool_entry_not_opened", file=entry.file.path.name, slot=entry.slot)
        opening = {one.file for name, one in self._entries.items() if name not in unopened}
        for name, entry in unopened.items():
            if entry.file is not self._own and entry.file not in opening:
                del self._entries[name]
        self._let_go({entry.file for entry in unopened.values()})

    def _files_in_use(self) -> set[SlotFile]:
        return {entry.file for entry in (*self._entries.values(), *self._dropping)}

    def _let_go(self, files: set[SlotFile]) -> None:
        """Close those of the dead in which nothing is left to do."""
        for file in files - self._files_in_use() - {self._own}:
            file.close()

    async def _written(self, entry: _Entry, content: bytes) -> OSError | None:
        """Return once this write is on disk, or what kept it from there."""
        write = _Write(entry, content)
        self._waiting.append(write)
        # Shielded: a caller that goes away must not leave the others of a flush without it.
        return await asyncio.shield(self._flushed(write))

    async def _flushed(self, write: _Write) -> OSError | None:
        async with self._writing:
            if not write.done:
                batch, self._waiting = self._waiting, []
                error = await self._on_disk(lambda: _write_all(batch))
                for one in batch:
                    one.done, one.error = True, error
        return write.error

    async def _on_disk(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, job)


def _write_all(batch: Iterable[_Write]) -> OSError | None:
    try:
        for one in batch:
            if one.content:
                one.entry.file.write(one.entry.slot, one.content)
            else:
                one.entry.file.wipe(one.entry.slot)
        for file in {one.entry.file for one in batch}:
            file.sync()
    except OSError as error:
        return error
    return None


def _opened(opener: Opener | None, left: Mapping[str, _Entry]) -> dict[str, Grant]:
    grants = {}
    for name, entry in left.items():
        content = opener.opened(entry.sealed) if opener is not None else None
        with suppress(Malformed, ValueError):
            grants[name] = read_grant(json.loads(content or b""))
    return grants
