"""How htgettoken logs a person in at an issuer: `auth_url`, then `poll` until it is done.

Whatever a client sends as its redirect address is not looked at. Every end of a login is status 400
with a sentence, which that client prints; while the store is silent a poll goes on waiting.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from credbroker.api.bodies import body_of
from credbroker.api.callers import origin
from credbroker.api.problems import REQUEST_ID
from credbroker.api.strangers import Strangers
from credbroker.api.vault_answers import answer, auth_of, errors, vault_errors
from credbroker.broker.logins.confirming import Confirming, LoggedIn
from credbroker.domain.errors import GrantLost, Malformed, Refused, StoreUnavailable
from credbroker.ports import Clock
from credbroker.wire.fields import parse_object

POLL_INTERVAL = "3"

HostName = Callable[[str], Awaitable[str]]
"""Gives the name of an address, empty if it has none that leads back to it."""

log = structlog.get_logger(__name__)


class HtvaultLogin:
    """Takes requests below `auth/oidc-<issuer>` apart, calls one deed each, writes the answers."""

    def __init__(
        self, confirming: Confirming, strangers: Strangers, clock: Clock, host_name: HostName
    ) -> None:
        """Serve `confirming`; `strangers` counts who begins logins, `host_name` names them."""
        self._confirming = confirming
        self._strangers = strangers
        self._clock = clock
        self._host_name = host_name

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        below = "/v1/auth/oidc-{issuer}/oidc"
        return [
            web.post(f"{below}/auth_url", self.auth_url),
            web.post(f"{below}/poll", self.poll),
        ]

    async def auth_url(self, request: web.Request) -> web.Response:
        """Begin a login; its page is the broker's."""
        self._strangers.count(request)
        asked = parse_object(await body_of(request), "The request")
        where = origin(request)
        begun = await self._confirming.begin(
            request.match_info["issuer"],
            asked.optional("role", asked.text) or "",
            asked.optional("client_nonce", asked.text) or "",
            where,
            await self._host_name(where.address),
        )
        return answer(
            {
                "auth_url": begun.auth_url,
                "user_code": begun.user_code,
                "state": begun.state,
                "poll_interval": POLL_INTERVAL,
            }
        )

    async def poll(self, request: web.Request) -> web.Response:
        """Wait a little for the person; give the lease once, and the handle of the login."""
        asked = parse_object(await body_of(request), "The request")
        sealed = asked.optional("state", asked.text) or ""
        nonce = asked.optional("client_nonce", asked.text) or ""
        try:
            found = await self._confirming.poll(sealed, nonce, origin(request))
        except (Refused, GrantLost) as error:
            if isinstance(error, Malformed):
                self._strangers.count(request)
            over = vault_errors(error, request[REQUEST_ID])
            over.set_status(400)
            return over
        except StoreUnavailable as error:
            log.warning("login_poll_waits", why=error.sentence)
            found = None
        return errors("authorization_pending") if found is None else self._given(found)

    def _given(self, found: LoggedIn) -> web.Response:
        metadata = {
            "credkey": found.lease.key.credkey,
            "role": found.lease.key.role,
            "oauth2_refresh_token": found.handle,
        }
        # The client exchanges a token whose policies name this right for one without it.
        registers = [f"sshregister-{found.lease.key.issuer}"] if found.lease.registers else []
        now = self._clock.now()
        return answer(auth=auth_of(found.token, found.lease, now, metadata, registers))
