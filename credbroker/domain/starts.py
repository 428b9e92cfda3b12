"""The secrets of a job's lease that are used once: its starts, and the chain that each begins.

Whoever asks shows a secret and names the hash of the next one, which is shown the next time. So a
copy of a job's files is of no use for long, and does not stay unseen:

- The same pair again is the same request, whoever lost the answer. The pair before it, within minutes,
  is a request that was held up on its way, by a replica that stood still say: nobody waits for it any
  more, so it gets nothing and ends nothing.
- A secret that was shown before, with another next one or after a later one, shows that two hold
  it. That ends the lease.
- The first secret begins a chain, and may do so a few times, since a batch system starts a job again
  with the same files. A new chain ends the one before.

Only hashes are kept, and but a few: all secrets of a lease begin with its mark, which nobody can guess
who holds none of them. So one that was shown before is told from a stranger's however long ago that was.
"""

from __future__ import annotations

import datetime
import enum
import re
from dataclasses import dataclass, replace

from credbroker.domain.errors import LeaseEnded, Malformed
from credbroker.domain.secret import Secret

USUAL_STARTS = 10
MOST_STARTS = 100
LATE_SECONDS = 300.0
"""So long after the last step the request before it may still come in."""

MARK_DIGITS = 16
RANDOM_BYTES = 20
"""How much of a next secret is chance; behind the mark it is as long as the first one."""

_TOLD_STARTS = 3
_HASH = re.compile(r"[0-9a-f]{64}\Z")


class Verdict(enum.Enum):
    """What a pair of a shown secret and a named next one means."""

    START = "start"
    """The first secret begins a chain."""
    STEP = "step"
    """The chain goes on."""
    REPEAT = "repeat"
    """It is the request that was made last, once more."""
    LATE = "late"
    """It is the request before the last one, which was held up on its way."""
    SPENT = "spent"
    """The first secret would begin one chain too many."""
    REUSED = "reused"
    """Two hold a secret that one alone should have."""
    UNKNOWN = "unknown"
    """The secret was never one of this lease's."""


@dataclass(frozen=True)
class Start:
    """When a chain was begun, and from which address."""

    at: datetime.datetime
    address: str

    def told(self) -> str:
        """Return it for people."""
        return f"{self.address} at {self.at:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True)
class Starts:
    """What is known of a lease's secrets, each of them as hex SHA-256.

    Attributes:
        first: The secret that begins chains.
        mark: What all later ones begin with, as `mark_of` tells.
        most: How many chains it may begin.
        made: The chains that were begun; the last one runs.
        begun: The next secrets that were named then, one for each.
        shown: The secret that was shown last.
        present: The next one that was named with it: who shows this goes on.
        before: The pair that was shown and named before those two.
        stepped_at: When those two were taken.
        alarm: When and from where a secret was shown that was over; it ended the lease.
    """

    first: str
    mark: str
    most: int
    made: tuple[Start, ...] = ()
    begun: tuple[str, ...] = ()
    shown: str = ""
    present: str = ""
    before: tuple[str, str] = ("", "")
    stepped_at: datetime.datetime | None = None
    alarm: Start | None = None

    @classmethod
    def of(cls, first: Secret, most: int) -> Starts:
        """Return what is known of a lease that nobody has used; `first` begins so many chains."""
        return cls(first.digest(), Secret("mark", mark_of(first)).digest(), most)

    def judge(self, secret: Secret, following: str, now: datetime.datetime) -> Verdict:
        """Say what it means that `secret` is shown and the hash `following` names the next one."""
        shown = secret.digest()
        if (shown, following) == (self.shown, self.present):
            return Verdict.REPEAT
        if (shown, following) == self.before and self._has_just_stepped(now):
            return Verdict.LATE
        if shown not in {self.first, self.present}:
            return Verdict.REUSED if self._has_mark(secret) else Verdict.UNKNOWN
        if following in {self.first, self.present, *self.begun}:
            return Verdict.REUSED
        if shown == self.present:
            return Verdict.STEP
        return Verdict.START if len(self.made) < self.most else Verdict.SPENT

    def gone_on(self, shown: str, following: str, by: Start) -> Starts:
        """Return what holds after a `START` or `STEP`, which `by` tells the time and place of."""
        starts = shown == self.first
        return replace(
            self,
            made=(*self.made, by) if starts else self.made,
            begun=(*self.begun, following) if starts else self.begun,
            shown=shown,
            present=following,
            before=(self.shown, self.present),
            stepped_at=by.at,
        )

    def _has_mark(self, secret: Secret) -> bool:
        return secret.beginning("mark", MARK_DIGITS).digest() == self.mark

    def _has_just_stepped(self, now: datetime.datetime) -> bool:
        at = self.stepped_at
        return at is not None and abs((now - at).total_seconds()) <= LATE_SECONDS


def mark_of(first: Secret) -> str:
    """Return what all later secrets of a lease begin with; only who holds its first can tell."""
    return first.extended("mark", "mark of ").digest()[:MARK_DIGITS]


def next_secret(mark: str, chance: str) -> Secret:
    """Return a next secret; `chance` is `RANDOM_BYTES` random bytes as base64url."""
    return Secret("lease", chance).extended("lease", mark)


def check_most(most: int) -> int:
    """Return how often a job may be started; raise `Malformed` unless it is 1 to `MOST_STARTS`."""
    if not 1 <= most <= MOST_STARTS:
        raise Malformed(f"A job may be started once or more, up to {MOST_STARTS} times.")
    return most


def check_hash(named: str) -> str:
    """Return the hash of a next secret; raise `Malformed` unless it is a SHA-256 in hex."""
    if not _HASH.match(named):
        raise Malformed("The next secret is named by its SHA-256, 64 hex digits in small letters.")
    return named


def check_no_alarm(starts: Starts) -> None:
    """Raise `LeaseEnded`, telling when and from where, if a secret was used by two."""
    if starts.alarm is not None:
        last = ", ".join(one.told() for one in starts.made[-_TOLD_STARTS:])
        raise LeaseEnded(
            "This job's lease was stopped: a secret of it was shown that was over, from"
            f" {starts.alarm.told()}. Either its files were copied, or the job ran twice at the same"
            f" time. It was started from {last or 'nowhere'}."
        )
