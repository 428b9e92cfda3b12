"""The gate before one issuer: every refresh passes it before anything is claimed.

- Who waits is let in by order of coming, as the limits of all replicas together allow.
- While the gate is closed nobody waits: who asks, and who already waits, is told why at once.
- It closes when the issuer falls silent or fails, when it is busy and asks to be left alone, when
  it does not accept the broker's own client (`domain.refusals`), and, but for one refresh a minute,
  when its verdicts are beyond belief. It never marks a grant.
- It opens by itself, when `broker.custody.recovering` has tried; a brake, when an operator has looked.
"""

from __future__ import annotations

import asyncio
import datetime
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog

from credbroker.broker.custody.braking import Braking, Marks, Others
from credbroker.broker.running import Means, served
from credbroker.domain.breaker import Breaker, Evidence, Phase, evidence
from credbroker.domain.errors import (
    ClientRejected,
    CredbrokerError,
    IssuerSpared,
    IssuerUnreachable,
)
from credbroker.domain.failing import Failing
from credbroker.domain.limits import Allowance
from credbroker.domain.marks import IssuerCount
from credbroker.domain.names import GrantKey
from credbroker.domain.outcomes import Dead, NotActedOn, Outcome, Unclear
from credbroker.domain.pacing import IssuerLimits, OwnPart
from credbroker.domain.refusals import Refusals
from credbroker.domain.retry import roughly
from credbroker.domain.rotation import UnclearRule

