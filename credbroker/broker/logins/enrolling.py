"""Logs a person in: device flow at the issuer, the grant into custody, a lease for the person.

The token that polls a login is the lease token of that login, not alive yet: it comes alive when the
grant is stored. So polling again after a lost answer simply finds the lease, and no second secret
exists. A login that the issuer has answered is carried to its stored end even if the client is gone;
a refresh token that found no place in custody is revoked rather than left behind.
"""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass
from weakref import WeakValueDictionary

import structlog

from credbroker.broker.custody.rewinding import Rewinding
from credbroker.broker.leasing import Leasing, Origin
from credbroker.broker.logins.confirmed_logins import about_login
from credbroker.broker.logins.taking_in import AskedFor, TakingIn
from credbroker.broker.running import Means
from credbroker.broker.storing import put_surely
from credbroker.domain import device
from credbroker.domain.device import DeviceStart, PendingLogin, StillPending
from credbroker.domain.errors import (
    BrokerFault,
    CredbrokerError,
    LeaseUnknown,
    LoginDenied,
    LoginExpired,
    StoreUnclear,
)
from credbroker.domain.grants import Grant
from credbroker.domain.leases import Lease, LeaseToken, check_secret, login_lease
from credbroker.domain.outcomes import Renewed
from credbroker.ports import RecordStore, StaleVersionError, Waypoint

POLL_ANSWER_SECONDS = 9.0
# A client that keeps the interval by its own clock may come this part of it too early.
EARLY_FRACTION = 0.1

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Started:
    """A login that waits for its person, and the token that polls it."""

    token: LeaseToken
    login: PendingLogin
    shown: DeviceStart


