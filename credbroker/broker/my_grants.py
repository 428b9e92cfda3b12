"""What the broker holds in a person's name, and their own word to end it: grants, leases, ssh keys.

- A grant is a person's only if the issuer's `sub` in it is theirs: a credkey that came to name somebody
  else shows nothing. What is not theirs is not there for them, and the try is in the audit trail.
- All visitors of a process together have a few leases read at a time.
- The lease of a person's login reaches their robots as well, also where their own grant is over or
  never was: it is shown beneath each of them.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from credbroker.broker.ending import Ended, Ending
from credbroker.broker.leases_on import LeasesOn, logins_of
from credbroker.broker.leasing import Caller, Leasing, Origin
from credbroker.broker.logins.remembering import Remembering
from credbroker.broker.logins.ssh_registering import SshRegistering
from credbroker.broker.running import Means
from credbroker.broker.trail import names
from credbroker.domain.confirming import new_line
from credbroker.domain.errors import CredbrokerError, NotFound, RecordDamaged
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.leases import Lease, check_alive
from credbroker.domain.names import GrantKey
from credbroker.domain.revocations import Kind, check_name
from credbroker.domain.ssh_keys import SshKey
from credbroker.ports import RecordStore, Stored
from credbroker.wire.visits import Visitor

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HeldGrant:
    """One grant, since when it is in its state, and the leases that live on it, newest first.

    With `more` there are further leases than were looked at.
    """

    grant: Grant
    since: datetime.datetime
    leases: Sequence[Lease] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class Belongings:
    """All that is held in one person's name at one issuer."""

    grants: Sequence[HeldGrant]
    ssh_keys: Sequence[SshKey]


class MyGrants:
    """What visitors of this process see and do."""

    def __init__(
        self,
        grants: RecordStore[Grant],
        means: Means,
        *,
        roles: Mapping[str, Collection[str]],
        leasing: Leasing,
        ending: Ending,
        ssh_registering: SshRegistering,
        remembering: Remembering,
        judge: Callable[[Lease], None],
    ) -> None:
        """Show what is in `grants`, in the `roles` that are served by issuer, and what else there is.

        `judge` raises `LeaseEnded` for a lease that was revoked.
        """
        self._grants = grants
        self._roles = roles
        self._leasing = leasing
        self._ending = ending
        self._ssh_registering = ssh_registering
        self._remembering = remembering
        self._judge = judge
        self._leases_on = LeasesOn(leasing, self._check_alive)
        self._audit = means.audit
        self._clock = means.clock

    async def belongings(self, visitor: Visitor) -> Belongings:
        """Return all that is the visitor's. Raises `StoreUnavailable` kinds."""
        issuer, credkey = visitor.issuer, visitor.credkey
        own = [GrantKey(issuer, credkey, role) for role in self._roles.get(issuer, ())]
        keys = [*own, *await self._remembering.robots_of(issuer, credkey)]
        held = [
            await self._with_leases(one) for key in keys if (one := await self._own(visitor, key))
        ]
        shown = await self._with_reaching(visitor, held)
        return Belongings(shown, await self._own_keys(visitor))

    async def grant(self, visitor: Visitor, key: GrantKey, origin: Origin) -> HeldGrant:
        """Return one grant with its leases. Raises `NotFound` if it is not the visitor's."""
        held = await self._own(visitor, key)
        if held is None:
            raise await self._refused(visitor, origin, "grant")
        return await self._with_leases(held)

    async def log_out(self, visitor: Visitor, key: GrantKey, origin: Origin) -> Ended:
        """Revoke a grant at the issuer and remove it; every lease on it ends.

        Raises `NotFound` if it is not the visitor's, and as `Ending.log_out` does.
        """
        held = await self._own(visitor, key)
        if held is None or held.grant.state is GrantState.ENDED:
            raise await self._refused(visitor, origin, "grant")
        return await self._ending.log_out_by(held.grant, {**_by(visitor, origin), **names(key)})

    async def end_lease(self, visitor: Visitor, lease_id: str, origin: Origin) -> None:
        """End a lease, and those made from it. Raises `NotFound` if it is not the visitor's."""
        lease = await self._leasing.known(check_name(Kind.LEASE, lease_id))
        if lease is None or not await self._reaches(visitor, lease):
            raise await self._refused(visitor, origin, "lease")
        await self._leasing.end(Caller(lease, origin), visit=visitor.visit)

    async def remove_ssh_key(self, visitor: Visitor, fingerprint: str, origin: Origin) -> None:
        """Take a registered ssh key away. Raises `NotFound` if it is not the visitor's."""
        if fingerprint not in {one.fingerprint() for one in await self._own_keys(visitor)}:
            raise await self._refused(visitor, origin, "ssh key")
        by = {**_by(visitor, origin), "issuer": visitor.issuer, "credkey": visitor.credkey}
        await self._ssh_registering.take_away(visitor.issuer, visitor.credkey, fingerprint, by)

    async def _own(self, visitor: Visitor, key: GrantKey) -> HeldGrant | None:
        """Return the grant in this place if it is the visitor's."""
        stored = await self._in_place(visitor, key)
        if stored is None or not _has(visitor, stored.value):
            return None
        age = datetime.timedelta(seconds=stored.age_seconds)
        return HeldGrant(stored.value, self._clock.now() - age)

    async def _in_place(self, visitor: Visitor, key: GrantKey) -> Stored[Grant] | None:
        if key.issuer != visitor.issuer:
            return None
        try:
            return await self._grants.get(key.segment())
        except RecordDamaged:
            log.warning("grant_not_shown", segment=key.segment())
            return None

    async def _reaches(self, visitor: Visitor, lease: Lease) -> bool:
        """True if this is one of the leases for its place that are the visitor's."""
        stored = await self._in_place(visitor, lease.key)
        return lease.line in _lines(visitor, lease.key, stored)

    async def _with_reaching(
        self, visitor: Visitor, held: Sequence[HeldGrant]
    ) -> Sequence[HeldGrant]:
        """Return the grants, each robot's with the leases of its person's logins that reach it."""
        robots = [one for one in held if one.grant.key.credkey != visitor.credkey]
        roles = {one.grant.key.role for one in robots if one.grant.state is not GrantState.ENDED}
        found = [one for role in sorted(roles) for one in await self._logins(visitor, role)]
        return [_reached(one, found) if one in robots else one for one in held]

    async def _logins(self, visitor: Visitor, role: str) -> list[Lease]:
        """Return the living leases of the visitor's own logins in a role."""
        key = GrantKey(visitor.issuer, visitor.credkey, role)
        stored = await self._in_place(visitor, key)
        logins = logins_of(stored.value) if stored and _has(visitor, stored.value) else ()
        found = await self._leases_on.place(key, _lines(visitor, key, stored), logins)
        return [one for one in found.leases if one.subject == visitor.subject]

    async def _own_keys(self, visitor: Visitor) -> Sequence[SshKey]:
        found = await self._ssh_registering.registered(visitor.issuer, visitor.credkey)
        if found is None or not _is_of(visitor, found.issuer_url, found.subject):
            return ()
        return found.keys

    async def _with_leases(self, held: HeldGrant) -> HeldGrant:
        if held.grant.state is GrantState.ENDED:
            return held
        found = await self._leases_on.grant(held.grant)
        newest_first = sorted(found.leases, key=_newest_last)[::-1]
        return replace(held, leases=newest_first, more=found.more)

    def _check_alive(self, lease: Lease) -> None:
        check_alive(lease, self._clock.now())
        self._judge(lease)

    async def _refused(self, visitor: Visitor, origin: Origin, what: str) -> CredbrokerError:
        error = NotFound(f"There is no such {what} of yours.", "It may have ended meanwhile.")
        await self._audit.record(
            "refused",
            **_by(visitor, origin),
            issuer=visitor.issuer,
            credkey=visitor.credkey,
            error=error.code,
            why=error.sentence,
        )
        return error


