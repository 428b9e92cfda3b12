"""Token exchange as INDIGO IAM does it (RFC 8693): it gives what both clients may have.

What it does not look at: `subject_token_type`, `requested_token_type`, whether the subject token ever
held what is asked for, and how long it still lives. So the result may be wider and live longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from credbroker.demo.issuer import scopes
from credbroker.demo.issuer.consent import Grant, audience_asked
from credbroker.demo.issuer.errors import OAuthError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credbroker.demo.issuer.settings import Client
    from credbroker.demo.issuer.state import IssuerState


def exchanged(state: IssuerState, client: Client, form: Mapping[str, str]) -> Grant:
    """Return the grant that an exchange by `client`, the actor, comes to.

    Raises:
        OAuthError: the request is refused.
    """
    if form.get("actor_token") or form.get("want_composite"):
        raise OAuthError("invalid_request", "Delegation is not supported.")
    if not form.get("scope"):
        raise OAuthError("invalid_request", "The parameter scope is missing.")
    claims = _claims(state, form.get("subject_token", ""))
    origin = state.client(claims["client_id"])
    asked = scopes.split(form["scope"])
    if "offline_access" in asked and origin.client_id == client.client_id:
        raise OAuthError("access_denied", "No refresh token for a client's own token.", 403)
    for one in (client, origin):
        scopes.check_registered(one.scopes, asked, one.client_id)
    person = next((one for one in state.people.values() if one.subject == claims["sub"]), None)
    actors = (client.client_id, *_actors(claims.get("act")))
    return Grant(client.client_id, person, asked, audience_asked(form), actors=actors)


def _claims(state: IssuerState, subject_token: str) -> dict[str, Any]:
    claims = state.keys.read(subject_token)
    if claims is None or "scope" not in claims or state.now() >= claims["exp"]:
        raise OAuthError("invalid_token", "The subject token is unknown or expired.", 401)
    if claims["jti"] in state.revoked_ids:
        raise OAuthError("invalid_token", "The subject token is revoked.", 401)
    return claims


def _actors(act: Any) -> tuple[str, ...]:
    return (act["sub"], *_actors(act.get("act"))) if act else ()
