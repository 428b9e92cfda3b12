"""Recognises callers by their lease, and makes and ends leases.

Each lease is a record in the store, and leases make leases: all of one line together make them at a
steady pace in this process. Logins that need no person have a pace of their own, so that nobody's
job keeps them from getting a lease.
"""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass, replace

from credbroker.broker.containing import Containing
from credbroker.broker.recall import ANSWER_SECONDS, Recall
from credbroker.broker.running import Means
from credbroker.broker.storing import answered, put_surely
from credbroker.broker.trail import names, whence
from credbroker.broker.turns import Turns
from credbroker.domain import leases
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import LeaseEnded, LeaseUnknown, NotFound
from credbroker.domain.grants import Grant
from credbroker.domain.leases import Lease, LeaseToken
from credbroker.domain.limits import Allowance
from credbroker.domain.names import GrantKey
from credbroker.domain.secret import Secret
from credbroker.ports import RecordStore, StaleVersionError

# All jobs of one submission may want their leases at once.
PACE = Allowance(per_second=5.0, burst=500)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from: the peer's address, the request's id, and the host if it said so."""

    address: str
    request_id: str
    host: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a lease that is alive. `fresh` is False while the store cannot confirm that.

    An answer is due by `answer_by` (`Clock.elapsed`). `next_taken` is None unless the next secret of
    a job's lease was named, and then says whether it is the one to show from now on; if not, `step` is
    what may still make it so.
    """

    lease: Lease
    origin: Origin
    fresh: bool = True
    answer_by: float = float("inf")
    next_taken: bool | None = None
    step: asyncio.Task[Lease] | None = None

    def seconds_left(self, elapsed: float) -> float:
        """Return how long this caller may be kept waiting from `elapsed` on."""
        return min(ANSWER_SECONDS, self.answer_by - elapsed)


