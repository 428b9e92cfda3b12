"""Recognises the jobs whose secrets are used once, and takes each of them a step on.

- A step is one write by check-and-set, before anything is given for it.
- A secret that two hold ends the lease, in the same write that tells when and from where it was shown.
- While OpenBao/Vault is away no step is taken: what the job shows is judged by what is remembered,
  and what is held is served, but nothing is fetched. The job then shows the same pair again.
- What nobody waits for any more is not acted on. A replica that stood still would else start a job in
  a sandbox that is gone, or take an old request of a job for a thief's.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from credbroker.broker.containing import Containing
from credbroker.broker.leasing import Caller, Leasing, Origin, about
from credbroker.broker.recall import ANSWER_SECONDS, PATIENCE_SECONDS
from credbroker.broker.running import Means
from credbroker.broker.storing import answered, put_surely
from credbroker.broker.turns import Turns
from credbroker.domain import leases
from credbroker.domain.errors import (
    LeaseUnknown,
    NotAllowed,
    StoreMisconfigured,
    StoreUnavailable,
)
from credbroker.domain.leases import Lease, LeaseToken
from credbroker.domain.limits import Allowance
from credbroker.domain.secret import Secret
from credbroker.domain.starts import Start, Starts, Verdict, check_hash
from credbroker.ports import RecordStore, StaleVersionError

# Each step is a write; no token is so short-lived that a job needs more.
PACE = Allowance(per_second=1.0, burst=60)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Pair:
    """A shown secret and the hash of the next one; who showed them, and whether they still wait."""

    shown: Secret
    following: str
    origin: Origin
    is_waited_for: Callable[[], bool]

    def verdict(self, starts: Starts, now: datetime.datetime) -> Verdict:
        return starts.judge(self.shown, self.following, now)

    def at(self, now: datetime.datetime) -> Start:
        return Start(now.replace(microsecond=0), self.origin.address)


class Stepping:
    """The steps of all jobs, as this process takes them."""

    def __init__(
        self, records: RecordStore[Lease], leasing: Leasing, containing: Containing, means: Means
    ) -> None:
        """Take steps in `records`, which are those of `leasing`; `containing` tells of an alarm."""
        self._records = records
        self._leasing = leasing
        self._containing = containing
        self._audit = means.audit
        self._clock = means.clock
        self._deeds = means.deeds
        self._turns = Turns(means.clock, PACE, "This job asks too often.")

    async def identify(
        self,
        token: LeaseToken,
        next_hash: str,
        origin: Origin,
        *,
        is_heard: Callable[[], bool] = lambda: True,
    ) -> Caller:
        """Return the caller that shows this secret and names the next one; `is_heard` while it waits.

        Raises `NotAllowed` if its lease knows no next secrets, or its job was started too often;
        `LeaseEnded` if two hold the secret; else as `Leasing.identify` does.
        """
        answer_by = self._clock.elapsed() + ANSWER_SECONDS

        def is_waited_for() -> bool:
            return self._clock.elapsed() < answer_by and is_heard()

        pair = _Pair(token.secret, check_hash(next_hash), origin, is_waited_for)
        known = await self._leasing.recalled(token.id)
        if known is None or known.starts is None:
            leases.check_secret(known, token)
            raise NotAllowed(
                "This lease has one secret that is good until it ends.",
                "Ask without a next secret.",
            )
        if pair.verdict(known.starts, self._clock.now()) is not Verdict.UNKNOWN:
            await self._turns.wait(token.id)
        step = self._deeds.begin(self._stepped(token.id, pair), "take a step")
        try:
            lease = await answered(self._deeds, step, PATIENCE_SECONDS)
            caller = Caller(lease, origin, answer_by=answer_by, next_taken=True)
        except (StoreUnavailable, StoreMisconfigured) as error:
            lease = self._remembered(known, pair, error)
            caller = Caller(lease, origin, False, answer_by, next_taken=False, step=step)
        return await self._leasing.alive(caller)

    def _remembered(
        self, known: Lease, pair: _Pair, error: StoreUnavailable | StoreMisconfigured
    ) -> Lease:
        """Return the lease as it is known here, if by that the pair is good; else raise `error`."""
        assert known.starts is not None
        verdict = pair.verdict(known.starts, self._clock.now())
        if verdict not in {Verdict.START, Verdict.STEP, Verdict.REPEAT}:
            raise error
        log.warning("no_step_taken", lease=known.id, why=error.sentence)
        return known

    async def _stepped(self, lease_id: str, pair: _Pair) -> Lease:
        """Take the step, unless it was taken before; return the lease as it is stored."""
        while True:
            stored = await self._records.get(lease_id)
            if not pair.is_waited_for():
                raise StoreUnavailable("OpenBao/Vault did not answer in time.")
            if stored is None or stored.value.starts is None:
                raise LeaseUnknown("This lease is not known here.")
            lease, starts = stored.value, stored.value.starts
            verdict = pair.verdict(starts, self._clock.now())
            if verdict is Verdict.UNKNOWN:
                raise LeaseUnknown("This lease is not known here.")
            self._leasing.check_alive(lease)
            if verdict is Verdict.SPENT:
                raise _too_many_starts(starts)
            if verdict is Verdict.LATE:
                raise NotAllowed(
                    "This request comes late: its job has asked again since, and got it."
                )
            after = (
                lease if verdict is Verdict.REPEAT else self._after(lease, starts, verdict, pair)
            )
            try:
                if after is not lease:
                    await self._put(after, stored.version)
            except StaleVersionError:
                continue  # another replica was first: look again
            self._leasing.learn(after)
            await self._tell(after, verdict, pair)
            return after

    def _after(self, lease: Lease, starts: Starts, verdict: Verdict, pair: _Pair) -> Lease:
        now = self._clock.now()
        if verdict is Verdict.REUSED:
            return leases.end(replace(lease, starts=replace(starts, alarm=pair.at(now))), now)
        return replace(
            lease, starts=starts.gone_on(pair.shown.digest(), pair.following, pair.at(now))
        )

    async def _put(self, lease: Lease, version: int) -> None:
        await put_surely(
            self._records,
            lease.id,
            lease,
            version,
            is_ours=lambda found: found.starts == lease.starts,
        )

    async def _tell(self, lease: Lease, verdict: Verdict, pair: _Pair) -> None:
        """Write down a start or an alarm; raise `LeaseEnded` after an alarm."""
        caller = Caller(lease, pair.origin)
        if verdict is Verdict.START and lease.starts is not None:
            await self._audit.record(
                "job_started",
                **about(caller),
                starts=len(lease.starts.made),
                most=lease.starts.most,
            )
        if verdict is Verdict.REUSED:
            log.error("secret_reused", lease=lease.id, job=lease.job, address=pair.origin.address)
            await self._audit.record("secret_reused", **about(caller))
            await self._containing.ended(lease.id)
            self._leasing.check_alive(lease)


def _too_many_starts(starts: Starts) -> NotAllowed:
    return NotAllowed(
        f"This job was started {starts.most} times already, and may not be once more.",
        "Make the job a new lease with: credbroker job new; --starts says how often it may start.",
    )
