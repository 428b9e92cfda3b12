"""Sends a browser to the issuer and takes the issuer's answer back: authorization code with PKCE.

- Only the browser that confirmed can bring the answer (it has the cookie); from any other nothing is
  used up at the issuer. So who confirms a login himself and hands the issuer's link on gets nothing.
- A browser may ask twice, at two replicas: who finds the code used up looks whether the other has an
  answer, before the login is given up.
- Verifier and nonce follow from the login's id by the seal, so that any replica can go on.
- An answer that cannot be stored is revoked. A process that dies between the issuer's answer and the
  record takes a refresh token with it that nobody ever held; the trail then has `login_confirmed`
  and no `login_answered` after it, and the person logs in again.
"""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from credbroker.broker.leasing import Origin
from credbroker.broker.logins.confirmed_logins import ConfirmedLogins
from credbroker.broker.logins.placing import Placing
from credbroker.broker.logins.taking_in import AskedFor, TakingIn
from credbroker.broker.running import Means
from credbroker.domain import confirming
from credbroker.domain.confirming import CameBack, ConfirmedLogin
from credbroker.domain.device import LoginOutcome, LoginOver
from credbroker.domain.errors import LoginDenied, LoginExpired, NotAllowed, StoreUnclear
from credbroker.domain.grants import Grant
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.ports import LoginSeal, Waypoint

PAGE_SECONDS = 45.0
"""How long a browser waits for the issuer; the login goes on beyond it."""

OTHERS_SECONDS = 5.0
"""How long another replica may take to store what the issuer gave it."""
LOOK_SECONDS = 0.5


class Returning:
    """All ways to an issuer and back, as this process sees them."""

    def __init__(
        self,
        logins: ConfirmedLogins,
        taking_in: TakingIn,
        placing: Placing,
        means: Means,
        *,
        seal: LoginSeal,
        public_url: str,
    ) -> None:
        """Have browsers come back below `public_url`; grants wait in `logins` until placed."""
        self._logins = logins
        self._taking_in = taking_in
        self._placing = placing
        self._clock = means.clock
        self._deeds = means.deeds
        self._waypoints = means.waypoints
        self._seal = seal
        self._public_url = public_url
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def back_to(self, issuer: str) -> str:
        """Return our address that is registered at the issuer; no request decides it."""
        return f"{self._public_url}/v1/auth/oidc-{issuer}/oidc/callback"

    async def address(self, login: ConfirmedLogin, scopes: ScopeSet) -> str:
        """Return where the issuer has the person log in. Raises `Unavailable` kinds."""
        return await self._taking_in.issuer(login.issuer).authorization_url(
            scopes,
            self.back_to(login.issuer),
            state=login.id,
            nonce=self._nonce(login.id),
            challenge=confirming.challenge(self._verifier(login.id)),
        )

    async def returned(self, answer: CameBack, cookie: str, origin: Origin) -> str:
        """Take the issuer's answer from the browser that confirmed; return the person's credkey.

        Nothing is used up unless cookie and issuer are the right ones (`NotAllowed`). Raises
        `LoginDenied`, `LoginExpired`, and `Busy` while it goes on.
        """
        login, _ = await self._confirmed_by(answer, cookie, origin)
        if login.is_answered:
            return login.credkey
        self._logins.check_in_time(login)
        self._logins.check_no_halt()
        task = self._deeds.begin(self._return_alone(answer, cookie, origin), "end a login")
        return await self._deeds.result(task, PAGE_SECONDS)

    async def take(
        self,
        login: ConfirmedLogin,
        version: int,
        outcome: LoginOutcome,
        origin: Origin,
        *,
        nonce: str | None = None,
    ) -> str:
        """Store the grant that the issuer gave, to wait for its place; return whose it is.

        Raises what the issuer said instead, and whatever keeps the grant from being stored.
        """
        if isinstance(outcome, LoginOver):
            if isinstance(outcome.error, LoginExpired) and (who := await self._elsewhere(login.id)):
                return who
            await self._logins.close(login, version, outcome.error, origin)
            raise outcome.error
        await self._waypoints.reach(Waypoint.LOGIN_ANSWERED)
        try:
            _, scopes = self._taking_in.role(login.issuer, login.role)
            asked = AskedFor(login.id, login.issuer, login.role, scopes)
            grant = await self._taking_in.grant(asked, outcome, nonce=nonce)
            grant = await self._placing.lined(grant)
            await self._logins.note("login_answered", login, origin, **_who(grant))
            await self._logins.put(confirming.answered(login, grant), version)
        except Exception as error:
            closed = await self._logins.close(login, version, error, origin)
            # What may have landed in the record is good, unless the closing came before it.
            landed = isinstance(error, StoreUnclear) and not closed
            if outcome.refresh_token is not None and not landed:
                await self._revoke(login.issuer, outcome.refresh_token)
            raise
        await self._waypoints.reach(Waypoint.LOGIN_STORED)
        return grant.key.credkey

    async def _confirmed_by(
        self, answer: CameBack, cookie: str, origin: Origin
    ) -> tuple[ConfirmedLogin, int]:
        stored = await self._logins.get(confirming.check_id(answer.state))
        if stored is None or not confirming.is_cookie_of(stored.value, cookie):
            if stored is not None:
                await self._logins.note("login_other_browser", stored.value, origin)
            raise NotAllowed(
                "This is not the browser in which the login was confirmed.",
                "If you did not start a login yourself, somebody may be trying to log in as you:"
                " close this page and tell your site. Else start again, in one browser.",
            )
        if stored.value.note:
            raise LoginDenied(stored.value.note)
        issuer = stored.value.issuer
        confirming.check_sender(answer, issuer, self._taking_in.issuer(issuer).url)
        return stored.value, stored.version

    async def _return_alone(self, answer: CameBack, cookie: str, origin: Origin) -> str:
        """Redeem the code; a browser that asks twice meets the end of the first time."""
        state, code = answer.state, answer.code
        async with self._locks.setdefault(state, asyncio.Lock()):
            login, version = await self._confirmed_by(answer, cookie, origin)
            if login.is_answered:
                return login.credkey
            if code is None:
                refused = LoginOver(LoginDenied("The login was refused at the issuer."))
                return await self.take(login, version, refused, origin)
            outcome = await self._taking_in.issuer(login.issuer).redeem(
                code, self._verifier(state), self.back_to(login.issuer)
            )
            return await self.take(login, version, outcome, origin, nonce=self._nonce(state))

    async def _elsewhere(self, login_id: str) -> str:
        """Return the credkey that another replica has of the issuer by now, empty if none does."""
        until = self._clock.elapsed() + OTHERS_SECONDS
        while True:
            stored = await self._logins.get(login_id)
            if stored is None or stored.value.is_answered:
                return stored.value.credkey if stored else ""
            if stored.value.note or self._clock.elapsed() >= until:
                return ""
            await self._clock.sleep(LOOK_SECONDS)

    async def _revoke(self, issuer: str, refresh_token: Secret) -> None:
        # Where logins are tied together, revoking this one would end the one before.
        if self._taking_in.issuer(issuer).revoke_replaced:
            await self._taking_in.revoke(issuer, refresh_token)

    def _verifier(self, login_id: str) -> Secret:
        return self._seal.secret("PKCE verifier", login_id)

    def _nonce(self, login_id: str) -> str:
        return self._seal.secret("OIDC nonce", login_id).digest()


def _who(grant: Grant) -> dict[str, object]:
    return {"credkey": grant.key.credkey, "sub": grant.subject, "client_id": grant.client_id}
