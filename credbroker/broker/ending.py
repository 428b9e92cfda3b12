"""Ends grants: revoked at the issuer, then only a tombstone is left.

A person logs out; or the keeper lets go of what nobody has used for long. A grant that the issuer
called dead is not revoked there when its time is over. No issuer is shown a refresh token of another,
also if it has come to bear the other's name.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from credbroker.broker.custody.refreshing import Refreshing
from credbroker.broker.leasing import Caller, Leasing, about
from credbroker.broker.minting import Minting
from credbroker.broker.running import Means
from credbroker.broker.storing import put_surely
from credbroker.broker.trail import about as about_grant
from credbroker.domain import rotation
from credbroker.domain.errors import NoRevocation
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.keeping import DAY_SECONDS, unused_seconds
from credbroker.domain.leases import check_login
from credbroker.domain.names import GrantKey
from credbroker.ports import Issuer, RecordStore, StaleVersionError, Stored

ANSWER_SECONDS = 30.0

LET_GO = "let_go"
"""The `reason` of the tombstone of a grant that nobody ended but the keeper."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a logout could do, and what it could not: tokens already given out live on."""

    revoked: bool
    """False if the issuer offers no revocation, or is not the one any more that gave the grant."""
    tokens_until: datetime.datetime | None
    """When the last access token given out expires, as far as is known."""


class Ending:
    """Ends grants."""

    def __init__(
        self,
        grants: RecordStore[Grant],
        refreshing: Refreshing,
        minting: Minting,
        leasing: Leasing,
        means: Means,
        *,
        issuers: Mapping[str, Issuer],
        noted: Callable[[Grant], None],
    ) -> None:
        """End `grants` of `issuers`, by name; the other deeds are told, so that none goes on."""
        self._grants = grants
        self._issuers = issuers
        self._refreshing = refreshing
        self._minting = minting
        self._noted = noted
        self._leasing = leasing
        self._deeds = means.deeds
        self._audit = means.audit
        self._entropy = means.entropy

    async def log_out(self, caller: Caller, *, keep_lease: bool = False) -> Ended:
        """Revoke the caller's grant at the issuer and remove it; every lease on it ends.

        With `keep_lease` the caller's own goes on: it opens this grant no more, but maybe others.

        Raises `IssuerUnreachable` if the issuer cannot be told; then nothing has changed. An
        issuer that offers no revocation is no obstacle: the refresh token is forgotten here.
        """
        check_login(caller.lease)
        await self._minting.grant_of(caller)
        task = self._deeds.begin(self._log_out(caller, keep_lease=keep_lease), "logout")
        return await self._deeds.result(task, ANSWER_SECONDS)

    async def log_out_by(self, grant: Grant, by: Mapping[str, object]) -> Ended:
        """Do the same on the word of a person who shows no lease; the trail has `by` of who it was.

        Raises as `log_out` does.
        """
        deed = self._revoked_and_removed(grant.key, grant.line, by)
        return await self._deeds.result(self._deeds.begin(deed, "logout"), ANSWER_SECONDS)

    async def let_go(self, grant: Grant) -> bool:
        """End a grant on nobody's word, if it still is as it was read; False if it is not.

        A lost one is only forgotten. Raises `IssuerUnreachable` if the issuer cannot be told; then
        nothing has changed.
        """
        task = self._deeds.begin(self._let_go(grant), "let a grant go")
        return await self._deeds.result(task, ANSWER_SECONDS)

    async def _log_out(self, caller: Caller, *, keep_lease: bool) -> Ended:
        lease = caller.lease
        ended = await self._revoked_and_removed(lease.key, lease.line, about(caller))
        if not keep_lease:
            await self._leasing.end(caller)
        return ended

    async def _revoked_and_removed(
        self, key: GrantKey, line: str, by: Mapping[str, object]
    ) -> Ended:
        async with self._refreshing.alone_with(key):
            while True:
                stored = await self._refreshing.settled(key, line)
                # Before anything is done: who dies afterwards leaves nobody who does not know.
                await self._minting.announce(stored.value)
                try:
                    tombstone, revoked = await self._end(stored, revoke=True)
                    break
                except StaleVersionError:
                    continue  # another replica refreshed meanwhile: revoke what it got, too
        await self._audit.record(
            "logout",
            **by,
            sub=tombstone.subject,
            client_id=tombstone.client_id,
            revoked=revoked,
            tokens_until=tombstone.tokens_until,
        )
        return Ended(revoked, tombstone.tokens_until)

    async def _let_go(self, grant: Grant) -> bool:
        lost = grant.state is GrantState.LOST
        async with self._refreshing.alone_with(grant.key):
            stored = await self._refreshing.settled(grant.key, grant.line)
            if not _same_write(grant, stored.value):
                return False
            why = grant.note if lost else _unused(stored)
            try:
                tombstone, revoked = await self._end(stored, revoke=not lost, let_go=why)
            except StaleVersionError:
                return False  # somebody came back to it this very moment
        await self._audit.record(
            "grant_let_go",
            **about_grant(tombstone),
            revoked=revoked,
            why=why,
        )
        return True

    async def _end(
        self, stored: Stored[Grant], *, revoke: bool, let_go: str = ""
    ) -> tuple[Grant, bool]:
        """Return the tombstone, stored, and whether the issuer was told.

        `let_go` is the sentence for people if nobody asked for it.
        """
        grant = stored.value
        revoked = revoke and await self._revoke(grant)
        tombstone = rotation.log_out(grant, self._entropy.token(16))
        if let_go:
            tombstone = replace(tombstone, reason=LET_GO, note=let_go)
        await put_surely(
            self._grants,
            tombstone.key.segment(),
            tombstone,
            stored.version,
            is_ours=partial(_same_write, tombstone),
        )
        self._noted(tombstone)
        self._minting.forget(tombstone)
        return tombstone, revoked

    async def _revoke(self, grant: Grant) -> bool:
        issuer = self._issuers.get(grant.key.issuer)
        moved = issuer is not None and issuer.url != grant.issuer_url
        if grant.refresh_token is None or moved:
            return False
        try:
            await self._refreshing.revoke(grant.key, grant.refresh_token)
        except NoRevocation:
            return False
        return True


def _unused(stored: Stored[Grant]) -> str:
    days = unused_seconds(stored.value, stored.age_seconds) / DAY_SECONDS
    return f"This login was let go because nobody used it for {days:.0f} days."


def _same_write(mine: Grant, found: Grant) -> bool:
    return found.write_id == mine.write_id
