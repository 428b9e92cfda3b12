"""The secrets of a job whose lease has `starts`: each is shown once, and names the next.

- The next secret is on disk, with the one that is shown, before the broker hears of it.
- The same pair is sent until the broker says that the next secret is taken. So an agent that finds
  what another left behind, killed wherever it was, goes on from there.
- Where nothing was left behind, or another lease's, a chain is begun with the first secret.
- One agent at a time goes by a lease file: two would take each other for thieves.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
from typing import TYPE_CHECKING, Callable, Iterator, Optional, Protocol, Tuple

from credbroker.delivery import chain_file
from credbroker.delivery.chain_file import Secrets
from credbroker.domain.errors import LocalFileUnfit
from credbroker.domain.leases import LeaseToken
from credbroker.domain.starts import RANDOM_BYTES, mark_of, next_secret

if TYPE_CHECKING:
    import datetime
    from pathlib import Path

    from credbroker.client.blocking import BlockingClock
    from credbroker.client.broker import Fetched
    from credbroker.domain.secret import Secret
    from credbroker.ports import Entropy
    from credbroker.wire.native import AskToken

OTHERS_END_SECONDS = 30.0
"""How long an agent of the run before may take to see that its program is gone."""


class Chain:
    """The chain of one job, on this machine's disk."""

    def __init__(self, first: LeaseToken, path: Path, entropy: Entropy) -> None:
        """Go on from what the file at `path` holds of this lease, or begin with `first`.

        Raises:
            LocalFileUnfit: Others can read the file, or it is no plain file of ours.
        """
        self._path = path
        self._entropy = entropy
        self._mark = mark_of(first.secret)
        found = chain_file.read(path)
        of_this = found is not None and found.present.id == first.id
        self._kept = found if found is not None and of_this else Secrets(first)

    def pair(self) -> Tuple[LeaseToken, LeaseToken]:
        """Return the secret to show and the next one: the pair that was not taken yet, or a new one.

        Both are on disk by then.

        Raises:
            LocalFileUnfit: The new pair cannot be written, so it must not be sent.
        """
        present, following = self._kept.present, self._kept.following
        if following is None:
            secret = next_secret(self._mark, self._entropy.token(RANDOM_BYTES))
            following = LeaseToken(present.id, secret)
            kept = Secrets(present, following)
            chain_file.write(self._path, kept, self._entropy)
            self._kept = kept
        return present, following

    def taken(self) -> None:
        """Go on to the next secret: the broker has said that it is the one to show.

        Where that cannot be written the pair stays on disk, which is as good.
        """
        if self._kept.following is not None:
            self._kept = Secrets(self._kept.following)
            with contextlib.suppress(LocalFileUnfit):
                chain_file.write(self._path, self._kept, self._entropy)


class Asked(Protocol):
    """A broker; `client.broker.Broker` is the real one."""

    def ask_token(self, wanted: AskToken, shown: Optional[Secret] = None) -> Fetched:
        """Return a token, having shown this lease token."""

    def now(self) -> datetime.datetime:
        """Return the time by the broker's clock."""


class Chained:
    """Asks a broker along a chain. Follows `keeping.TokenSource`."""

    def __init__(self, broker: Asked, chain: Chain) -> None:
        """Ask `broker`, with the pairs of `chain`."""
        self._broker = broker
        self._chain = chain

    def ask_token(self, wanted: AskToken) -> Fetched:
        """Return a token, having shown one secret and named the next."""
        present, following = self._chain.pair()
        named = dataclasses.replace(wanted, next_hash=following.secret_hash())
        fetched = self._broker.ask_token(named, present.text())
        if fetched.given.next_taken:
            self._chain.taken()
        return fetched

    def now(self) -> datetime.datetime:
        """Return the time by the broker's clock."""
        return self._broker.now()


@contextlib.contextmanager
def alone(path: Path, clock: BlockingClock, say: Callable[..., None]) -> Iterator[None]:
    """Run a block while no other agent of this machine goes by the lease file at `path`.

    Where the file system cannot lock, the block is run all the same.

    Raises:
        LocalFileUnfit: Another one does, for longer than it may take to end.
    """
    descriptor = _opened(path)
    try:
        _lock(descriptor, path, clock, say)
        yield
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    """Open a file for a lock; NFS locks none that is only read."""
    try:
        with contextlib.suppress(PermissionError):
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as failure:
        raise LocalFileUnfit(f"{path} cannot be read: {failure.strerror}.") from None


def _lock(descriptor: int, path: Path, clock: BlockingClock, say: Callable[..., None]) -> None:
    until, told = clock.elapsed() + OTHERS_END_SECONDS, False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock.elapsed() >= until:
                raise LocalFileUnfit(
                    f"Another agent goes by {path} already.",
                    "End that one first, or make this job a lease of its own.",
                ) from None
            if not told:
                say("waiting", why="another agent goes by this lease file")
            told = True
            clock.block(1.0)
        except OSError:
            return
        else:
            return
