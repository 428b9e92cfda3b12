"""Lets operators contain an incident over the network, with a login of their own and nothing else.

- Operators are named in the settings, by issuer and `sub`; where none is named, nobody is one.
- Only a login made at the issuer within the last hour counts, and no lease made from it: what lies
  about on login nodes for weeks ends nobody's work.
- An operator here ends leases and reads no token. Taking it back needs access to OpenBao/Vault.
- Each containment stands in the trail, with its reason, before it is answered.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from credbroker.broker.containing import Containing
from credbroker.broker.hits import Hits, count_hits
from credbroker.broker.leasing import Caller, Leasing, about
from credbroker.broker.running import Means
from credbroker.domain.errors import Malformed, NotAllowed, NotFound
from credbroker.domain.leases import Lease
from credbroker.domain.revocations import Kind, Mark, check_name, made_until
from credbroker.ports import RecordStore

FRESH_SECONDS = 3600.0
HOLDS_SECONDS = 5.0
COUNT_SECONDS = 4.0
LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operator wants contained, and why; by default all that was made until now."""

    kind: Kind
    name: str
    reason: str
    before: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class Containment:
    """What came of it: what was made `before` is over at every replica by `holds_by`."""

    name: str
    before: datetime.datetime
    holds_by: datetime.datetime
    hits: Hits


class Responding:
    """What operators do over the network."""

    def __init__(
        self,
        containing: Containing,
        leasing: Leasing,
        leases: RecordStore[Lease],
        means: Means,
        *,
        operators: Collection[tuple[str, str]],
        issuers: Collection[str],
    ) -> None:
        """Contain for `operators`, by issuer and `sub`, at any of the `issuers`, by name."""
        self._containing = containing
        self._leasing = leasing
        self._leases = leases
        self._clock = means.clock
        self._operators = frozenset(operators)
        self._issuers = frozenset(issuers)
        self._counting = asyncio.Lock()

    async def contain(self, caller: Caller, wanted: Wanted) -> Containment:
        """End what is wanted, and count it; stored when this returns.

        Raises `NotAllowed` for whoever is no operator, `Malformed`, `NotFound` for an issuer that is
        not served, and as `Containing.revoke` does.
        """
        name = await self._checked(caller, wanted)
        over = await self._containing.revoke(
            wanted.kind, name, wanted.before, **about(caller), reason=wanted.reason
        )
        holds_by = self._clock.now() + datetime.timedelta(seconds=HOLDS_SECONDS)
        return Containment(name, over, holds_by, await self._hits(wanted.kind, name, over))

    async def rehearse(self, caller: Caller, wanted: Wanted) -> Containment:
        """Return what `contain` would do, and do none of it; raises as that does."""
        name, now = await self._checked(caller, wanted), self._clock.now()
        over = wanted.before or made_until(now)
        holds_by = now + datetime.timedelta(seconds=HOLDS_SECONDS)
        return Containment(name, over, holds_by, await self._hits(wanted.kind, name, over))

    async def contained(self, caller: Caller) -> Mapping[Kind, Mapping[str, Mark]]:
        """Return what is contained now; raises `NotAllowed`, and `StoreUnavailable` kinds."""
        await self._check_operator(caller)
        return await self._containing.contained()

    async def _checked(self, caller: Caller, wanted: Wanted) -> str:
        await self._check_operator(caller)
        if not 0 < len(wanted.reason) <= LONGEST_REASON or not wanted.reason.isprintable():
            raise Malformed(f"The reason must be 1 to {LONGEST_REASON} printable characters.")
        name = check_name(wanted.kind, wanted.name)
        issuer = name.partition("/")[0]
        if wanted.kind in {Kind.PERSON, Kind.ISSUER} and issuer not in self._issuers:
            raise NotFound(f"No issuer named {issuer!r} is served here.")
        return name

    async def _check_operator(self, caller: Caller) -> None:
        """Raise `NotAllowed` unless this is an operator who has just logged in at the issuer."""
        lease = caller.lease
        if (lease.key.issuer, lease.subject) not in self._operators or not lease.is_login:
            raise NotAllowed(
                "Only operators may contain.",
                "An operator is named in the settings, under operators, and shows the lease of a"
                " login at the issuer.",
            )
        age_seconds = (self._clock.now() - lease.created_at).total_seconds()
        if lease.ancestors or age_seconds > FRESH_SECONDS:
            raise NotAllowed(
                "An operator's login must be less than an hour old to contain.",
                "Log in again with: credbroker login",
            )
        await self._leasing.confirm(caller)

    async def _hits(self, kind: Kind, name: str, over: datetime.datetime) -> Hits:
        if self._counting.locked():
            return Hits(complete=False)  # several counting at once would only wear the store out
        async with self._counting:
            return await count_hits(
                self._leases, kind, name, over, self._clock, seconds=COUNT_SECONDS
            )
