"""Knows what was revoked, so that a lease's own record need not be read again while it is in use.

- All marks are read every 2 s, give or take a quarter: while OpenBao/Vault answers, a revocation
  holds at every replica within 5 s.
- After 30 s without a reading nothing may be refreshed, exchanged or signed until there is one, for
  a caller or by the keeper; tokens that are held are still served.
- What was granted or proved before a mark on its person or issuer is used for nothing any more: such
  a grant rests until its person has logged in again, or the mark is lifted.
- The end of a single lease, or of a refresh token of ours, stands in its record. Its mark only tells
  others to look, so it is kept for minutes; who may have missed such marks reads every record again.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import structlog

from credbroker.broker.running import Deeds, Means
from credbroker.broker.storing import answered, put_surely
from credbroker.domain.errors import CredbrokerError, StoreUnavailable, TokenRefused
from credbroker.domain.leases import Lease
from credbroker.domain.names import GrantKey
from credbroker.domain.revocations import (
    CLOCKS_OFF_SECONDS,
    ENDED_BYTES,
    LONGEST_SECONDS,
    MOST_BYTES,
    SIGNED_SECONDS,
    Kind,
    Mark,
    Revocations,
    check_client,
    check_host,
    check_not_revoked,
    check_proof,
    check_signed,
    made_until,
    moment_of_proof,
)
from credbroker.domain.tokens import AccessToken
from credbroker.ports import RecordStore, StaleVersionError

READ_SECONDS = 2.0
CONFIRMED_SECONDS = 5.0
SILENT_SECONDS = 30.0
# What the clocks of two replicas may differ by lies between these.
MISSED_SECONDS = 60.0
ENDED_KEPT_SECONDS = MISSED_SECONDS + 4 * CLOCKS_OFF_SECONDS
PATIENCE_SECONDS = 30.0

log = structlog.get_logger(__name__)


class Memory(Protocol):
    """Who remembers leases or grants; see `broker.recall` and `broker.known_grants`."""

    def drop(self, segment: str) -> None:
        """Do not go by what is known of a record any more."""

    def doubt(self) -> None:
        """Go by nothing any more that was read until now."""


class Containing:
    """The revocations, as this process sees them.

    `rounds` counts the readings of `run` that are over, with success or without.
    """

    def __init__(self, records: RecordStore[Revocations], means: Means) -> None:
        """Keep the marks in `records`, one record for each kind."""
        self._records = records
        self._clock = means.clock
        self._entropy = means.entropy
        self._audit = means.audit
        self._check_clock = means.check_clock
        self._deeds = Deeds(means.clock)
        self._view: dict[Kind, Mapping[str, Mark]] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._owed: dict[str, Mark] = {}
        self._ending: dict[str, Mark] = {}
        self._end_all: asyncio.Task[None] | None = None
        self.memories: list[Memory] = []
        self.rounds = 0

    @property
    def is_fresh(self) -> bool:
        """True if the marks were read in the last 30 s."""
        return self._age() < SILENT_SECONDS

    @property
    def is_current(self) -> bool:
        """True if the marks were read in the last 5 s, as they are while the store answers."""
        return self._age() < CONFIRMED_SECONDS

    def judge(self, lease: Lease) -> None:
        """Raise `LeaseEnded` if a mark ends this lease, as far as is known here."""
        check_not_revoked(lease, self._view)

    def judge_proof(self, key: GrantKey, proved_at: datetime.datetime) -> None:
        """Raise `LeaseEnded` if a mark ends what was proved at that moment, as far as is known here."""
        check_proof(key, proved_at, self._view)

    def judge_host(self, name: str, address: str, proved_at: datetime.datetime) -> None:
        """Raise `LeaseEnded` if a mark ends what a host proved at that moment, as known here."""
        check_host(name, address, proved_at, self._view)

    def judge_client(self, community: str, client_id: str) -> None:
        """Raise `ClientNotAllowed` if a mark stops this client of ours, as far as is known here."""
        check_client(community, client_id, self._view)

    async def admit_client(self, community: str, client_id: str, seconds: float) -> None:
        """Return if this client of ours may ask, by marks that are not too old, within `seconds`.

        Raises `ClientNotAllowed`, and `StoreUnavailable` kinds if there are none to be had.
        """
        if not self.is_fresh:
            await self.confirm(max(0.0, seconds))
        self.judge_client(community, client_id)

    def judge_signed(
        self, community: str, names: Iterable[str], jti: str, signed_at: datetime.datetime
    ) -> None:
        """Raise `TokenRefused` if a mark ends what we signed; see `domain.revocations.check_signed`."""
        check_signed(community, names, jti, signed_at, self._view)

    def ends_signed(self, community: str, client_id: str, token: AccessToken) -> bool:
        """Return whether a mark ends a token about a person that was signed here, as known here."""
        try:
            self.judge_signed(community, (client_id, token.subject), token.jti, token.issued_at)
        except TokenRefused:
            return True
        return False

    def moment(self, key: GrantKey, now: datetime.datetime) -> datetime.datetime:
        """Return by which moment a login that ends now is judged: none that a known mark reaches."""
        return moment_of_proof(key, now, self._view)

    async def admit(self, key: GrantKey, proved_at: datetime.datetime) -> None:
        """Return if what was proved at that moment may be used, by marks that are not too old.

        Raises `LeaseEnded`, and `StoreUnavailable` kinds if there are none to be had.
        """
        if not self.is_fresh:
            await self.confirm(CONFIRMED_SECONDS)
        self.judge_proof(key, proved_at)

    async def confirm(self, seconds: float) -> None:
        """Return if the store has just told the marks, having waited up to `seconds` for it.

        Raises what the store raises, and `StoreUnavailable` if it says nothing in time.
        """
        if self.is_current:
            return
        await self.read(seconds)
        if not self.is_fresh:  # the reading under way had begun too long ago
            raise StoreUnavailable("OpenBao/Vault did not answer in time.")

    def _age(self) -> float:
        return self._clock.elapsed() - self._read_at

    # -- reading -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read for ever, the first time at once."""
        failing = False
        while True:
            try:
                await self.read()
                failing = False
            except CredbrokerError as error:
                if not failing:
                    log.warning("revocations_not_read", why=error.sentence)
                failing = True
            self.rounds += 1
            await self._clock.sleep(READ_SECONDS * (0.75 + 0.5 * self._entropy.fraction()))

    async def read(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Read all marks, or wait for the reading under way, up to `seconds`.

        Raises what the store raises, and `StoreUnavailable` if it says nothing in time.
        """
        if self._reading is None or self._reading.done():
            self._reading = self._deeds.begin(self._read(), "read revocations")
        await answered(self._deeds, self._reading, seconds)

    async def _read(self) -> None:
        async with self._one_at_a_time:
            try:
                await self._pay()
            except CredbrokerError as error:  # what cannot be written yet must not make us blind
                log.warning("ended_leases_not_told", leases=len(self._owed), why=error.sentence)
            asked_at = self._clock.elapsed()
            asked = (self._records.get(kind.value) for kind in Kind)
            found = await asyncio.gather(*asked, return_exceptions=True)
            view: dict[Kind, Mapping[str, Mark]] = {}
            for kind, one in zip(Kind, found, strict=True):
                if isinstance(one, BaseException):
                    raise one
                view[kind] = one.value.marks if one is not None else {}
            self._learn(view, asked_at)

    def _learn(self, view: dict[Kind, Mapping[str, Mark]], asked_at: float) -> None:
        known = self._view.get(Kind.LEASE, {})
        ended = [name for name, mark in view[Kind.LEASE].items() if known.get(name) != mark]
        missed_some = asked_at - self._read_at > MISSED_SECONDS
        for memory in self.memories:
            if missed_some:
                memory.doubt()
            for lease_id in ended:
                memory.drop(lease_id)
        self._view, self._read_at = view, asked_at

    # -- writing -------------------------------------------------------------------------------

    async def contained(self) -> Mapping[Kind, Mapping[str, Mark]]:
        """Return what is contained now, by the store's word, without what others ended.

        Those are single leases, and tokens that services revoked.

        Raises `StoreUnavailable` kinds.
        """
        await self.read()
        now = self._clock.now()
        return {
            kind: {
                name: mark
                for name, mark in Revocations(kind, marks).living(now).items()
                if (mark.kept_until - mark.before).total_seconds() > _kept_seconds(kind)
            }
            for kind, marks in self._view.items()
        }

    async def revoke(
        self,
        kind: Kind,
        name: str,
        before: datetime.datetime | None = None,
        *,
        reason: str | None = None,
        **by: object,
    ) -> datetime.datetime:
        """End all leases of `name` that were made before a moment; return it once that is stored.

        Without `before` it is now, and as far ahead as a replica's clock may be. `name` is as
        `domain.revocations.check_name` returns it; the trail has `reason` and `by`. The same again
        ends no less. Raises `Busy`, `ClockOff`, and `StoreUnavailable` kinds.
        """
        self._check_clock()  # what is stored is this host's time
        now = self._clock.now()
        before = before or made_until(now)
        mark = Mark.of(before, max(before, now) + datetime.timedelta(seconds=LONGEST_SECONDS))
        async with self._one_at_a_time:
            await self._add(kind, {name: mark})
        await self._audit.record(
            "contained", kind=kind.value, name=name, before=mark.before, reason=reason, **by
        )
        return mark.before

    async def lift(self, kind: Kind, name: str, *, reason: str | None = None) -> None:
        """Let what is left of the leases of `name` count again; one that was ended stays so.

        Raises `NotFound`, and `StoreUnavailable` kinds.
        """
        async with self._one_at_a_time:
            await self._change(kind, lambda there: there.lifted(name))
        await self._audit.record("containment_lifted", kind=kind.value, name=name, reason=reason)

    async def ended(self, lease_id: str) -> None:
        """Have every replica look at a lease again whose record says by now that it is over.

        Ends that come at once are written at once. Raises `Busy`, and `StoreUnavailable` kinds;
        what could not be written is, as soon as the store takes it. Raises `ClockOff` without that:
        by such a clock the marks of others look old, and its own may to them.
        """
        self._check_clock()
        now = self._clock.now()
        mark = Mark.of(now, now + datetime.timedelta(seconds=ENDED_KEPT_SECONDS))
        self._owed[lease_id] = mark
        async with self._one_at_a_time:
            if self._owed.get(lease_id) is mark:
                await self._pay()

    def owe_for(self, before: Containing) -> None:
        """Write also the ends that another could not write, who writes nothing any more."""
        self._owed = {**before._owed, **self._owed}

    async def end_signed(self, jti: str, until: datetime.datetime) -> None:
        """End one token that we signed, of which nothing is left at `until`; stored when this returns.

        Those that come at once are written at once. Raises as `ended` does; it is not tried again.
        """
        self._check_clock()
        mark = Mark.of(self._clock.now(), until)
        known = self._view.get(Kind.TOKEN, {}).get(jti)
        if known is not None and known.kept_until >= mark.kept_until:
            return
        self._ending[jti] = mark
        if self._end_all is None:
            self._end_all = self._deeds.begin(self._end_signed(), "end tokens")
        await asyncio.shield(self._end_all)

    async def _end_signed(self) -> None:
        async with self._one_at_a_time:
            ending, self._ending, self._end_all = self._ending, {}, None
            await self._add(Kind.TOKEN, ending, ENDED_BYTES)

    async def changing(self, segment: str) -> None:
        """Have every replica, this one too, look at a grant again: it is about to change, or has.

        Raises as `ended` does.
        """
        for memory in self.memories:
            memory.drop(segment)
        await self.ended(segment)

    async def _pay(self) -> None:
        """Write the ends of single leases that are not written yet, all in one."""
        if owed := dict(self._owed):
            self._check_clock()
            await self._add(Kind.LEASE, owed, ENDED_BYTES)
            for name in owed:
                self._owed.pop(name, None)

    async def _add(
        self, kind: Kind, marks: Mapping[str, Mark], most_bytes: int = MOST_BYTES
    ) -> None:
        now = self._clock.now()
        await self._change(kind, lambda there: there.added(marks, now, most_bytes))
        known = self._view.get(kind, {})
        joined = {name: mark.joined(known.get(name)) for name, mark in marks.items()}
        self._view[kind] = {**known, **joined}

    async def _change(self, kind: Kind, change: Callable[[Revocations], Revocations]) -> None:
        while True:
            stored = await self._records.get(kind.value)
            there = stored.value if stored is not None else Revocations(kind)
            after = change(there)
            version = stored.version if stored is not None else 0
            try:
                await put_surely(
                    self._records, kind.value, after, version,
                    is_ours=lambda found: found == after,  # noqa: B023 - used before the next
                )  # fmt: skip
            except StaleVersionError:
                continue  # somebody else wrote: change what is there now
            return


def _kept_seconds(kind: Kind) -> float:
    """Return for how long a mark is kept, at the most, that no operator made."""
    return SIGNED_SECONDS + 1 if kind is Kind.TOKEN else ENDED_KEPT_SECONDS
