"""Logs people in by Kerberos ticket: a lease on a grant that a login through the browser made before.

- A ticket makes no grant and changes none: it only opens what its person once granted. After a
  revocation of all that the person had, it opens nothing before the next login at the issuer.
- Whose grant that is, is decided by the first entry of the settings that serves the issuer.
- Every login and every refusal is in the audit trail before it is answered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from credbroker.broker.leasing import Leasing, Origin
from credbroker.broker.running import Means
from credbroker.broker.trail import names
from credbroker.domain.errors import GrantLost, LoginNeeded, NotFound, Refused
from credbroker.domain.grants import Grant
from credbroker.domain.leases import Lease, LeaseToken
from credbroker.domain.names import GrantKey
from credbroker.domain.principals import Principal, PrincipalRules
from credbroker.ports import KerberosAcceptor, RecordStore


@dataclass(frozen=True, slots=True)
class KerberosEntry:
    """One entry of the settings: who checks tickets, by which rules, for which issuers (none: all)."""

    acceptor: KerberosAcceptor
    rules: PrincipalRules
    issuers: frozenset[str] = frozenset()

    def serves(self, issuer: str) -> bool:
        """True if the entry is for this issuer."""
        return not self.issuers or issuer in self.issuers


@dataclass(frozen=True, slots=True)
class TicketLogin:
    """What a ticket opened: the principal it proved, and a lease with its token."""

    principal: Principal
    token: LeaseToken
    lease: Lease


class KerberosLogins:
    """All logins by ticket of this process."""

    def __init__(
        self,
        entries: Sequence[KerberosEntry],
        roles: Mapping[str, Collection[str]],
        grants: RecordStore[Grant],
        leasing: Leasing,
        means: Means,
        *,
        login_seconds: float,
    ) -> None:
        """Serve `roles` by issuer; a lease on one of the `grants` lasts `login_seconds`."""
        self._entries = entries
        self._roles = roles
        self._grants = grants
        self._leasing = leasing
        self._audit = means.audit
        self._login_seconds = login_seconds

    async def log_in(self, place: str, token: bytes, origin: Origin) -> TicketLogin:
        """Return a new lease for whom `token` proves, at `place`, which is `<issuer>_<role>`.

        Raises `LoginNeeded` where the principal has no living grant, `LeaseEnded` where that was
        revoked with all that its person had, `Refused` or `LoginDenied` where it may not log in,
        and what `ports.KerberosAcceptor` and the store raise.
        """
        try:
            return await self._log_in(place, token, origin)
        except (Refused, GrantLost) as error:
            await self._audit.record(
                "refused",
                request_id=origin.request_id,
                address=origin.address,
                path=f"auth/kerberos-{place}/login",
                error=error.code,
                why=error.sentence,
            )
            raise

    async def _log_in(self, place: str, token: bytes, origin: Origin) -> TicketLogin:
        issuer, role = self._named(place)
        entry = self._entry(issuer)
        principal = Principal.parse(await entry.acceptor.accept(token))
        key = GrantKey(issuer, entry.rules.credkey(principal), role)
        grant = await self._living(key)
        await self._leasing.admit(key, grant.created_at)
        # Without a subject, which would let it reach the robots of this person as well.
        shown, lease = await self._leasing.open(key, grant.line, "", self._login_seconds, origin)
        await self._audit.record(
            "kerberos_login",
            request_id=origin.request_id,
            address=origin.address,
            lease=lease.id,
            **names(key),
            sub=grant.subject,
            principal=f"{principal.name}@{principal.realm}",
        )
        return TicketLogin(principal, shown, lease)

    def _named(self, place: str) -> tuple[str, str]:
        """Split where both halves are names served here: either may hold the character itself."""
        for issuer, role in _splits(place):
            if role in self._roles.get(issuer, ()):
                return issuer, role
        raise NotFound("No issuer and role of these names are served here.")

    def _entry(self, issuer: str) -> KerberosEntry:
        for entry in self._entries:
            if entry.serves(issuer):
                return entry
        raise NotFound(f"The issuer {issuer!r} has no logins by Kerberos here.")

    async def _living(self, key: GrantKey) -> Grant:
        stored = await self._grants.get(key.segment())
        if stored is None or stored.value.is_over:
            raise LoginNeeded(
                f"There is no login of {key.credkey} in the role {key.role!r} of {key.issuer!r}.",
                "Log in through the browser once; tickets do for as long as that login lives.",
            )
        return stored.value


def _splits(place: str) -> Iterator[tuple[str, str]]:
    """Return what stands before and after each underscore, the last one first."""
    at = place.rfind("_")
    while at >= 0:
        yield place[:at], place[at + 1 :]
        at = place.rfind("_", 0, at)
