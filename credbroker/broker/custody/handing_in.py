"""Hands spooled successors in to Vault: those of an earlier life of this process, or of a neighbour.

A spooled record goes over everything but a later one, as it would have from its own process. It is
wiped only when it, or a later one, is in Vault.
"""

from __future__ import annotations

from dataclasses import replace

import structlog

from credbroker.broker.custody.successors import Successors, outranks
from credbroker.broker.running import Means
from credbroker.broker.trail import about
from credbroker.domain.errors import CredbrokerError
from credbroker.domain.grants import Grant, GrantState
from credbroker.ports import RecordStore, Spool, StaleVersionError, Stored, Waypoint

log = structlog.get_logger(__name__)


class HandingIn:
    """Empties the spools of this host whose owners are gone."""

    def __init__(
        self, spool: Spool, grants: RecordStore[Grant], successors: Successors, means: Means
    ) -> None:
        """Read `spool` and store in `grants`, by way of `successors`."""
        self._spool = spool
        self._grants = grants
        self._successors = successors
        self._audit = means.audit
        self._entropy = means.entropy
        self._waypoints = means.waypoints
        self._alarmed: set[str] = set()

    async def hand_in(self) -> int:
        """Store what was left; return how many entries still wait. Raises `StoreUnavailable`."""
        left = await self._spool.left()
        waiting = 0
        for entry, grant in left.items():
            if await self._place(entry, grant):
                await self._spool.drop(entry)
            else:
                waiting += 1
        return waiting

    async def _place(self, entry: str, grant: Grant) -> bool:
        """Put one record in its place; False if it must stay in the spool for now."""
        await self._waypoints.reach(Waypoint.HANDING_IN)
        segment = grant.key.segment()
        while True:
            there = await self._grants.get(segment)
            if there is not None and outranks(there.value, grant):
                await self._let_go(there.value, grant)
                return True
            if there is not None and there.value.generation >= grant.generation:
                self._alarm(entry, grant)
                return False
            try:
                return await self._stored(segment, grant, there)
            except StaleVersionError:
                continue  # somebody else wrote: look again

    async def _stored(self, segment: str, grant: Grant, there: Stored[Grant] | None) -> bool:
        ours = replace(grant, write_id=self._entropy.token(16))
        if not await self._successors.write(segment, ours, there.version if there else 0):
            return False
        await self._audit.record("successor_handed_in", **about(grant))
        return True

    async def _let_go(self, there: Grant, grant: Grant) -> None:
        """Revoke a successor whose person has logged out meanwhile; a later one needs no word."""
        if there.line == grant.line and there.state is not GrantState.ENDED:
            return
        try:
            await self._successors.revoke_superseded(grant, there)
        except CredbrokerError as error:
            log.error("superseded_not_revoked", why=error.sentence)  # noqa: TRY400

    def _alarm(self, entry: str, grant: Grant) -> None:
        if entry not in self._alarmed:
            self._alarmed.add(entry)
            log.error("spooled_successor_outranked", grant=grant.key.segment())
