"""Puts a grant that waits into its place, where the client says; or revokes it when nobody does.

Until then it replaces nothing. Of a grant that is placed the waiting record keeps nothing but where
it went, so that the same request again is a success and any other is refused. What was about to be
placed when a process died is found in its place by the login's id, and is not revoked.
"""

from __future__ import annotations

import structlog

from credbroker.broker.custody.replicas import Replicas
from credbroker.broker.custody.rewinding import Rewinding
from credbroker.broker.leasing import Caller, about
from credbroker.broker.logins.remembering import Remembering
from credbroker.broker.logins.taking_in import TakingIn
from credbroker.broker.recall import ANSWER_SECONDS
from credbroker.broker.running import Means
from credbroker.broker.storing import put_surely
from credbroker.broker.trail import about as about_grant
from credbroker.broker.walking import pages
from credbroker.domain import confirming
from credbroker.domain.attenuation import Ceiling
from credbroker.domain.confirming import PENDING_SECONDS, ConfirmedLogin
from credbroker.domain.errors import (
    Busy,
    CredbrokerError,
    LoginExpired,
    Malformed,
    NoRevocation,
    NotAllowed,
    NotFound,
    RecordDamaged,
)
from credbroker.domain.grants import Grant
from credbroker.domain.names import GrantKey, check_credkey
from credbroker.domain.shards import shard_of, shards_of
from credbroker.ports import RecordStore, StaleVersionError, Stored

# Whoever began to place a grant in time has ended by then.
MARGIN_SECONDS = 60.0
# An issuer that is away for longer keeps what nobody could use.
LONGEST_SECONDS = 7 * 86400.0

log = structlog.get_logger(__name__)