def _is_of(visitor: Visitor, issuer_url: str, subject: str) -> bool:
    return (issuer_url, subject) == (visitor.issuer_url, visitor.subject)


def _has(visitor: Visitor, grant: Grant) -> bool:
    return _is_of(visitor, grant.issuer_url, grant.subject)


def _lines(visitor: Visitor, key: GrantKey, stored: Stored[Grant] | None) -> set[str]:
    """Return the lines on which leases for this place are the visitor's; `stored` is what is there.

    Where no grant of theirs lives there is the one that a login for a robot alone is on, too.
    """
    found = stored.value if stored is not None else None
    lines = set()
    if found is not None and _has(visitor, found):
        lines.add(found.line)
    own = (key.issuer, key.credkey) == (visitor.issuer, visitor.credkey)
    if own and (found is None or found.state is GrantState.ENDED):
        lines.add(new_line(key, found, visitor.issuer_url, visitor.subject))
    return lines


def _reached(robot: HeldGrant, logins: Iterable[Lease]) -> HeldGrant:
    if robot.grant.state is GrantState.ENDED:
        return robot
    reaching = [one for one in logins if one.may_reach(robot.grant.key)]
    newest_first = sorted([*robot.leases, *reaching], key=_newest_last)[::-1]
    return replace(robot, leases=newest_first)


def _newest_last(lease: Lease) -> tuple[datetime.datetime, int]:
    """Return what sorts a lease behind the one that it was made from, in the same second, too."""
    return lease.created_at, len(lease.ancestors)


def _by(visitor: Visitor, origin: Origin) -> dict[str, object]:
    return {
        "request_id": origin.request_id,
        "address": origin.address,
        "visit": visitor.visit,
    }
