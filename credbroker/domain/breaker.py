"""When an issuer is left alone because it is in trouble, and how it is tried again.

- Three grants in a row without an answer open the breaker; so do five in a row that the issuer
  failed on (a 5xx, a page of HTML). The same grant several times does not: it may be the grant.
- Until a sound answer comes, a refresh that got none keeps its place. So an issuer that falls
  silent gets no more refreshes than it has places.
- Open, nothing passes. After a pause one refresh is tried, and never two at once: a sound answer
  closes the breaker, anything else opens it for longer.
- A grant that opened it or failed a trial is a suspect. For a minute it is kept from a trial that is
  open to anybody, so that it does not win every one; nor does its silence open the breaker anew.
- Where a trial may cost somebody the login, all replicas together make at most three in 3 hours:
  each has its turns by rank. Who sees that others are answered tries once out of turn.
- Closed again, it begins with one place and gets one more with each sound answer; opening before
  it has all is a failed trial.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import FrozenSet, Hashable, Optional, Union

from credbroker.domain.errors import (
    ClientRejected,
    CredbrokerError,
    IssuerFailed,
    IssuerMisbehaved,
    IssuerUnreachable,
    StoreUnavailable,
)
from credbroker.domain.names import GrantKey
from credbroker.domain.outcomes import Dead, NotActedOn, Outcome, Renewed

SILENT_IN_A_ROW = 3
FAILED_IN_A_ROW = 5
SUSPECTS_WAIT_SECONDS = 60.0

# When, after opening, the first trials that may cost a login are made, by whichever replica.
_FIRST_TRIALS_SECONDS = (0.0, 1200.0, 4800.0, 10800.0)
_LATER_TRIALS_SECONDS = 3600.0


class Evidence(enum.Enum):
    """What the end of a refresh says about the issuer, whatever it says about the grant."""

    SPOKE = "spoke"
    """It answers soundly; a refusal is an answer."""
    SILENT = "silent"
    """It does not answer."""
    FAILED = "failed"
    """It answers and makes no sense."""
    REFUSED_US = "refused_us"
    """It does not accept the broker's own client."""
    NOTHING = "nothing"
    """It was not asked."""


def evidence(what: Union[Outcome, CredbrokerError]) -> Evidence:
    """Return what an outcome, or an error raised before anything was sent, says of the issuer.

    To be asked to come back later (RFC 9110 section 10.2.3) is an answer if nothing was done; where
    that is unclear it may have cost a login, so it counts as a failure however politely put. A
    refusal in OAuth's words is an answer, whatever it leaves unclear about the grant.
    """
    if isinstance(what, (Renewed, Dead)):
        return Evidence.SPOKE
    error = what if isinstance(what, CredbrokerError) else what.error
    if isinstance(error, ClientRejected):
        return Evidence.REFUSED_US
    if isinstance(error, IssuerUnreachable):
        return Evidence.SILENT
    if isinstance(error, StoreUnavailable):
        return Evidence.NOTHING
    sound = not isinstance(error, (IssuerFailed, IssuerMisbehaved))
    if isinstance(what, CredbrokerError):
        return Evidence.NOTHING if sound else Evidence.FAILED
    asked_to_wait = isinstance(what, NotActedOn) and what.retry_after_seconds is not None
    return Evidence.SPOKE if sound or asked_to_wait else Evidence.FAILED


class Phase(enum.Enum):
    """How far the breaker lets refreshes pass."""

    CLOSED = "closed"
    """All pass."""
    OPEN = "open"
    """None passes."""
    OFFERED = "offered"
    """The next one passes: of the chosen grant, or whoever comes first."""
    TRIAL = "trial"
    """That one is under way; no other passes."""


class Hearsay(enum.Enum):
    """What is known of the other replicas' luck since the breaker opened."""

    NONE = "none"
    FRESH = "fresh"
    USED = "used"


