"""The token endpoint: five grant types, one answer.

Order inside a refresh: the refresh token is checked first, then scope, and only a request that
will be answered moves the family on. Without a scope the whole grant is meant; a narrower one
counts for this access token alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from credbroker.demo.issuer import scopes
from credbroker.demo.issuer.claims import Stamp, access_claims, identity_claims
from credbroker.demo.issuer.consent import Grant, audience_asked
from credbroker.demo.issuer.errors import OAuthError
from credbroker.demo.issuer.exchange import exchanged
from credbroker.demo.issuer.logins import Redemption
from credbroker.demo.issuer.settings import DEVICE_CODE, TOKEN_EXCHANGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from credbroker.demo.issuer.faults import Flaw
    from credbroker.demo.issuer.settings import Client
    from credbroker.demo.issuer.state import IssuerState

    Form = Mapping[str, str]
    Answer = dict[str, Any]

JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
PERSONAL = ("openid", "profile", "offline_access", scopes.GROUPS)
"""Items that mean nothing without a person."""


class TokenEndpoint:
    """Answers authenticated token requests."""

    def __init__(self, state: IssuerState) -> None:
        """Work on the books of `state`."""
        self._state = state
        self._kinds = {
            DEVICE_CODE: self._device_code,
            "authorization_code": self._authorization_code,
            "refresh_token": self._refresh_token,
            "client_credentials": self._client_credentials,
            TOKEN_EXCHANGE: self._token_exchange,
        }

    def answer(self, client: Client, form: Form, flaws: Iterable[Flaw] = ()) -> Answer:
        """Act on a request and return the JSON members of RFC 6749 section 5.1.

        Raises:
            OAuthError: the request is refused.
        """
        name = form.get("grant_type", "")
        if name not in self._kinds:
            raise OAuthError("unsupported_grant_type", "No such grant type here.")
        if name not in client.grants:
            raise OAuthError("invalid_client", f"Unauthorized grant type: {name}", 401)
        grant, refresh_token = self._kinds[name](client, form)
        answer = self._mint(client, grant, tuple(flaws))
        if name == TOKEN_EXCHANGE:
            answer["issued_token_type"] = JWT_TYPE
        return answer | ({"refresh_token": refresh_token} if refresh_token else {})

    def _device_code(self, client: Client, form: Form) -> tuple[Grant, str]:
        code = _needed(form, "device_code")
        grant = self._state.device_logins.redeem(code, client.client_id, self._state.now())
        return grant, self._first_refresh_token(client, grant)

    def _authorization_code(self, client: Client, form: Form) -> tuple[Grant, str]:
        code = _needed(form, "code")
        proof = Redemption(form.get("redirect_uri", ""), form.get("code_verifier", ""))
        grant = self._state.codes.redeem(code, client.client_id, proof, self._state.now())
        return grant, self._first_refresh_token(client, grant)

    def _refresh_token(self, client: Client, form: Form) -> tuple[Grant, str]:
        books, now = self._state.refresh_tokens, self._state.now()
        value = _needed(form, "refresh_token")
        family = books.present(value, client.client_id, now)
        asked = scopes.split(form.get("scope", "")) or family.grant.scopes
        if not scopes.within(family.grant.scopes, asked):
            raise OAuthError("invalid_scope", "Up-scoping is not allowed.")
        audience = audience_asked(form) or family.grant.audience
        # OpenID Connect Core section 12.2: no nonce in the ID token of a refresh.
        grant = replace(family.grant, scopes=asked, audience=audience, nonce="")
        return grant, books.advance(value, now)

    def _client_credentials(self, client: Client, form: Form) -> tuple[Grant, str]:
        if client.secret is None:
            raise OAuthError("unauthorized_client", "A public client has no rights of its own.")
        asked = scopes.split(form.get("scope", "")) or client.scopes
        scopes.check_registered(client.scopes, asked, client.client_id)
        own = tuple(item for item in asked if item.split(":")[0] not in PERSONAL)
        return Grant(client.client_id, None, own, audience_asked(form)), ""

    def _token_exchange(self, client: Client, form: Form) -> tuple[Grant, str]:
        grant = exchanged(self._state, client, form)
        return grant, self._first_refresh_token(client, grant)

    def _first_refresh_token(self, client: Client, grant: Grant) -> str:
        if "offline_access" not in grant.scopes or "refresh_token" not in client.grants:
            return ""
        return self._state.refresh_tokens.begin(grant, self._state.now())

    def _mint(self, client: Client, grant: Grant, flaws: tuple[Flaw, ...]) -> Answer:
        lifetimes = self._state.settings.lifetimes
        access = _spoil(access_claims(grant, self._stamp(lifetimes.access)), flaws)
        answer: Answer = {
            "access_token": self._sign(client, access, flaws),
            "token_type": "Bearer",
            "expires_in": lifetimes.access,
            "scope": access["scope"],
        }
        if "openid" in grant.scopes:
            identity = _spoil(identity_claims(grant, self._stamp(lifetimes.identity)), flaws)
            answer["id_token"] = self._sign(client, identity, flaws)
        return answer

    def _stamp(self, life: int) -> Stamp:
        return Stamp(self._state.url, self._state.now(), life, self._state.entropy.token(16))

    def _sign(self, client: Client, claims: dict[str, Any], flaws: tuple[Flaw, ...]) -> str:
        forged = any(flaw.forged for flaw in flaws)
        sign = self._state.keys.forge if forged else self._state.keys.sign
        return sign(claims, client.algorithm or self._state.settings.algorithm)


def _needed(form: Form, name: str) -> str:
    if not form.get(name):
        raise OAuthError("invalid_request", f"The parameter {name} is missing.")
    return form[name]


def _spoil(claims: dict[str, Any], flaws: tuple[Flaw, ...]) -> dict[str, Any]:
    for flaw in flaws:
        claims = flaw.change(claims)
    return claims
