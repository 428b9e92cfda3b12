"""The OAuth endpoints over HTTP: read the form, note it down, let faults strike, act, answer.

The act itself is one step of the event loop, and a client that hangs up does not stop it. Errors
are the JSON of RFC 6749 section 5.2; every answer says `no-store`, the key set and metadata aside.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any

from aiohttp import web

from credbroker.demo.issuer import clients, metadata, scopes
from credbroker.demo.issuer.claims import mail_claims
from credbroker.demo.issuer.consent import Asked, audience_asked
from credbroker.demo.issuer.errors import OAuthError
from credbroker.demo.issuer.faults import Endpoint, Flaw, Lost, Slow, Spoiled, flaws_of
from credbroker.demo.issuer.grants import TokenEndpoint
from credbroker.demo.issuer.settings import DEVICE_CODE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from multidict import MultiMapping

    from credbroker.demo.issuer.faults import Fault, Form
    from credbroker.demo.issuer.settings import Client
    from credbroker.demo.issuer.state import IssuerState

    Act = Callable[[str, Form, list[Flaw]], dict[str, Any]]
    """Takes the Authorization header, the form and the flaws to sign with."""

KEYS_MAX_AGE = 6 * 3600  # as IAM; the profile's refresh period
MAY_REPEAT = ("audience", "aud", "resource")


class Endpoints:
    """Binds the OAuth endpoints to one issuer's state."""

    def __init__(self, state: IssuerState) -> None:
        """Work on the books of `state`."""
        self._state = state
        self._grants = TokenEndpoint(state)

    def routes(self) -> list[web.RouteDef]:
        """Return a route for each endpoint."""
        post, get = web.post, web.get
        table: list[tuple[Callable[..., web.RouteDef], Endpoint, Act]] = [
            (get, Endpoint.DISCOVERY, lambda *_: metadata.document(self._state)),
            (get, Endpoint.JWKS, lambda *_: self._state.keys.jwks()),
            (post, Endpoint.DEVICECODE, self._device_code),
            (post, Endpoint.TOKEN, self._token),
            (post, Endpoint.REVOKE, self._revoke),
            (post, Endpoint.INTROSPECT, self._introspect),
            (get, Endpoint.USERINFO, self._userinfo),
        ]
        return [
            method(f"/{endpoint.value}", self._served(endpoint, act))
            for method, endpoint, act in table
        ]

    def _served(
        self, endpoint: Endpoint, act: Act
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            authorization = request.headers.get("Authorization", "")
            try:
                form = _plain(await request.post() if request.method == "POST" else request.query)
                client_id, _ = clients.shown(authorization, form)
            except OAuthError as refusal:
                return _refused(refusal)
            entry = self._state.journal.open(self._state.clock.now(), endpoint, client_id, form)
            entry.request_id = request.headers.get("X-Request-Id", "")
            met = self._state.faults.take(endpoint, form)
            entry.faults = tuple(type(fault).__name__ for fault in met)
            spoiled = await self._suffer(met, request, form, acted=False)
            if spoiled is not None:
                return spoiled
            entry.decided_at = self._state.clock.now()
            try:
                members = act(authorization, form, flaws_of(met))
                self._state.journal.acted(entry, members)
                answer = _answered(endpoint, members)
            except OAuthError as refusal:
                answer = _refused(refusal)
                entry.outcome = refusal.error
            return await self._suffer(met, request, form, acted=True) or answer

        return serve

    async def _suffer(
        self, met: Iterable[Fault], request: web.Request, form: Form, *, acted: bool
    ) -> web.StreamResponse | None:
        for fault in met:
            if isinstance(fault, Flaw) or fault.acted is not acted:
                continue
            if isinstance(fault, Slow):
                await self._state.clock.sleep(fault.seconds)
            elif isinstance(fault, Lost):
                cut(request.transport)
                return web.Response()  # goes nowhere: the connection is gone
            else:
                return _spoiled(fault, form)
        return None

    def _token(self, authorization: str, form: Form, flaws: list[Flaw]) -> dict[str, Any]:
        client = clients.authenticate(self._state, authorization, form)
        return self._grants.answer(client, form, flaws)

    def _device_code(self, authorization: str, form: Form, _: list[Flaw]) -> dict[str, Any]:
        """Begin a device login (RFC 8628 section 3.2); the client only names itself, as at IAM."""
        client = self._state.client(clients.shown(authorization, form)[0])
        if DEVICE_CODE not in client.grants:
            raise OAuthError("invalid_client", "Unauthorized grant type", 401)
        login = self._state.device_logins.begin(asked_by(client, form), self._state.now())
        page = self._state.address("device")
        interval = self._state.settings.interval
        return {
            "device_code": login.device_code,
            "user_code": login.user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={login.user_code}",
            "expires_in": self._state.settings.lifetimes.device_code,
            **({} if interval is None else {"interval": interval}),
        }

    def _revoke(self, authorization: str, form: Form, _: list[Flaw]) -> dict[str, Any]:
        """Revoke a refresh or access token; an unknown one is fine (RFC 7009 section 2.2)."""
        client = clients.authenticate(self._state, authorization, form)
        value = form.get("token", "")
        family = self._state.refresh_tokens.find(value)
        claims = self._state.keys.read(value) or {}
        owner = family.grant.client_id if family else claims.get("client_id")
        if owner not in {None, client.client_id}:
            raise OAuthError("access_denied", "The token belongs to another client.", 403)
        self._state.refresh_tokens.revoke(value)
        if "jti" in claims:
            self._state.revoked_ids.add(claims["jti"])
        return {}

    def _introspect(self, authorization: str, form: Form, _: list[Flaw]) -> dict[str, Any]:
        """Tell if a token is active, and what it says (RFC 7662 section 2.2)."""
        clients.authenticate(self._state, authorization, form)
        value = form.get("token", "")
        family = self._state.refresh_tokens.find(value)
        if family and self._state.refresh_tokens.alive(value, self._state.now()):
            grant = family.grant
            about = {"sub": grant.subject, "client_id": grant.client_id}
            return {"active": True, "scope": " ".join(grant.scopes), **about}
        claims = self._access_claims(value)
        return {"active": True, "token_type": "Bearer", **claims} if claims else {"active": False}

    def _userinfo(self, authorization: str, _form: Form, _: list[Flaw]) -> dict[str, Any]:
        """Return the claims about the person (OpenID Connect Core section 5.3)."""
        claims = self._access_claims(authorization.removeprefix("Bearer "))
        if claims is None or "openid" not in claims["scope"].split():
            raise OAuthError("invalid_token", "An access token with openid is needed.", 401)
        for person in self._state.people.values():
            if person.subject == claims["sub"]:
                return {
                    "sub": person.subject,
                    "preferred_username": person.name,
                    **mail_claims(person, claims["scope"].split()),
                }
        raise OAuthError("invalid_token", "The access token is not a person's.", 401)

    def _access_claims(self, value: str) -> dict[str, Any] | None:
        claims = self._state.keys.read(value)
        if claims is None or "scope" not in claims or claims["jti"] in self._state.revoked_ids:
            return None
        return claims if self._state.now() < claims["exp"] else None


def asked_by(client: Client, form: Form) -> Asked:
    """Return what a client asks a person for, checked against its registration.

    Raises:
        OAuthError: `invalid_scope`; one unfit item fails the whole request, as at IAM.
    """
    asked = scopes.split(form.get("scope", "")) or client.scopes
    scopes.check_registered(client.scopes, asked, client.client_id)
    return Asked(client.client_id, asked, audience_asked(form), form.get("nonce", ""))


def cut(transport: Any) -> None:
    """Reset a connection: what was not sent yet is lost, and the peer sees an error at once."""
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _plain(fields: MultiMapping[Any]) -> dict[str, str]:
    """Return the parameters, each once (RFC 6749 section 3.2); audiences may repeat."""
    form: dict[str, str] = {}
    for name, value in fields.items():
        if not isinstance(value, str) or (name in form and name not in MAY_REPEAT):
            raise OAuthError("invalid_request", f"The parameter {name} must be one text.")
        form[name] = f"{form[name]} {value}" if name in form else value
    return form


def _answered(endpoint: Endpoint, members: dict[str, Any]) -> web.Response:
    response = web.json_response(members)
    public = endpoint in {Endpoint.JWKS, Endpoint.DISCOVERY}
    caching = f"max-age={KEYS_MAX_AGE}, must-revalidate" if public else "no-store"
    response.headers["Cache-Control"] = caching
    return response


def _refused(refusal: OAuthError) -> web.Response:
    response = web.json_response(refusal.body(), status=refusal.status)
    response.headers["Cache-Control"] = "no-store"
    return response


def _spoiled(fault: Spoiled, form: Form) -> web.Response:
    body = fault.body.replace("{refresh_token}", form.get("refresh_token", ""))
    return web.Response(
        status=fault.status,
        text=body,
        content_type=fault.content_type,
        headers=dict(fault.headers),
    )
