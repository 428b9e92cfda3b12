"""Reads a request of OAuth's: its form, which client shows itself, and what is asked for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from aiohttp import web

from credbroker.api.bodies import body_of
from credbroker.broker.issuing.remembering import Remembering
from credbroker.domain.errors import Malformed, ScopeRefused, UnknownClient
from credbroker.domain.policy import Asked
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.wire.exchange import ACCESS_TOKEN_TYPE
from credbroker.wire.oauth import (
    CLIENT_GRANT,
    JWT_TYPE,
    REFRESH_TOKEN_TYPE,
    Form,
    Login,
    basic_login,
)

MOST_USUAL, _LONGEST_USUAL = 1000, 2048
_ACCESS = frozenset({ACCESS_TOKEN_TYPE, JWT_TYPE})
_SAFE = frozenset({"grant_type", "scope", "client_id"})
_usual = Remembering[Form](MOST_USUAL)


async def form_in(request: web.Request) -> Form:
    """Return the parameters in the body; raise `Malformed` for what is no form.

    Other methods than POST are answered with status 405, larger bodies than 64 KiB with 413.
    """
    if request.method != "POST":
        raise web.HTTPMethodNotAllowed(request.method, ["POST"])
    body = await body_of(request)
    return _usual.get(body) or _read(body)


def _read(body: bytes) -> Form:
    """Read a form, and remember what services send over and over: nothing that has a secret in it."""
    form = Form.read(body)
    is_usual = form.get("grant_type") == CLIENT_GRANT and _SAFE.issuperset(form.parameters)
    if is_usual and len(body) <= _LONGEST_USUAL:
        _usual.keep(body, form)
    return form


def login_in(request: web.Request, form: Form) -> Login:
    """Return the id and secret shown, by header or form (RFC 6749 section 2.3.1), not by both.

    Raises `Malformed` for two that differ or a header that cannot be read, `UnknownClient` for none.
    """
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    name, secret = form.get("client_id"), form.get("client_secret")
    if scheme.lower() == "basic":
        if secret is not None:
            raise Malformed(
                "The client shows a secret in header and form.", "Show it in one of them."
            )
        login = basic_login(text)
        if name is not None and name not in login.ids:
            raise Malformed(
                "Header and form name different clients.", "Name it in the header alone."
            )
        return login
    if name is None or secret is None:
        raise UnknownClient("No client id and secret were shown.")
    return Login((name,), (secret,))


def asked_in(form: Form) -> Asked:
    """Return what a request asks for; raise `ScopeRefused`, without a word of it, for a bad scope."""
    try:
        scope = form.get("scope")
        scopes = _scopes(scope) if scope is not None else None
    except Malformed:
        raise ScopeRefused(
            "A scope that is asked for is not in the form that may be signed."
        ) from None
    return Asked(scopes, form.audiences or None)


def _scopes(text: str) -> ScopeSet:
    return _usual_scopes(text) if len(text) <= _LONGEST_USUAL else ScopeSet.parse(text)


_usual_scopes = lru_cache(MOST_USUAL)(ScopeSet.parse)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request to exchange a token (RFC 8693 section 2.1)."""

    subject_token: Secret
    actor_token: Secret | None
    wants_refresh_token: bool


def exchange_in(form: Form) -> Exchange:
    """Return what is to be exchanged for what; raise `Malformed` for kinds that are not known here."""
    _check_kind(form.needed("subject_token_type"), _ACCESS, "subject_token_type")
    wanted = form.get("requested_token_type") or ACCESS_TOKEN_TYPE
    _check_kind(wanted, {*_ACCESS, REFRESH_TOKEN_TYPE}, "requested_token_type")
    return Exchange(
        form.secret("subject_token", "access token"), _actor_in(form), wanted == REFRESH_TOKEN_TYPE
    )


def _actor_in(form: Form) -> Secret | None:
    if (form.get("actor_token") is None) != (form.get("actor_token_type") is None):
        raise Malformed(
            "Of actor_token and actor_token_type there is only one.", "Send both or none."
        )
    if form.get("actor_token") is None:
        return None
    _check_kind(form.needed("actor_token_type"), _ACCESS, "actor_token_type")
    return form.secret("actor_token", "access token")


def _check_kind(kind: str, known: Collection[str], parameter: str) -> None:
    if kind not in known:
        raise Malformed(
            f"The {parameter} is none that is known here.", f"Use one of: {' '.join(sorted(known))}"
        )
