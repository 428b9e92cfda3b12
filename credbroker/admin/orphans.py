"""Finds the logins that a change of the settings would leave behind.

A grant's refresh token is never posted under another client_id than its own, nor to another issuer,
and a login is for one role. So who changes a client_id or a url, or removes an issuer or a role, ends
every login that was made there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from credbroker.broker.walking import walk
from credbroker.config.schema import Issuer
from credbroker.domain.errors import BadSettings
from credbroker.domain.grants import Grant
from credbroker.domain.keeping import PROBE_CREDKEY
from credbroker.ports import RecordStore

REMEDY = "Or log these people in again: --accept-orphans."


class Change(NamedTuple):
    """A key of an issuer's settings that was another, or there, when a login was made."""

    issuer: str
    key: str
    was: str


@dataclass
class Orphans:
    """Logins that the settings leave behind, counted by what it is that leaves them."""

    count: Counter[Change] = field(default_factory=Counter)
    looked_at: int = 0
    damaged: int = 0

    def __bool__(self) -> bool:
        return bool(self.count)

    def error(self, issuers: Mapping[str, Issuer]) -> BadSettings:
        """Return the refusal of these settings, which tells how many logins it is about."""
        sentences = [
            _sentence(change, count, issuers.get(change.issuer))
            for change, count in sorted(self.count.items())
        ]
        return BadSettings(" ".join(sentences), REMEDY)


async def find_orphans(grants: RecordStore[Grant], issuers: Mapping[str, Issuer]) -> Orphans:
    """Look at every grant; raise `StoreUnavailable` kinds."""
    orphans = Orphans()
    async for found in walk(grants):
        orphans.looked_at += 1
        if found.stored is None:
            orphans.damaged += 1
        elif (change := _change(found.stored.value, issuers)) is not None:
            orphans.count[change] += 1
    return orphans


def _change(grant: Grant, issuers: Mapping[str, Issuer]) -> Change | None:
    if grant.is_over or grant.key.credkey == PROBE_CREDKEY:
        return None
    name = grant.key.issuer
    issuer = issuers.get(name)
    if issuer is None:
        return Change(name, "issuer", name)
    if issuer.url != grant.issuer_url:
        return Change(name, "url", grant.issuer_url)
    if issuer.client_id != grant.client_id:
        return Change(name, "client_id", grant.client_id)
    return None if grant.key.role in issuer.roles else Change(name, "role", grant.key.role)


def _sentence(change: Change, count: int, issuer: Issuer | None) -> str:
    name, key, was = change
    made = f"1 login at {name} was made" if count == 1 else f"{count} logins at {name} were made"
    none = "it cannot" if count == 1 else "none of them can"
    if issuer is None:
        return f"{made}, which the settings do not name: {none} be refreshed. Put the issuer back."
    if key == "role":
        return (
            f"{made} in the role {was!r}, which the settings do not name: {none} be used."
            " Put the role back."
        )
    if key == "url":
        return (
            f"{made} at {was!r}; at {issuer.url!r} {none} be refreshed. Put the old url back, and"
            " give a new issuer a name of its own."
        )
    return (
        f"{made} through client {was!r}; with {issuer.client_id!r} {none} be refreshed."
        " Put the old client_id back."
    )