class Leasing:
    """All leases, as this process sees them."""

    def __init__(
        self,
        records: RecordStore[Lease],
        means: Means,
        *,
        longest_job_seconds: float,
        containing: Containing,
    ) -> None:
        """Keep leases in `records`; a job's lease lasts at most `longest_job_seconds`.

        As `containing` tells what was revoked, a lease that is known is not read again.
        """
        self._records = records
        self._containing = containing
        self._recall = Recall(records, means.clock, fresh_seconds=float("inf"))
        containing.memories.append(self._recall)
        self._audit = means.audit
        self._clock = means.clock
        self._deeds = means.deeds
        self._check_clock = means.check_clock
        self._entropy = means.entropy
        self._longest_job_seconds = longest_job_seconds
        self._turns = Turns(means.clock, PACE, "Leases of this login are made too often.")

    async def identify(
        self, token: LeaseToken, origin: Origin, *, seconds: float = ANSWER_SECONDS
    ) -> Caller:
        """Return the caller that shows this lease token, who is to be answered in so many seconds.

        Raises `LeaseUnknown` or `LeaseEnded`, also if a lease it was made from has ended;
        `StoreUnavailable` if it is not known here and the store says nothing in time; and
        `ClockOff` if it ran out by a clock that is known to be wrong.
        """
        answer_by = self._clock.elapsed() + seconds
        recalled = await self._recall.get(token.id, seconds)
        lease = leases.check_secret(recalled.value, token)
        return await self.alive(Caller(lease, origin, recalled.fresh, answer_by))

    async def alive(self, caller: Caller) -> Caller:
        """Return the caller, whose secret was checked, if all leases it stands on are alive.

        Raises as `identify` does.
        """
        self.check_alive(caller.lease)
        fresh = caller.fresh and self._containing.is_fresh
        for ancestor in caller.lease.ancestors:
            left = caller.answer_by - self._clock.elapsed()
            above = await self._recall.get(ancestor, left)
            self._check_known_and_alive(above.value)
            fresh = fresh and above.fresh
        return replace(caller, fresh=fresh)

    async def recalled(self, lease_id: str) -> Lease | None:
        """Return a lease as it is remembered; one that is not is read. Raises what the store raises."""
        return (await self._recall.get(lease_id)).value

    def learn(self, lease: Lease) -> None:
        """Remember a lease as it was just written, or read."""
        self._recall.learn(lease.id, lease)

    async def confirm(self, caller: Caller) -> None:
        """Return if the caller's lease is alive by the store's word, waiting for it, and for its step.

        Raises as `identify` does.
        """
        if caller.step is not None:
            left = caller.seconds_left(self._clock.elapsed())
            await answered(self._deeds, caller.step, left)
        await self._containing.confirm(caller.seconds_left(self._clock.elapsed()))
        for lease_id in (*caller.lease.ancestors, caller.lease.id):
            left = caller.seconds_left(self._clock.elapsed())
            self._check_known_and_alive(await self._recall.confirmed(lease_id, left))

    def _check_known_and_alive(self, lease: Lease | None) -> None:
        if lease is None:
            raise LeaseUnknown("This lease, or one that it was made from, is gone.")
        self.check_alive(lease)

    def check_alive(self, lease: Lease) -> None:
        """Raise `LeaseEnded` if this lease is over, and `ClockOff` where nobody can tell."""
        now = self._clock.now()
        if lease.ended_at is None and now >= lease.ends_at:
            self._check_clock()  # nobody takes back what a client does who is told so
        leases.check_alive(lease, now)
        self._containing.judge(lease)

    def new_token(self, line: str = "") -> LeaseToken:
        """Return a token that nobody has seen; with a `line`, one whose lease is found by that."""
        chance = self._entropy.token(leases.CHANCE_BYTES if line else 16)
        lease_id = leases.id_on(line, chance) if line else chance
        return LeaseToken(lease_id, Secret("lease", self._entropy.token(32)))

    def check_proof(self, grant: Grant) -> None:
        """Raise `LeaseEnded` if a revocation since the login that gave the grant is known here."""
        self._containing.judge_proof(grant.key, grant.created_at)

    async def admit(self, key: GrantKey, proved_at: datetime.datetime) -> None:
        """Return if what was proved at that moment may open a lease on `key`; see `Containing.admit`.

        Raises `LeaseEnded`, and `StoreUnavailable` kinds if no revocations are to be had.
        """
        await self._containing.admit(key, proved_at)

    async def begin(self, lease: Lease) -> None:
        """Store a new lease; doing it again with the same lease changes nothing.

        Raises `ClockOff` where its time would be a wrong one, by which no revocation could judge it.
        """
        self._check_clock()
        made_at = self._containing.moment(lease.key, lease.created_at)
        lease = replace(lease, created_at=made_at)
        try:
            await put_surely(
                self._records,
                lease.id,
                lease,
                0,
                is_ours=lambda found: found.secret_hash == lease.secret_hash,
            )
        except StaleVersionError:
            raise LeaseUnknown("Another lease has this id.") from None
        self._recall.learn(lease.id, lease)

    async def known(self, lease_id: str) -> Lease | None:
        """Return a lease by its id, straight from the store."""
        stored = await self._records.get(lease_id)
        return stored.value if stored is not None else None

    async def is_alive(self, lease_id: str) -> bool:
        """Return whether a lease is alive, and what it was made from, as far as is known here.

        Raises what the store raises for one that is not known.
        """
        try:
            lease = (await self._recall.get(lease_id)).value
            self._check_known_and_alive(lease)
            for ancestor in lease.ancestors if lease is not None else ():
                self._check_known_and_alive((await self._recall.get(ancestor)).value)
        except (LeaseEnded, LeaseUnknown):
            return False
        return True

    async def ids_on(self, line: str, most: int) -> list[str]:
        """Return the ids, up to `most`, of leases on a line, in the order of ids.

        A login that was polled by its lease's own token is not among them: see `Grant.login_id`.
        """
        tag = leases.tag_of(line)
        page = await self._records.segments(tag, most)
        return [lease_id for lease_id in page if lease_id.startswith(tag)][:most]

    async def open(
        self, key: GrantKey, line: str, subject: str, seconds: float, origin: Origin
    ) -> tuple[LeaseToken, Lease]:
        """Store the lease of a login by which no grant came, for a grant that is there.

        It lasts `seconds`. With a `subject` it also reaches the robots of who that is at the issuer.
        Raises `TooManyRequests` if there were too many, and as `begin` does.
        """
        await self._turns.wait(f"logins on {line}")
        token, now = self.new_token(line), self._clock.now()
        lease = leases.login_lease(
            token, key, line, seconds=seconds, now=now, subject=subject, origin=origin.address
        )
        await self.begin(lease)
        return token, lease

    async def shorten(
        self, caller: Caller, seconds: float | None = None
    ) -> tuple[LeaseToken, Lease]:
        """Make a lease that reaches what the caller's does, for `seconds`, or for as long.

        Raises `NotAllowed` where the row of leases is too long; else as `open` does.
        """
        token = self.new_token(caller.lease.line)
        wanted = float("inf") if seconds is None else seconds
        child = leases.shorter(caller.lease, token, wanted, self._clock.now())
        return token, await self._made(caller, child)

    async def make_child(
        self, caller: Caller, right: Right, *, job: str, seconds: float, starts: int | None = None
    ) -> tuple[LeaseToken, Lease]:
        """Make a job's own lease for `right`, which must be within the caller's.

        With `starts` the job may start so often. Raises `OutsideCeiling` if the right is wider; else
        as `shorten` does.
        """
        token = self.new_token(caller.lease.line)
        child = leases.child(
            caller.lease,
            token,
            right,
            job=job,
            seconds=min(seconds, self._longest_job_seconds),
            now=self._clock.now(),
            starts=starts,
        )
        return token, await self._made(
            caller, child, for_job=job, scope=right.scopes, audience=list(right.audiences)
        )

    async def make_standing(self, caller: Caller, right: Right, *, job: str) -> Lease:
        """Make the lease that a standing order lives by, for as long as the caller's lasts.

        Nobody gets its token; others are made from it. Raises as `make_child` does.
        """
        token, now = self.new_token(caller.lease.line), self._clock.now()
        child = leases.child(caller.lease, token, right, job=job, seconds=float("inf"), now=now)
        return await self._made(
            caller, child, for_job=job, scope=right.scopes, audience=list(right.audiences)
        )

    async def _made(self, caller: Caller, child: Lease, **more: object) -> Lease:
        """Store a lease made from the caller's, when it is its turn; the trail has `more` of it."""
        await self._turns.wait(child.line)
        child = replace(child, origin=caller.origin.address, host=caller.origin.host)
        await self.begin(child)
        await self._audit.record(
            "lease_made", **about(caller), child=child.id, **more, ends_at=child.ends_at
        )
        return child

    async def end(self, caller: Caller, **by: object) -> None:
        """End the caller's lease, and with it every lease made from it; the trail has `by`, too.

        Raises `ClockOff` where others might not hear of it, and what the store raises.
        """
        self._check_clock()
        while True:
            stored = await self._records.get(caller.lease.id)
            if stored is None:
                raise NotFound("There is no such lease any more.")
            ended = leases.end(stored.value, self._clock.now())
            try:
                if ended is not stored.value:
                    await put_surely(
                        self._records,
                        ended.id,
                        ended,
                        stored.version,
                        is_ours=lambda found: found.ended_at is not None,
                    )
                break
            except StaleVersionError:
                continue  # somebody else wrote: look again
        self._recall.learn(ended.id, ended)
        await self._containing.ended(ended.id)
        await self._audit.record("lease_ended", **about(caller), **by)


def about(caller: Caller) -> dict[str, object]:
    """Return what every audit line says of its caller."""
    lease = caller.lease
    return {
        **whence(caller.origin),
        "lease": lease.id,
        "job": lease.job,
        **names(lease.key),
    }
