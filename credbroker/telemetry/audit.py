"""The audit trail: one JSON line per event, on disk before anybody gets the answer.

Each line carries the SHA-256 of the line before it, so that a line cut out, changed or put in is
seen. A file belongs to one replica. Never a token: only its `jti` and hashes. Nobody else's work in
threads delays a line, and a disk that was full is asked again for each new line.
"""

from __future__ import annotations

import asyncio
import datetime
import fcntl
import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import cast

import msgspec

from credbroker.domain.errors import AuditUnavailable, BadSettings
from credbroker.ports import Clock
from credbroker.telemetry.logging import REQUEST_ID, request_in_hand
from credbroker.telemetry.redact import redact, surely_clean

FIRST_LINK = "0" * 64
# Lines that wait for a full disk to be mended; more than this and nothing new is taken on.
MOST_WAITING = 10_000
# In characters; what is longer in a field was made long by somebody.
LONGEST_TEXT = 4096
# Most of a line is said over and over: short texts, so many of them, are remembered as cleaned.
_SHORT_TEXT, _REMEMBERED = 256, 8192
_STEP_BYTES = 64 * 1024
# So many turns of the loop a flush waits for the lines of requests that came with its first: microseconds
# if there are none, and where there are, waking the disk's thread costs more than writing a line.
GATHERING_TURNS = 3

_NUMBERS, _LISTS = (bool, int, float), (list, tuple)
_ENCODER = msgspec.json.Encoder()


class AuditTrail:
    """Appends to one file. Follows `ports.Audit`."""

    def __init__(self, folder: Path, replica: str, clock: Clock) -> None:
        """Open, or go on with, `folder`/audit-<replica>.jsonl; raise `BadSettings` if it cannot be."""
        self._clock = clock
        self._replica = replica
        self._path = folder / f"audit-{replica}.jsonl"
        try:
            self._file = _open_alone(self._path)
            self._link = _last_link(self._file)
        except BlockingIOError:
            raise BadSettings(
                f"{self._path}: another process writes here; give each replica its own name."
            ) from None
        except OSError as error:
            raise BadSettings(
                f"{self._path}: the audit trail cannot be written ({error.strerror})."
            ) from None
        # A thread of its own: those of the loop may all be waiting for a name server.
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")
        self._waiting: list[bytes] = []
        self._waiting_since = self._writing_since = self._clock.elapsed()
        self._writing = False
        self._callers: list[asyncio.Future[None]] = []
        self._at_the_disk = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None

    async def record(self, event: str, /, **fields: object) -> None:
        """Write one line and wait until it is on disk; see `ports.Audit`.

        Lines that come while the disk is busy go out together, with one flush for all of them.
        """
        if REQUEST_ID not in fields:
            fields[REQUEST_ID] = request_in_hand()
        await self.record_all(event, (fields,))

    async def record_all(
        self, event: str, lines: Sequence[Mapping[str, object]], /, **common: object
    ) -> None:
        """Write a line for each of `lines` and wait until all are on disk; see `ports.Audit`."""
        if len(self._waiting) >= MOST_WAITING:
            await self._all_written()  # or it raises: nothing more is taken on for a full disk
        if not self._waiting:
            self._waiting_since = self._clock.elapsed()
        # What all lines begin with is written once, without its closing brace.
        begin = _ENCODER.encode(
            {
                "time": _text_of(self._clock.now()),
                "event": event,
                "replica": self._replica,
                **_present([common])[0],
            }
        )[:-1]
        for fields in _present(lines):
            self._append(begin, fields)
        await self._all_written()

    async def _all_written(self) -> None:
        if self._next is None:
            self._next = asyncio.ensure_future(self._write_next())
        # One of its own: a caller that goes away must not leave the chain half-written.
        caller = asyncio.get_running_loop().create_future()
        self._callers.append(caller)
        await caller

    async def _write_next(self) -> None:
        async with self._at_the_disk:
            for _ in range(GATHERING_TURNS):
                await asyncio.sleep(0)  # noqa: TID251 - turns of the loop, for whoever is on the way here
            self._next = None  # who comes from here on is too late for this flush
            lines, self._waiting = self._waiting, []
            self._writing, self._writing_since = bool(lines), self._waiting_since
            callers, self._callers = self._callers, []
            error = await self._flushed(b"".join(lines))
            self._writing = False
            if error is not None:
                self._waiting = lines + self._waiting
                self._waiting_since = self._writing_since
            for caller in callers:
                if caller.done():
                    continue  # it went away
                if error is None:
                    caller.set_result(None)
                else:
                    caller.set_exception(_unavailable(error))

    async def _flushed(self, lines: bytes) -> Exception | None:
        """Return what kept the lines from getting to the disk: nothing, if they are there."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._disk, self._flush, lines)
        except (OSError, RuntimeError) as error:
            return error
        return None

    def lag_seconds(self) -> float:
        """Return for how long the oldest line has waited that is not on disk; 0 if all are."""
        if not self._writing and not self._waiting:
            return 0.0
        since = self._writing_since if self._writing else self._waiting_since
        return self._clock.elapsed() - since

    def close(self) -> None:
        """Let go of the file, once what is being written is on disk."""
        self._disk.shutdown()
        os.close(self._file)

    def _append(self, begin: bytes, fields: Mapping[str, object]) -> None:
        own = _ENCODER.encode(fields)[1:-1]
        comma = b"," if own else b""
        line = b'%b,%b%b"previous":"%b"}' % (begin, own, comma, self._link.encode())
        self._link = hashlib.sha256(line).hexdigest()
        self._waiting.append(line + b"\n")

    def _flush(self, lines: bytes) -> None:
        written = 0
        try:
            while written < len(lines):
                written += os.write(self._file, lines[written:])
            os.fsync(self._file)
        except OSError:
            # Half a line would break the chain for every line after it.
            os.ftruncate(self._file, os.lseek(self._file, 0, os.SEEK_END) - written)
            raise


def _unavailable(error: Exception) -> AuditUnavailable:
    why = error.strerror if isinstance(error, OSError) else error
    return AuditUnavailable(f"The audit trail cannot be written ({why}), so nothing is given out.")


def _open_alone(path: Path) -> int:
    """Open the file for this process alone: two writers would break each other's chain."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)  # so that a new file's name, too, survives a power cut
        finally:
            os.close(folder)
    except BaseException:
        os.close(file)
        raise
    return file