class Placing:
    """All grants that wait for their place, as this process sees them."""

    def __init__(
        self,
        logins: RecordStore[ConfirmedLogin],
        grants: RecordStore[Grant],
        taking_in: TakingIn,
        means: Means,
        *,
        rewinding: Rewinding,
        replicas: Replicas,
        remembering: Remembering,
    ) -> None:
        """Place what waits in `logins` into `grants`; each of the `replicas` expires its shards.

        Whose robots grants are for is what `remembering` has.
        """
        self._logins = logins
        self._grants = grants
        self._taking_in = taking_in
        self._rewinding = rewinding
        self._replicas = replicas
        self._remembering = remembering
        self._deeds = means.deeds
        self._audit = means.audit
        self._clock = means.clock
        self._settled: set[str] = set()

    async def lined(self, grant: Grant) -> Grant:
        """Return a new grant on the line it will have in its place. Raises `LoginDenied`."""
        return confirming.lined(grant, await self._in_place(grant.key))

    async def place(self, caller: Caller, key: GrantKey, handle: str) -> None:
        """Store the grant of the caller's login, which `handle` names, under `key`.

        It may be the login's own credkey or lie below it, for a robot. The same again within 10
        minutes changes nothing. Raises `Malformed` for what is no handle, `NotAllowed` for another
        login or place, `LoginExpired` and `LoginDenied` if it is too late.
        """
        check_credkey(key.credkey)
        login_id = confirming.login_of(handle)
        self._rewinding.check()
        task = self._deeds.begin(self._place(caller, key, login_id), "place a grant")
        await self._deeds.result(task, ANSWER_SECONDS)

    async def expire(self) -> None:
        """Revoke what waited for longer than 10 minutes, of this replica's shards; one walk.

        An issuer that does not answer is asked again at the next. Raises `StoreUnavailable` kinds.
        """
        shards = shards_of(self._replicas.name, self._replicas.live())
        self._settled = {one for one in self._settled if self._is_due(one)}
        async for page in pages(self._logins):
            ours = [one for one in page if shard_of(one) in shards and self._is_due(one)]
            for login_id in ours:
                if login_id not in self._settled and await self._is_settled(login_id):
                    self._settled.add(login_id)

    async def _place(self, caller: Caller, key: GrantKey, login_id: str) -> None:
        login, grant, version = await self._waiting(caller, key, login_id)
        if grant is None:
            return
        if grant.key != key:
            login = confirming.meant_for(login, grant, key)
            assert login.pending is not None
            grant, version = login.pending, await self._bound(login, version)
        if key.credkey != login.credkey:
            await self._remembering.robot(login.credkey, key)
        kept, replaced = await self._taking_in.keep(grant)
        await self._audit.record("login_placed", **about(caller), **_whose(kept), login=login_id)
        self._taking_in.let_go_of_replaced(key.issuer, replaced)
        try:
            await self._put(confirming.placed(login, key.credkey), version)
        except (CredbrokerError, StaleVersionError):
            log.warning("placed_login_not_cleared", login=login_id)  # found in its place later

    async def _waiting(
        self, caller: Caller, key: GrantKey, login_id: str
    ) -> tuple[ConfirmedLogin, Grant | None, int]:
        """Return the login, its grant (None if it is placed there already) and its version."""
        stored = await self._logins.get(login_id)
        if stored is None or not stored.value.is_answered:
            raise Malformed("This does not name a login that waits here.", "Log in again.")
        login, grant = stored.value, stored.value.pending
        if caller.lease.line != login.line or caller.lease.ceiling != Ceiling():
            raise NotAllowed("What a login gave can be stored with a lease of that login alone.")
        own = (key.issuer, key.role) == (login.issuer, login.role)
        if not own or not _is_at_or_below(key.credkey, login.credkey):
            raise NotAllowed("This login is for another place.")
        if login.note or stored.age_seconds > PENDING_SECONDS:
            raise LoginExpired("This login was not stored within 10 minutes.")
        if login.placed not in {"", key.credkey} or (
            grant is not None and grant.key != key and grant.key.credkey != login.credkey
        ):
            raise NotAllowed("This login is stored in another place already.")
        if grant is not None and key.credkey == login.credkey:
            confirming.check_overtaken(grant, await self._in_place(key))
        return login, grant, stored.version

    async def _bound(self, login: ConfirmedLogin, version: int) -> int:
        """Write where the grant goes, before it does; return the record's version then."""
        try:
            return await self._put(login, version)
        except StaleVersionError:
            raise Busy("This login is being stored in another place.", "Try again.") from None

    def _is_due(self, login_id: str) -> bool:
        age = confirming.age_by_name(login_id, self._clock.now())
        return PENDING_SECONDS < age < LONGEST_SECONDS

    async def _is_settled(self, login_id: str) -> bool:
        """Revoke what has waited for too long; return whether nothing more can come of this login."""
        try:
            stored = await self._logins.get(login_id)
        except RecordDamaged:
            return True  # another kind of record
        if stored is None:
            return True
        if stored.value.pending is None:
            return self._clock.now() > stored.value.expires_at
        if not stored.value.note and stored.age_seconds < PENDING_SECONDS + MARGIN_SECONDS:
            return False
        try:
            await self._end(stored, stored.value.pending)
        except (CredbrokerError, StaleVersionError) as error:
            log.warning("pending_grant_not_revoked", login=login_id, why=type(error).__name__)
            return False
        return True

    async def _end(self, stored: Stored[ConfirmedLogin], grant: Grant) -> None:
        login, version = stored.value, stored.version
        if not login.note:  # from here on nobody places it
            login = confirming.over(login, "The client did not store this login in time.")
            version = await self._put(login, version)
        found = await self._in_place(grant.key)
        in_custody = found is not None and found.login_id == login.id
        revoked = not in_custody and await self._revoke(grant)
        await self._put(confirming.without_grant(login), version)
        if not in_custody:
            await self._audit.record(
                "login_pending_revoked", **about_grant(grant), login=login.id, revoked=revoked
            )

    async def _revoke(self, grant: Grant) -> bool:
        """Return whether the issuer was told; not where that would end the login before as well."""
        try:
            issuer = self._taking_in.issuer(grant.key.issuer)
            if grant.refresh_token is None or not issuer.revoke_replaced:
                return False
            await issuer.revoke(grant.refresh_token)
        except (NoRevocation, NotFound):
            return False
        return True

    async def _in_place(self, key: GrantKey) -> Grant | None:
        stored = await self._grants.get(key.segment())
        return stored.value if stored is not None else None

    async def _put(self, login: ConfirmedLogin, version: int) -> int:
        return await put_surely(
            self._logins, login.id, login, version, is_ours=lambda found: found == login
        )


def _is_at_or_below(credkey: str, own: str) -> bool:
    return credkey == own or credkey.startswith(f"{own}/")


def _whose(grant: Grant) -> dict[str, object]:
    return {"place": grant.key.credkey, "sub": grant.subject, "generation": grant.generation}