# A proxy's page may ask for hours; a sound probe ends it sooner, but not at once.
LONGEST_SPARED_SECONDS = 300.0
SHORTEST_SPARED_SECONDS = 60.0
# Less than this is left of a wait by rounding alone.
ROUNDING_SECONDS = 1e-6

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a gate stands, for metrics and `status`.

    `away` while the issuer does not answer as it should; `open_until` is when it is tried again at the
    earliest, or until when it asked to be left alone, None while neither holds; `since` says when
    the breaker opened or the client was refused, if that lasts.
    """

    phase: Phase
    away: bool
    since: datetime.datetime | None
    open_until: datetime.datetime | None
    client_paused: bool
    braked: bool
    waiting: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class _Waiter:
    key: GrantKey
    turn: asyncio.Future[None]


class Gate:
    """The gate of one issuer in this replica; `failing` is for how long it has seen it fail."""

    def __init__(
        self,
        name: str,
        limits: IssuerLimits,
        replicas: Others,
        marks: Marks,
        means: Means,
    ) -> None:
        """Stand open before the issuer `name`."""
        self._name = name
        self._replicas = replicas
        self._marks = marks
        self._clock = means.clock
        self._braking = Braking(name, replicas, marks, means)
        self._part = OwnPart(limits)
        self._breaker = Breaker()
        self._refusals = Refusals()
        self.failing = Failing()
        self._spared_since = 0.0
        self._spared_until = 0.0
        self._line: deque[_Waiter] = deque()
        self._in_flight = 0
        self._made_up_at = 0.0
        self._timer: asyncio.Future[None] | None = None
        self._trouble = asyncio.Event()
        self._trouble_since: datetime.datetime | None = None

    def check(self, key: GrantKey | None = None) -> None:
        """Raise while the gate is closed to a refresh of this grant.

        `IssuerUnreachable` if the issuer does not answer, `IssuerSpared` for any other reason; the
        sentence says until about when.
        """
        now = self._clock.elapsed()
        if self._refusals.paused:
            raise IssuerSpared(
                f"The issuer {self._name!r} does not accept the broker's own client; it is asked"
                " again every minute.",
                ClientRejected.default_remedy + " Logins are kept, and tokens already delivered"
                " stay valid until they expire.",
            )
        if self._spared_until > now:
            left = roughly(self._spared_until - now)
            raise IssuerSpared(f"The issuer {self._name!r} asked to be left alone for {left}.")
        if not self._breaker.admits(key, now):
            left = roughly(self._trial_at() - now)
            raise IssuerUnreachable(
                f"The issuer {self._name!r} does not answer as it should; it is tried again in"
                f" {left}."
            )
        self._braking.check(key)

    @asynccontextmanager
    async def entered(self, key: GrantKey) -> AsyncIterator[None]:
        """Hold a place at the issuer for a refresh of this grant, once it is its turn.

        Whoever holds it calls `note` before letting go, if there is anything to note. Raises as
        `check` does, also while waiting.
        """
        waiter = _Waiter(key, asyncio.get_running_loop().create_future())
        self._line.append(waiter)
        self._admit()
        try:
            await waiter.turn
        except asyncio.CancelledError:
            self._give_up(waiter)
            raise
        try:
            yield
        finally:
            self._leave()

    def note(
        self,
        what: Outcome | CredbrokerError,
        key: Hashable = None,
        *,
        expired: bool = False,
        verdict: bool = True,
    ) -> None:
        """Take an outcome, or an error raised before anything was sent, into account.

        Without the grant's `key` it counts as one of a grant of its own. `expired` if the refresh
        token had outlived its time; no `verdict` is what says nothing of one.
        """
        key = object() if key is None else key
        seen, now = evidence(what), self._clock.elapsed()
        self.failing = self.failing.noted(seen, now)
        if (seconds := spared_seconds(what)) is not None:
            self._spare(now, seconds)
        if seen is Evidence.REFUSED_US:
            self._refused(lambda: self._refusals.refused(key))
        if seen is Evidence.SPOKE and verdict:
            self._refusals.answered()
            if not (expired and isinstance(what, Dead)):
                self._braking.note(key, dead=isinstance(what, Dead))
        part, unclear = self._allowance().burst, isinstance(what, Unclear)
        self._become(self._breaker.noted(seen, now, part=part, key=key, unclear=unclear))

    def believes_dead(self, *, expired: bool = False) -> bool:
        """True unless the issuer calls too many grants dead; to be asked after `note`.

        True also if the refresh token has `expired`: of that it is rightly said.
        """
        return expired or not self._braking.on

    def counts(self) -> IssuerCount:
        """Return what this replica's refreshes were told in the last 10 minutes."""
        seconds = self.failing.seconds(self._clock.elapsed())
        return replace(self._braking.counts(), failing_seconds=seconds)

    def standing(self) -> Standing:
        """Return how the gate stands now."""
        away = self._breaker.is_away(answers=self.failing.first_at is None)
        until = max(self._spared_until, self._trial_at() if away else 0.0)
        left = datetime.timedelta(seconds=max(0.0, until - self._clock.elapsed()))
        return Standing(
            phase=self._breaker.phase,
            away=away,
            since=self._trouble_since if away or self._refusals.paused or left else None,
            open_until=self._clock.now() + left if left else None,
            client_paused=self._refusals.paused,
            braked=self._braking.on,
            waiting=sum(not one.turn.done() for one in self._line),
            in_flight=self._in_flight,
        )

    @property
    def client_paused(self) -> bool:
        """True while the issuer does not accept the broker's own client."""
        return self._refusals.paused

    @property
    def client_in_doubt(self) -> bool:
        """True if a refresh was refused in the client's name and only a probe can tell."""
        return self._refusals.in_doubt

    @property
    def spared(self) -> bool:
        """True while the issuer is left alone because it asked for that."""
        return self._spared_until > self._clock.elapsed()

    @property
    def in_trouble(self) -> bool:
        """True while the gate is closed, but by the brake, or the client is in doubt."""
        client = self._refusals.paused or self._refusals.in_doubt
        return client or self.spared or self._breaker.phase is not Phase.CLOSED

    async def trouble(self) -> None:
        """Return once the gate is in trouble."""
        await self._trouble.wait()

    def probed(self, error: CredbrokerError | None) -> None:
        """Take into account what came of `Issuer.probe`: None if all was well."""
        now = self._clock.elapsed()
        self.failing = self.failing.noted(evidence(error) if error else Evidence.SPOKE, now)
        if isinstance(error, ClientRejected):
            self._refused(self._refusals.proven)
        if error is None:
            if self._refusals.paused:
                log.info("client_accepted_again", issuer=self._name)
            self._refusals.accepted()
            if now >= self._spared_since + SHORTEST_SPARED_SECONDS - ROUNDING_SECONDS:
                self._spared_until = min(self._spared_until, now)
        self._become(self._breaker)

    def may_try(self, *, blindly: bool = False) -> bool:
        """True if a trial is due and nothing else stands in its way, nor is still under way.

        Without the word of a sound probe, `blindly`, trials are as rare as where they cost a login,
        and one may also tell whether the client is accepted.
        """
        now = self._clock.elapsed()
        self._breaker = self._breaker.heard(self._replicas.others(self._name).refreshes)
        closed = self._breaker.phase is Phase.OPEN and not self._refusals.paused
        if not closed and not (blindly and self._refusals.paused):
            return False
        due = max(self._trial_at(blindly=blindly), self._spared_until)
        return not self._in_flight and due <= now

    def offer(self, key: GrantKey | None) -> None:
        """Let one refresh pass as a trial: of the grant `key`, or with None whoever comes first."""
        self._refusals.tried()
        self._breaker = self._breaker.offered(key, self._clock.elapsed())

    def withdraw(self) -> bool:
        """Take the offer back; False if it was taken."""
        was_offered = self._breaker.phase is Phase.OFFERED
        self._breaker = self._breaker.withdrawn()
        return was_offered

    def suspects(self, key: GrantKey) -> bool:
        """True if this grant had a part in the trouble; a trial of another one says more."""
        return key in self._breaker.suspects

    def a_trial_costs(self) -> bool:
        """True if a refresh without an answer may cost the person the login at this issuer."""
        return self._marks.rule(self._name).kind is not UnclearRule.RETRY_SAFE

    def _admit(self) -> None:
        """Let in, or turn away, as many of the line as can be told now."""
        while self._line:
            waiter = self._line[0]
            if not waiter.turn.done() and not self._may_stay(waiter):
                return
            self._line.popleft()

    def _may_stay(self, waiter: _Waiter) -> bool:
        """Tell the first of the line if it can be told; False if it must wait."""
        try:
            self.check(waiter.key)
        except CredbrokerError as error:
            waiter.turn.set_exception(error)
            return True
        allowance, now = self._allowance(), self._clock.elapsed()
        if self._in_flight >= self._breaker.places(allowance.burst):
            return False
        if (wait := allowance.wait_seconds(self._made_up_at, now)) > ROUNDING_SECONDS:
            self._wake_after(wait)
            return False
        self._made_up_at = allowance.once_more(self._made_up_at, now)
        self._in_flight += 1
        self._breaker = self._breaker.entered()
        self._braking.entered()
        waiter.turn.set_result(None)
        return True

    def _leave(self) -> None:
        self._in_flight -= 1
        self._become(self._breaker.left())

    def _give_up(self, waiter: _Waiter) -> None:
        if waiter in self._line:
            self._line.remove(waiter)
            self._admit()
        elif not waiter.turn.cancelled() and waiter.turn.exception() is None:
            self._leave()  # let in just as it gave up

    def _wake_after(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.ensure_future(self._clock.sleep(seconds))
            self._timer.add_done_callback(self._woken)

    def _woken(self, timer: asyncio.Future[None]) -> None:
        self._timer = None
        if not timer.cancelled():
            self._admit()

    def _refused(self, note: Callable[[], None]) -> None:
        was_paused = self._refusals.paused
        note()
        if self._refusals.paused and not was_paused:
            log.error("client_rejected", issuer=self._name)

    def _spare(self, now: float, seconds: float) -> None:
        if not self.spared:
            self._spared_since = now
        self._spared_until = max(self._spared_until, now + min(seconds, LONGEST_SPARED_SECONDS))

    def _become(self, breaker: Breaker) -> None:
        before, self._breaker = self._breaker.phase, breaker
        if breaker.phase is Phase.OPEN and before in {Phase.CLOSED, Phase.TRIAL}:
            log.warning("issuer_left_alone", issuer=self._name, failed_trials=breaker.trials)
        if breaker.phase is Phase.CLOSED and before is Phase.TRIAL:
            log.info("issuer_is_back", issuer=self._name)
        if self.in_trouble:
            self._trouble_since = self._trouble_since or self._clock.now()
            self._trouble.set()
        else:
            self._trouble_since = None
            self._trouble.clear()
        self._admit()

    def _allowance(self) -> Allowance:
        share = self._replicas.share()
        now = self._clock.elapsed()
        return self._part.look(share.rank, share.count, newcomer=share.newcomer, now=now)

    def _trial_at(self, *, blindly: bool = False) -> float:
        share = self._replicas.share()
        costly = blindly or self.a_trial_costs()
        return self._breaker.trial_at(share.rank, share.count, costly=costly)


class Gates(Mapping[str, Gate]):
    """The gates of all issuers, by name."""

    def __init__(
        self,
        names: Iterable[str],
        limits: Mapping[str, IssuerLimits],
        replicas: Others,
        marks: Marks,
        means: Means,
    ) -> None:
        """Stand open before every issuer; one that `limits` does not name has the usual limits."""
        self._gates = {
            name: Gate(name, limits.get(name, IssuerLimits()), replicas, marks, means)
            for name in names
        }

    def of(self, name: str) -> Gate:
        """Return the gate of this issuer. Raises `NotFound`."""
        return served(self._gates, name)

    def __getitem__(self, name: str) -> Gate:
        return self._gates[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._gates)

    def __len__(self) -> int:
        return len(self._gates)


def spared_seconds(what: Outcome | CredbrokerError) -> float | None:
    """Return for how long the issuer as a whole asks to be left alone; None if it does not.

    Only an answer that it is busy (429, 503) speaks for all; any other's wish is the grant's own.
    """
    if isinstance(what, NotActedOn | Unclear) and isinstance(what.error, IssuerUnreachable):
        return what.retry_after_seconds
    return None
