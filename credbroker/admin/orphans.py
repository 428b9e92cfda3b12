"""Finds the logins that a change of the settings would leave behind.

A grant's refresh token is never posted under another client_id than its own, nor to another issuer.
So who changes a client_id or removes an issuer ends every login that was made there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from credbroker.broker.walking import walk
from credbroker.config.schema import Issuer
from credbroker.domain.errors import BadSettings
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.keeping import PROBE_CREDKEY
from credbroker.ports import RecordStore

REMEDY = "Or log these people in again: --accept-orphans."
_GONE = (GrantState.LOST, GrantState.ENDED)


@dataclass
class Orphans:
    """Logins that the settings leave behind, by issuer name and the client they were made through."""

    count: Counter[tuple[str, str]] = field(default_factory=Counter)
    looked_at: int = 0
    damaged: int = 0

    def __bool__(self) -> bool:
        return bool(self.count)

    def error(self, issuers: Mapping[str, Issuer]) -> BadSettings:
        """Return the refusal of these settings, which tells how many logins it is about."""
        sentences = [
            _sentence(name, client_id, count, issuers.get(name))
            for (name, client_id), count in sorted(self.count.items())
        ]
        return BadSettings(" ".join(sentences), REMEDY)


async def find_orphans(grants: RecordStore[Grant], issuers: Mapping[str, Issuer]) -> Orphans:
    """Look at every grant; raise `StoreUnavailable` kinds."""
    orphans = Orphans()
    async for found in walk(grants):
        orphans.looked_at += 1
        if found.stored is None:
            orphans.damaged += 1
        elif _is_orphan(found.stored.value, issuers):
            grant = found.stored.value
            orphans.count[grant.key.issuer, grant.client_id] += 1
    return orphans


def _is_orphan(grant: Grant, issuers: Mapping[str, Issuer]) -> bool:
    if grant.state in _GONE or grant.key.credkey == PROBE_CREDKEY:
        return False
    issuer = issuers.get(grant.key.issuer)
    return issuer is None or issuer.client_id != grant.client_id


def _sentence(name: str, client_id: str, count: int, issuer: Issuer | None) -> str:
    made = f"1 login at {name} was made" if count == 1 else f"{count} logins at {name} were made"
    none = "it cannot" if count == 1 else "none of them can"
    if issuer is None:
        return f"{made}, which the settings do not name: {none} be refreshed. Put the issuer back."
    return (
        f"{made} through client {client_id!r}; with {issuer.client_id!r} {none} be refreshed."
        " Put the old client_id back."
    )
