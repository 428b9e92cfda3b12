"""The token, revocation and introspection endpoints of an issuer of ours.

They follow RFC 6749 sections 3.2, 4.4, 5 and 6, RFC 8693, RFC 7009 and RFC 7662; the page on
standards names a test for each of their MUSTs. Whoever asks is answered in the time that the client's
settings give, which is 2.5 s: if need be, that it should come again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

from aiohttp import web

from credbroker.api.answering import ERROR_FORM, WELL_KNOWN, at_once
from credbroker.api.client_callers import ClientCallers
from credbroker.api.issuer_documents import IssuerDocuments
from credbroker.api.issuer_openapi import issuer_openapi_route
from credbroker.api.issuer_paths import all_below, spellings
from credbroker.api.oauth_answers import SubjectRefused, UnknownGrant, refused, said
from credbroker.api.oauth_forms import asked_in, exchange_in, form_in
from credbroker.api.strangers import Strangers
from credbroker.broker.issuing.communities import CommunityIssuer
from credbroker.broker.issuing.granting import ClientCaller, Granted
from credbroker.domain.errors import Busy, TokenRefused
from credbroker.ports import Clock
from credbroker.wire.exchange import ACCESS_TOKEN_TYPE, EXCHANGE_GRANT
from credbroker.wire.issuer_documents import INTROSPECT_PATH, REVOKE_PATH, TOKEN_PATH
from credbroker.wire.oauth import (
    CLIENT_GRANT,
    REFRESH_GRANT,
    Form,
    write_granted,
    write_looked_up,
)

Deed = Callable[[ClientCaller, Form], Awaitable[bytes]]
"""Does what a client asks for; returns the answer's body."""


class OauthApi:
    """The endpoints of one community."""

    def __init__(self, community: CommunityIssuer, strangers: Strangers, clock: Clock) -> None:
        """Serve `community`; `strangers` counts who shows no good secret."""
        self._granting = community.granting
        self._revoking = community.revoking
        self._callers = ClientCallers(community.name, community.granting.clients, strangers, clock)
        self._clock = clock
        self._grants = {
            CLIENT_GRANT: self._by_client,
            REFRESH_GRANT: self._by_refresh_token,
            EXCHANGE_GRANT: self._by_exchange,
        }

    @at_once
    async def token(self, request: web.Request) -> web.Response:
        """Answer with a token, by whichever grant is named."""
        return await self._answered(request, self._by_grant)

    @at_once
    async def revoke(self, request: web.Request) -> web.Response:
        """End a token; one that is unknown, or somebody else's, is as good as ended."""
        return await self._answered(request, self._revoked)

    @at_once
    async def introspect(self, request: web.Request) -> web.Response:
        """Answer what a token says, or that it is not active."""
        return await self._answered(request, self._looked_up)

    async def nothing(self, request: web.Request) -> web.Response:
        """Say that there is nothing here; where metadata are looked for, not in JSON."""
        if WELL_KNOWN not in request.path:
            request[ERROR_FORM] = refused
        raise web.HTTPNotFound

    async def _answered(self, request: web.Request, deed: Deed) -> web.Response:
        """Do what a client asks for, or raise `Busy` when its answer is due.

        What must be finished then is a deed of its own, which goes on.
        """
        request[ERROR_FORM] = refused
        form = await form_in(request)
        caller = self._callers.identify(request, form)
        try:
            async with asyncio.timeout(caller.answer_by - self._clock.elapsed()):
                return said(await deed(caller, form))
        except TimeoutError:
            raise Busy("The answer was not ready in time.") from None

    async def _by_grant(self, caller: ClientCaller, form: Form) -> bytes:
        grant = self._grants.get(form.needed("grant_type"))
        if grant is None:
            raise UnknownGrant("There is no such kind of grant here.")
        return await grant(caller, form)

    async def _revoked(self, caller: ClientCaller, form: Form) -> bytes:
        await self._revoking.revoke(caller, form.secret("token", "token"))
        return b""

    async def _looked_up(self, caller: ClientCaller, form: Form) -> bytes:
        return write_looked_up(await self._revoking.look(caller, form.secret("token", "token")))

    async def _by_client(self, caller: ClientCaller, form: Form) -> bytes:
        granted = await self._granting.client_credentials(caller, asked_in(form))
        return _written(granted)

    async def _by_refresh_token(self, caller: ClientCaller, form: Form) -> bytes:
        shown = form.secret("refresh_token", "refresh token")
        return _written(await self._granting.refresh(caller, asked_in(form), shown))

    async def _by_exchange(self, caller: ClientCaller, form: Form) -> bytes:
        exchange = exchange_in(form)
        try:
            granted = await self._granting.exchange(
                caller,
                asked_in(form),
                exchange.subject_token,
                actor_token=exchange.actor_token,
                refresh=exchange.wants_refresh_token,
            )
        except TokenRefused as error:
            raise SubjectRefused(error.sentence, error.remedy) from None
        return _written(granted, ACCESS_TOKEN_TYPE)


def _written(granted: Granted, issued_type: str | None = None) -> bytes:
    return write_granted(
        granted.token,
        granted.seconds_left,
        refresh_token=granted.refresh_token,
        issued_type=issued_type,
    )


def issuer_routes(
    communities: Sequence[CommunityIssuer], strangers: Strangers, clock: Clock
) -> list[web.RouteDef]:
    """Return the routes of the issuers that the broker itself is, and of what describes them."""
    if not communities:
        return []
    routes = [route for one in communities for route in _routes(one, strangers, clock)]
    return [issuer_openapi_route([one.signing.url for one in communities]), *routes]


def _routes(
    community: CommunityIssuer, strangers: Strangers, clock: Clock
) -> Iterator[web.RouteDef]:
    url, api = community.signing.url, OauthApi(community, strangers, clock)
    yield from IssuerDocuments(url, community.signing.jwks).routes()
    endpoints = {TOKEN_PATH: api.token, REVOKE_PATH: api.revoke, INTROSPECT_PATH: api.introspect}
    for name, handler in endpoints.items():
        yield from (web.route("*", path, handler) for path in spellings(url, name))
    yield web.route("*", all_below(url), api.nothing)