def _present(lines: Sequence[Mapping[str, object]]) -> Sequence[Mapping[str, object]]:
    """Return of each line the fields that have a value, as they may be written."""
    if len(lines) > 1:
        # Those of many tokens hold nothing but clean texts, and are not copied.
        values = [value for fields in lines for value in fields.values()]
        if set(map(type, values)) == {str} and _is_clean(cast("list[str]", values)):
            return lines
    texts: list[str] = []
    found = [_named(fields, texts) for fields in lines]
    # One look at all texts together takes less time than one at each, or at those of each line.
    if not _is_clean(texts):
        for fields in found:
            if not _is_clean([value for value in fields.values() if isinstance(value, str)]):
                fields.update({name: _plain(value) for name, value in fields.items()})
    return found


def _named(fields: Mapping[str, object], texts: list[str]) -> dict[str, object]:
    """Return the fields that have a value; add those to `texts` that are as they came."""
    present: dict[str, object] = {}
    for name, value in fields.items():
        if type(value) is str:
            texts.append(value)
            present[name] = value
        elif type(value) is datetime.datetime:
            present[name] = _moment(value)
        elif value is not None:
            present[name] = _plain(value)
    return present


def _is_clean(texts: Sequence[str]) -> bool:
    text = " ".join(texts)
    are_short = len(text) <= LONGEST_TEXT or max(map(len, texts)) <= LONGEST_TEXT
    return are_short and surely_clean(text)


def _plain(value: object) -> object:
    if isinstance(value, str):
        return _remembered(value) if len(value) <= _SHORT_TEXT else _cleaned(value)
    if isinstance(value, datetime.datetime):
        return _moment(value)
    if isinstance(value, _NUMBERS):
        return value
    if isinstance(value, _LISTS):
        return [_plain(item) for item in value]
    return _plain(str(value))


def _text_of(at: datetime.datetime) -> str:
    at = at if at.tzinfo is datetime.UTC else at.astimezone(datetime.UTC)
    text = _ENCODER.encode(at).decode().strip('"')  # a tenth of the time that isoformat takes
    return text if at.microsecond else text.replace("Z", ".000000Z")


def _cleaned(text: str) -> str:
    text = redact(text)  # before the cut, which could make half a secret look like none
    text = text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
    return text.encode(errors="backslashreplace").decode()  # a path may hold what is no UTF-8


_remembered = lru_cache(_REMEMBERED)(_cleaned)
# The tokens of a second begin and end together.
_moment = lru_cache(256)(_text_of)


def _last_link(file: int) -> str:
    """Return the hash of the last whole line, after cutting off what a crash left half-written."""
    size = os.lseek(file, 0, os.SEEK_END)
    end = _line_start(file, size)
    if end < size:
        os.ftruncate(file, end)
    if not end:
        return FIRST_LINK
    start = _line_start(file, end - 1)
    return hashlib.sha256(os.pread(file, end - 1 - start, start)).hexdigest()


def _line_start(file: int, end: int) -> int:
    """Return where the line that goes up to `end` begins: after the newline before it, or at 0."""
    while end:
        start = max(0, end - _STEP_BYTES)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