class Enrolling:
    """All logins of this process."""

    def __init__(
        self,
        logins: RecordStore[PendingLogin],
        taking_in: TakingIn,
        leasing: Leasing,
        means: Means,
        *,
        rewinding: Rewinding,
        login_seconds: float,
    ) -> None:
        """Log people in through `taking_in`; a lease lasts `login_seconds`.

        While `rewinding` calls a halt nobody logs in: Vault does not know the newest generations.
        """
        self._logins = logins
        self._taking_in = taking_in
        self._leasing = leasing
        self._deeds = means.deeds
        self._audit = means.audit
        self._clock = means.clock
        self._entropy = means.entropy
        self._waypoints = means.waypoints
        self._rewinding = rewinding
        self._login_seconds = login_seconds
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._polled: dict[str, float] = {}

    async def start(self, issuer_name: str, role: str | None, origin: Origin) -> Started:
        """Begin a login; raise `NotFound` for an issuer or role that is not served."""
        self._rewinding.check()
        name, scopes = self._taking_in.role(issuer_name, role)
        shown = await self._taking_in.issuer(issuer_name).start_device_login(scopes)
        token = self._leasing.new_token()
        now = self._clock.now()
        login = PendingLogin(
            id=token.id,
            secret_hash=token.secret_hash(),
            issuer=issuer_name,
            role=name,
            scopes=scopes,
            device_code=shown.device_code,
            interval_seconds=shown.interval_seconds,
            started_at=now,
            expires_at=now + datetime.timedelta(seconds=shown.expires_in),
            origin=origin.address,
        )
        await put_surely(self._logins, login.id, login, 0, is_ours=lambda it: it.id == login.id)
        await self._note("login_started", login, origin)
        return Started(token, login, shown)

    async def poll(self, token: LeaseToken, origin: Origin) -> Lease | PendingLogin:
        """Return the lease once the person has confirmed, else the login that still waits.

        Raises `LoginDenied` or `LoginExpired` when it can no longer succeed.
        """
        task = self._deeds.begin(self._poll_alone(token, origin), "poll login")
        return await self._deeds.result(task, POLL_ANSWER_SECONDS)

    async def _poll_alone(self, token: LeaseToken, origin: Origin) -> Lease | PendingLogin:
        """Ask one at a time: a device code is good for one answer only."""
        async with self._locks.setdefault(token.id, asyncio.Lock()):
            return await self._poll(token, origin)

    async def _poll(self, token: LeaseToken, origin: Origin) -> Lease | PendingLogin:
        lease = await self._leasing.known(token.id)
        if lease is not None:
            return check_secret(lease, token)
        login, version = await self._waiting(token)
        self._rewinding.check()  # before the issuer is asked, so that the device code stays good
        if not await self._in_turn(login):
            return login
        assert login.device_code is not None
        outcome = await self._taking_in.issuer(login.issuer).poll_device_login(login.device_code)
        if isinstance(outcome, Renewed):
            return await self._complete(token, login, version, outcome, origin)
        if isinstance(outcome, StillPending):
            if outcome.slower:
                login = device.slower(login)
                await self._replace(login, version)
            return login
        lease = await self._leasing.known(token.id)
        if lease is not None:
            return lease  # another replica got the one answer, and has finished meanwhile
        await self._close(login, version, outcome.error, origin)
        raise outcome.error

    async def _waiting(self, token: LeaseToken) -> tuple[PendingLogin, int]:
        stored = await self._logins.get(token.id)
        if stored is None or stored.value.secret_hash != token.secret_hash():
            raise LeaseUnknown("This login is not known here.")
        login = stored.value
        if login.device_code is None:
            raise LoginExpired(login.note or "This login is over.")
        if self._clock.now() >= login.expires_at:
            raise LoginExpired("Nobody confirmed the login in time.")
        return login, stored.version

    async def _in_turn(self, login: PendingLogin) -> bool:
        """Keep to the issuer's interval whoever polls how often; a poll a little early waits."""
        now = self._clock.elapsed()
        early = self._polled.get(login.id, float("-inf")) + login.interval_seconds - now
        if early > login.interval_seconds * EARLY_FRACTION:
            return False
        if early > 0:
            await self._clock.sleep(early)
        now = self._clock.elapsed()
        longest = 2 * login.interval_seconds
        self._polled = {name: at for name, at in self._polled.items() if now - at < longest}
        self._polled[login.id] = now
        return True

    async def _complete(
        self,
        token: LeaseToken,
        login: PendingLogin,
        version: int,
        answer: Renewed,
        origin: Origin,
    ) -> Lease:
        kept: Grant | None = None
        await self._waypoints.reach(Waypoint.LOGIN_ANSWERED)
        try:
            asked = AskedFor(login.id, login.issuer, login.role, login.scopes)
            kept, replaced = await self._taking_in.keep(await self._taking_in.grant(asked, answer))
            await self._waypoints.reach(Waypoint.LOGIN_STORED)
            lease = login_lease(
                token,
                kept.key,
                kept.line,
                seconds=self._login_seconds,
                now=self._clock.now(),
                subject=kept.subject,
                origin=login.origin,
            )
            await self._note("login", login, origin, **_who(kept), lease=lease.id)
            await self._leasing.begin(lease)
        except Exception as error:
            # What is in custody, or may be, stays good: running jobs may live on it by now.
            in_custody = kept is not None or isinstance(error, StoreUnclear)
            # Where logins are tied together, revoking this one would end the one before.
            alone = self._taking_in.issuer(login.issuer).revoke_replaced
            if answer.refresh_token is not None and alone and not in_custody:
                await self._taking_in.revoke(login.issuer, answer.refresh_token)
            await self._close(login, version, _told(error), origin)
            raise
        self._taking_in.let_go_of_replaced(login.issuer, replaced)
        await self._replace(device.over(login, "This login is done."), version)
        return lease

    async def _close(
        self, login: PendingLogin, version: int, error: CredbrokerError, origin: Origin
    ) -> None:
        await self._replace(device.over(login, error.sentence), version)
        event = "login_refused" if isinstance(error, LoginDenied | LoginExpired) else "login_failed"
        await self._note(event, login, origin, why=error.sentence)

    async def _replace(self, login: PendingLogin, version: int) -> None:
        """Write the login's state; a lost race only means that it is looked at once more."""
        try:
            await self._logins.put(login.id, login, version)
        except (CredbrokerError, StaleVersionError):
            log.warning("login_state_not_written", login=login.id)

    async def _note(self, event: str, login: PendingLogin, origin: Origin, **more: object) -> None:
        await self._audit.record(event, **about_login(login, origin), **more)


def _told(error: Exception) -> CredbrokerError:
    """Return the error as the login's record may tell it: never in words nobody checked."""
    if isinstance(error, CredbrokerError):
        return error
    return BrokerFault("Something went wrong inside the broker.")


def _who(grant: Grant) -> dict[str, object]:
    return {
        "credkey": grant.key.credkey,
        "sub": grant.subject,
        "iss": grant.issuer_url,
        "client_id": grant.client_id,
        "scope": grant.scopes,
        "generation": grant.generation,
    }
