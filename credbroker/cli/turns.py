"""One after another, for a person's programs that start at the same moment.

A turn is a lock on a file in a folder of the person's own. It ends with whoever holds it, however
that ends; waiting for it has an end of its own. Where the folder's file system has no locks nobody
waits: what is done twice then does no harm.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from typing import TYPE_CHECKING, Callable, Iterator, NamedTuple

from credbroker.domain.errors import LocalFileUnfit

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.client.blocking import BlockingClock

_LOOK_SECONDS = 0.2
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems say that have no locks, as some homes on the network."""


@contextlib.contextmanager
def turn(
    path: Path,
    clock: BlockingClock,
    seconds: float,
    *,
    waiting: Callable[[], object],
    in_vain: Callable[[], Exception],
    enough: Callable[[], bool] = lambda: False,
) -> Iterator[bool]:
    """Hold the turn at `path` for the length of a `with` block; yield whether it was waited for.

    Args:
        path: The lock's file; its folder is there.
        clock: By whose time it is waited.
        seconds: How long to wait at the most.
        waiting: Called once before the first wait.
        in_vain: Makes the error to raise when the wait is over.
        enough: Asked while waiting: True if the turn is not needed any more, and not to be held.
    """
    try:
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as failure:
        raise LocalFileUnfit(f"{path} cannot be opened: {failure.strerror}.") from None
    try:
        try:
            waited = _wait(opened, _Waiting(clock, seconds, waiting, in_vain, enough))
        except OSError as failure:
            raise LocalFileUnfit(f"{path} cannot be locked: {failure.strerror}.") from None
        yield waited
    finally:
        os.close(opened)  # which ends the turn


class _Waiting(NamedTuple):
    clock: BlockingClock
    seconds: float
    waiting: Callable[[], object]
    in_vain: Callable[[], Exception]
    enough: Callable[[], bool]


def _wait(opened: int, how: _Waiting) -> bool:
    deadline, waited = how.clock.elapsed() + how.seconds, False
    while not _try(opened):
        if not waited:
            how.waiting()
        waited = True
        if how.enough():
            break
        if how.clock.elapsed() >= deadline:
            raise how.in_vain()
        how.clock.block(_LOOK_SECONDS)
    return waited


def _try(opened: int) -> bool:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as failure:
        if failure.errno not in _NO_LOCKS:
            raise
    return True
