"""How far Vault had come, remembered on this host's disk, so that a restored snapshot is noticed.

Reads are answered from memory. A mark is never lowered. Each replica writes a file of its own and
reads those of its neighbours when it starts, so that a host remembers as one.

A damaged file is set aside and remembered no more: the broker must start, other hosts still
remember, and so does the counter in Vault by rising; what is lost is this host's word alone. A full
disk stops no start either: what can be read of the file is known, and the rest when there is room.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sqlite3
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import structlog

from credbroker.domain.errors import BadSettings, LocalFileUnfit
from credbroker.stores.own_folder import make_own_folder

# One table for all: the counter is the mark without a name.
_COUNTER = ""
_CREATE = "CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, mark INTEGER) WITHOUT ROWID"
_RAISE = "INSERT INTO marks VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET mark = max(mark, excluded.mark)"
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_DISK_FAILS = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL})
_BUSY_SECONDS = 5.0

log = structlog.get_logger(__name__)


class SqliteHostMarks:
    """The marks of one host. Follows `ports.HostMarks`."""

    def __init__(self, folder: Path, replica: str) -> None:
        """Read what this host remembers, and go on in `folder`/marks-<replica>.sqlite.

        Raises `BadSettings` if the file cannot be used.
        """
        self._folder = folder
        self._path = folder / f"marks-{replica}.sqlite"
        # All of the database's life is in this one thread.
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="marks")
        self._marks: dict[str, int] = {}
        self._database: sqlite3.Connection | None = None
        self._found_late: dict[str, int] = {}
        self._disk.submit(self._open).result()
        self._unwritten: dict[str, int] = {}
        self._writing = asyncio.Lock()

    def close(self) -> None:
        """Let go of the file, once what is being written is on disk."""
        if self._database is not None:
            self._disk.submit(self._database.close).result()
        self._disk.shutdown()

    @property
    def counter(self) -> int:
        """The highest counter ever seen in Vault; 0 if none was."""
        return self._marks.get(_COUNTER, 0)

    def generation(self, segment: str) -> int:
        """Return the highest generation ever seen; see `ports.HostMarks.generation`."""
        return self._marks.get(segment, 0)

    def generations(self) -> Mapping[str, int]:
        """Return every generation remembered, by segment, as it is now."""
        return {name: mark for name, mark in self._marks.items() if name != _COUNTER}

    async def remember(self, counter: int, generations: Mapping[str, int]) -> None:
        """Raise what is remembered; see `ports.HostMarks.remember`.

        Known at once, on disk when this returns. Raises `LocalFileUnfit` if the disk fails; what
        it did not take goes with the next call.
        """
        for name, mark in ((_COUNTER, counter), *generations.items()):
            if mark > self._marks.get(name, 0):
                self._marks[name] = self._unwritten[name] = mark
        # Shielded: a caller that goes away must not take marks along that others wait for.
        error = await asyncio.shield(self._written())
        if error is not None:
            raise LocalFileUnfit(f"{self._path}: the marks cannot be written ({error}).")

    async def _written(self) -> sqlite3.Error | OSError | None:
        """Write all that is not on disk yet, after whoever is writing now."""
        async with self._writing:
            if not self._unwritten:
                return None
            batch, self._unwritten = self._unwritten, {}
            job = functools.partial(self._raise_on_disk, batch)
            error = await asyncio.get_running_loop().run_in_executor(self._disk, job)
            _raise_all(self._marks, self._found_late)
            self._found_late = {}
            if error is not None:
                self._unwritten = batch | self._unwritten
            return error

    def _open(self) -> None:
        make_own_folder(self._folder)
        for path in sorted(set(self._folder.glob("marks-*.sqlite")) - {self._path}):
            _raise_all(self._marks, _neighbours(path))
        try:
            _raise_all(self._marks, self._take_up())
        except (OSError, sqlite3.Error) as error:
            if not (isinstance(error, sqlite3.Error) and _is_one_of(error, _DISK_FAILS)):
                raise BadSettings(f"{self._path}: the marks cannot be used ({error}).") from None
            log.error("host_marks_not_written", file=self._path.name, why=str(error))  # noqa: TRY400
            _raise_all(self._marks, _as_it_lies(self._path))

    def _take_up(self) -> dict[str, int]:
        """Open the file for good, and return what it remembers."""
        self._database, own = _opened(self._path)
        return own

    def _raise_on_disk(self, marks: Mapping[str, int]) -> sqlite3.Error | OSError | None:
        try:
            if self._database is None:
                self._found_late = self._take_up()  # there was no room when this life began
            assert self._database is not None
            with self._database:
                self._database.executemany(_RAISE, marks.items())
        except (OSError, sqlite3.Error) as error:
            return error
        return None


def _opened(path: Path) -> tuple[sqlite3.Connection, dict[str, int]]:
    """Open the file, new if there is none, or if the one there is damaged."""
    try:
        return _connected(path)
    except sqlite3.DatabaseError as error:
        if not _is_one_of(error, _DAMAGED):
            raise
    log.error("host_marks_damaged", file=path.name, set_aside=f"{path.name}.damaged")
    # Its log, if there still is one, is not taken up: a new database begins by removing that.
    path.replace(path.with_name(f"{path.name}.damaged"))
    return _connected(path)


def _connected(path: Path) -> tuple[sqlite3.Connection, dict[str, int]]:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    database = sqlite3.connect(path, timeout=_BUSY_SECONDS)
    try:
        # A write is one flush of the log, and a reader never waits for it.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(_CREATE)
        return database, _read(database)
    except BaseException:
        database.close()
        raise


def _neighbours(path: Path) -> dict[str, int]:
    """Return what another replica of this host remembers; nothing if its file cannot be read."""
    try:
        address = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as database:
            return _read(database)
    except sqlite3.Error as error:
        log.warning("neighbours_marks_not_read", file=path.name, why=str(error))
        return {}


def _as_it_lies(path: Path) -> dict[str, int]:
    """Return what can be read without a byte of room: what was not yet only in the log."""
    try:
        address = f"{path.absolute().as_uri()}?immutable=1"
        with closing(sqlite3.connect(address, uri=True)) as database:
            return _read(database)
    except sqlite3.Error:
        return {}


def _read(database: sqlite3.Connection) -> dict[str, int]:
    return {
        name: mark
        for name, mark in database.execute("SELECT name, mark FROM marks")
        if isinstance(name, str) and isinstance(mark, int)
    }


def _raise_all(marks: dict[str, int], others: Mapping[str, int]) -> None:
    for name, mark in others.items():
        marks[name] = max(mark, marks.get(name, 0))


def _is_one_of(error: sqlite3.Error, codes: frozenset[int]) -> bool:
    return (error.sqlite_errorcode & 0xFF) in codes