@dataclass(frozen=True)
class Breaker:
    """The breaker of one issuer in one replica; every method returns what it becomes.

    `silent` holds the grants in a row that got no answer, `failed` those that got no sound one;
    `proven` counts sound answers since it last closed. `since` is the time (seconds since boot) of
    the opening or the last failed trial, `offered_at` that of the last offer, `trials` the failed
    ones since the opening, `others` what was last heard of the other replicas, -1 if nothing was.
    """

    phase: Phase = Phase.CLOSED
    silent: FrozenSet[Hashable] = frozenset()
    failed: FrozenSet[Hashable] = frozenset()
    suspects: FrozenSet[Hashable] = frozenset()
    proven: Optional[int] = None
    since: float = 0.0
    offered_at: float = 0.0
    trials: int = 0
    chosen: Optional[GrantKey] = None
    hearsay: Hearsay = Hearsay.NONE
    others: int = -1

    def places(self, part: int) -> int:
        """Return how many refreshes may be under way, of the `part` that the limits allow."""
        if self.phase is Phase.CLOSED:
            # The part may have shrunk meanwhile; without any place nothing would ever be told.
            return max(1, self._width(part) - len(self.silent))
        return 1 if self.phase is Phase.OFFERED else 0

    def is_away(self, *, answers: bool) -> bool:
        """True while the issuer does not answer as it should, given if it `answers` probes.

        Once it does and anybody may try, it is not called away: there may be nobody who needs it.
        """
        is_anybodys = self.phase is Phase.OFFERED and self.chosen is None
        return self.phase is not Phase.CLOSED and not (answers and is_anybodys)

    def admits(self, key: Optional[GrantKey], now: float) -> bool:
        """True if a refresh of this grant may begin; `now` in seconds since boot."""
        if self.phase is Phase.OFFERED and self.chosen is None:
            return key not in self.suspects or now >= self.offered_at + SUSPECTS_WAIT_SECONDS
        if self.phase is Phase.OFFERED:
            return self.chosen == key
        return self.phase is Phase.CLOSED

    def entered(self) -> Breaker:
        """A refresh that was admitted begins."""
        return self._to(Phase.TRIAL) if self.phase is Phase.OFFERED else self

    def left(self) -> Breaker:
        """A refresh is over; a trial that ended without any evidence was none."""
        return self._to(Phase.OPEN) if self.phase is Phase.TRIAL else self

    def offered(self, chosen: Optional[GrantKey], now: float = 0.0) -> Breaker:
        """Let one refresh pass as a trial: of the `chosen` grant, or with None the next one.

        Where all could pass, from now on nothing but this trial can.
        """
        if self.phase not in {Phase.OPEN, Phase.CLOSED}:
            return self
        return replace(self._to(Phase.OFFERED, chosen), offered_at=now)

    def withdrawn(self) -> Breaker:
        """Take an offer back that nobody has taken."""
        return self._to(Phase.OPEN) if self.phase is Phase.OFFERED else self

    def noted(
        self, seen: Evidence, now: float, *, part: int, key: Hashable = None, unclear: bool = False
    ) -> Breaker:
        """Take the end of a refresh of the grant `key` into account; `unclear` if it may be lost.

        While it is open nothing counts: such refreshes began before and say nothing new. A trial
        that failed at no risk may be made again at once. Without a `key` it is a grant of its own.
        """
        if seen is Evidence.NOTHING:
            return self
        key = object() if key is None else key
        bad = seen in {Evidence.SILENT, Evidence.FAILED}
        if self.phase is Phase.TRIAL:
            if bad:
                failed = replace(self.left(), suspects=self.suspects | {key})
                return failed if not unclear else self._opened(now, failed.suspects, unclear=True)
            # What its trials cost is remembered until it has proven itself.
            return self._answered(key, proven=0)
        if self.phase is not Phase.CLOSED:
            return self
        if not bad:
            return self._spoken(part, key)
        return self._suffered(seen, now, part, key, unclear=unclear)

    def heard(self, others: int) -> Breaker:
        """Look at how many refreshes the other replicas have had answered in the last minutes.

        The first rise since the opening says that they get through.
        """
        if self.phase is not Phase.OPEN:
            return self
        if others > self.others >= 0 and self.hearsay is Hearsay.NONE:
            return replace(self, hearsay=Hearsay.FRESH, others=others)
        return replace(self, others=others)

    def trial_at(self, rank: int, count: int, *, costly: bool) -> float:
        """Return when this replica, at `rank` (from 0) of `count`, may make the next trial."""
        if not costly or self.hearsay is Hearsay.FRESH:
            return self.since
        turn = self.trials * count + rank
        before = _trial_seconds(turn - count) if self.trials else 0.0
        return self.since + _trial_seconds(turn) - before

    def _width(self, part: int) -> int:
        return part if self.proven is None else min(part, self.proven + 1)

    def _spoken(self, part: int, key: Hashable) -> Breaker:
        if self.proven is None or self.proven + 2 >= part:
            return Breaker()
        return self._answered(key, proven=self.proven + 1)

    def _answered(self, key: Hashable, *, proven: int) -> Breaker:
        closed = self._to(Phase.CLOSED)
        none: FrozenSet[Hashable] = frozenset()
        suspects = self.suspects - {key}
        return replace(closed, silent=none, failed=none, suspects=suspects, proven=proven)

    def _suffered(
        self, seen: Evidence, now: float, part: int, key: Hashable, *, unclear: bool
    ) -> Breaker:
        if key in self.suspects:
            return self
        silent = self.silent | {key} if seen is Evidence.SILENT else self.silent
        failed = self.failed | {key} if seen is Evidence.FAILED else self.failed
        enough = min(SILENT_IN_A_ROW, self._width(part))
        if len(silent) >= enough or len(failed) >= FAILED_IN_A_ROW:
            return self._opened(now, self.suspects | silent | failed, unclear=unclear)
        return replace(self, silent=silent, failed=failed)

    def _opened(self, now: float, suspects: FrozenSet[Hashable], *, unclear: bool) -> Breaker:
        if self.phase is Phase.CLOSED and self.proven is None:
            return Breaker(Phase.OPEN, since=now, suspects=suspects)
        return Breaker(
            Phase.OPEN,
            since=now,
            suspects=suspects,
            trials=self.trials + unclear,
            hearsay=Hearsay.NONE if self.hearsay is Hearsay.NONE else Hearsay.USED,
            others=self.others,
        )

    def _to(self, phase: Phase, chosen: Optional[GrantKey] = None) -> Breaker:
        return replace(self, phase=phase, chosen=chosen)


def _trial_seconds(turn: int) -> float:
    """Return how long after the opening the trial at this turn (from 0) is due, in seconds."""
    last = len(_FIRST_TRIALS_SECONDS) - 1
    if turn <= last:
        return _FIRST_TRIALS_SECONDS[turn]
    return _FIRST_TRIALS_SECONDS[last] + (turn - last) * _LATER_TRIALS_SECONDS
