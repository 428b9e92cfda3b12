"""Says which grant a caller's path leads to.

A path names an issuer, a credkey and a role. What somebody typed there is only ever compared with
what the caller's lease reaches: its own grant, and for the lease of a login the same person's robots,
whose credkeys lie below the person's own. A robot's grant is reached only if the same person stored it.
"""

from __future__ import annotations

from dataclasses import replace

from credbroker.broker.known_grants import KnownGrants
from credbroker.broker.leasing import Caller
from credbroker.domain.errors import NotAllowed, NotFound
from credbroker.domain.names import GrantKey, check_credkey
from credbroker.ports import Clock

ASK_FOR_OWN = "Log in anew in this issuer and role, as the person that the path names."


class Reaching:
    """Narrows callers to the grant that they ask for."""

    def __init__(self, known: KnownGrants, clock: Clock) -> None:
        """Look up `known` grants."""
        self._known = known
        self._clock = clock

    def check(self, caller: Caller, key: GrantKey) -> None:
        """Raise `NotAllowed` unless the caller's lease leads to `key`, `Malformed` if nothing could."""
        if not caller.lease.may_reach(key):
            raise NotAllowed("This lease does not lead to what the path names.", ASK_FOR_OWN)
        check_credkey(key.credkey)

    async def narrowed(self, caller: Caller, issuer: str, credkey: str, role: str) -> Caller:
        """Return the caller with a lease on the grant of that name.

        Raises as `check` does, `NotAllowed` also if that grant is another person's; `NotFound` if
        there is none.
        """
        key, lease = GrantKey(issuer, credkey, role), caller.lease
        self.check(caller, key)
        if key == lease.key:
            return caller
        left = caller.seconds_left(self._clock.elapsed())
        grant, fresh = await self._known.at(key, left)
        if grant is None:
            raise NotFound("No login is stored here.", ASK_FOR_OWN)
        if grant.subject != lease.subject:
            raise NotAllowed("What the path names is another person's.", ASK_FOR_OWN)
        there = replace(lease, key=key, line=grant.line)
        return replace(caller, lease=there, fresh=caller.fresh and fresh)
