"""Renews one token file again and again, while calls fail, the disk is full, and it is killed.

It runs in a process of its own, which is killed: what it does stands line by line in a diary.
"""

from __future__ import annotations

import errno
import hashlib
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from credbroker.delivery import token_file
from credbroker.domain.errors import LocalFileUnfit
from credbroker.domain.secret import Secret
from tests.chaos.dice import Dice

MODE = 0o400
OWNER = (12_345, 12_345)
BALLAST = ".ballast"
RENEWAL = "a renewal"
CALLS = ("open", "fchmod", "fchown", "fsync", "rename")
# More than a page, so that a disk which is nearly full takes a part of it.
_LONGEST_BYTES = 12_000
_FAILS, _FULL, _KILLED = 0.10, 0.13, 0.15


def token_of(number: int) -> str:
    """Return the content of one renewal, of another length each time; its end proves it whole."""
    body = f"{number}.{'x' * (number * 977 % _LONGEST_BYTES)}"
    return f"{body}.{hashlib.sha256(body.encode()).hexdigest()}"


def number_of(content: bytes) -> int | None:
    """Return which renewal a content is; None if it is not one whole token."""
    body, _, seal = content.rpartition(b".")
    if hashlib.sha256(body).hexdigest().encode() != seal:
        return None
    return int(body.partition(b".")[0])


def owner_of_file() -> tuple[int, int] | None:
    """Return to whom the file is given; who is not root keeps it."""
    return OWNER if os.geteuid() == 0 else None


@dataclass
class Strike:
    """What happens at one of the calls to come: an error in its place, or a kill beside it."""

    calls_left: int
    error: int = 0
    after: bool = False


class Diary:
    """What a process did, also if it is killed in the next moment."""

    def __init__(self, path: Path) -> None:
        """Go on in the file at `path`."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._counted: Counter[str] = Counter()
        self._counted_to = 0

    def note(self, line: str) -> None:
        """Write a line; the system has it when this returns."""
        os.write(self._descriptor, f"{line}\n".encode())

    def counted(self) -> Counter[str]:
        """Return how often each line was written, by anybody."""
        new = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, self._counted_to)
        self._counted_to += len(new)
        self._counted.update(new.decode().splitlines())
        return self._counted


class Struck:
    """Stands before the calls that replace a file, in this process, for good."""

    def __init__(self, diary: Diary) -> None:
        """Let every call through until one is to be struck."""
        self.strike: Strike | None = None
        self._diary = diary
        for name in CALLS:
            setattr(os, name, self._standing_before(name, getattr(os, name)))

    def _standing_before(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def struck(*args: Any, **named: Any) -> Any:
            strike = self.strike
            if strike is None:
                return call(*args, **named)
            strike.calls_left -= 1
            if strike.calls_left >= 0:
                return call(*args, **named)
            self.strike = None
            if strike.error:
                self._diary.note(f"{errno.errorcode[strike.error]} from {name}")
                raise OSError(strike.error, os.strerror(strike.error))
            if strike.after:
                call(*args, **named)
            self._diary.note(f"killed {'after' if strike.after else 'before'} {name}")
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError("nobody survives that")

        return struck


def renew(path: Path, diary: Diary, dice: Dice, numbers: range, *, small: bool) -> None:
    """Renew once for each number; `small` says that the disk can be filled."""
    struck = Struck(diary)
    for number in numbers:
        diary.note(RENEWAL)
        os.umask(int(dice.fraction() * 0o1000))
        drawn, at = dice.fraction(), int(dice.fraction() * 8)
        if drawn < _FAILS:
            struck.strike = Strike(at, error=errno.ENOSPC if dice.fraction() < 0.5 else errno.EIO)
        elif drawn < _FULL and small:
            _fill(path.parent / BALLAST, dice)
        elif _FULL <= drawn < _KILLED:
            struck.strike = Strike(at, after=dice.fraction() < 0.5)
        write(path, token_of(number), dice, diary)
        struck.strike = None
        (path.parent / BALLAST).unlink(missing_ok=True)


def write(path: Path, content: str, dice: Dice, diary: Diary) -> None:
    """Put a token at `path`, or leave it; what was refused is noted."""
    token = Secret("access token", content)
    try:
        token_file.write(path, token, dice, owner=owner_of_file(), mode=MODE)
    except LocalFileUnfit as refused:
        diary.note("a full disk" if "space" in refused.sentence else "refused")


def _fill(ballast: Path, dice: Dice) -> None:
    """Leave at most two pages of the disk."""
    descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        while True:
            os.write(descriptor, bytes(4096))
    except OSError:
        left = os.fstat(descriptor).st_size - int(dice.fraction() * 3) * 4096
        os.truncate(ballast, max(0, left))
    finally:
        os.close(descriptor)
