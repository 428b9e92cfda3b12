"""What can be made to go wrong, when, and how often.

A fault is switched on for one endpoint: once, n times, or until cleared; `only` narrows it to some
requests. `acted` says if the issuer does what it was asked before the fault shows: a refresh that
was acted on has rotated its refresh token, whatever the client got to see.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Form = Mapping[str, str]
Claims = dict[str, Any]


class Endpoint(enum.Enum):
    """Where a request arrives; the value is the path below the issuer's address."""

    TOKEN = "token"  # noqa: S105 - a path
    DEVICECODE = "devicecode"
    JWKS = "jwk"
    DISCOVERY = ".well-known/openid-configuration"
    REVOKE = "revoke"
    INTROSPECT = "introspect"
    USERINFO = "userinfo"


@dataclass(frozen=True, slots=True)
class Slow:
    """The answer takes `seconds` of the issuer's clock; a client that hangs up changes nothing."""

    seconds: float
    acted: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is cut without an answer."""

    acted: bool


@dataclass(frozen=True, slots=True)
class Spoiled:
    """Another answer than the issuer's own; `{refresh_token}` in the body is the one presented."""

    status: int
    body: str
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    acted: bool = False


@dataclass(frozen=True, slots=True)
class Flaw:
    """Signed tokens come out wrong: claims changed, or signed by a key that is not ours."""

    name: str
    change: Callable[[Claims], Claims] = field(default=dict, repr=False)
    forged: bool = False


Fault = Slow | Lost | Spoiled | Flaw

LOST_ANSWER = Lost(acted=True)
LOST_REQUEST = Lost(acted=False)
ERROR_500 = Spoiled(500, '{"error": "server_error", "error_description": "Internal error"}')
HTML_BODY = Spoiled(502, "<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html")
WRONG_KEY = Flaw("wrong key", forged=True)


def after_acting(fault: Spoiled) -> Spoiled:
    """Return the same fault, shown after the issuer has acted."""
    return replace(fault, acted=True)


def oauth_error(error: str, description: str, status: int = 400) -> Spoiled:
    """Refuse as OAuth does, whatever was asked."""
    return Spoiled(status, json.dumps({"error": error, "error_description": description}))


SLOW_DOWN = oauth_error("slow_down", "Polled too soon.")
LEAKY_ERROR = oauth_error("invalid_grant", "Invalid refresh token: {refresh_token}")
"""The description repeats the refresh token, as IAM's may."""


def too_many(retry_after: int) -> Spoiled:
    """Answer 429 with `Retry-After` in seconds (RFC 6585 section 4)."""
    headers = (("Retry-After", str(retry_after)),)
    return Spoiled(429, "Too many requests", "text/plain", headers)


def redirect_307(url: str) -> Spoiled:
    """Send the client elsewhere with its whole request."""
    return Spoiled(307, "", "text/plain", (("Location", url),))


def wider_scope(extra: str) -> Flaw:
    """Put scope items nobody asked for into access tokens, and into the answer's `scope`."""

    def widen(claims: Claims) -> Claims:
        return claims | {"scope": f"{claims['scope']} {extra}"} if "scope" in claims else claims

    return Flaw("wider scope", widen)


def wrong_audience(audience: str) -> Flaw:
    """Replace `aud` in access tokens; ID tokens keep theirs."""

    def misdirect(claims: Claims) -> Claims:
        return claims | {"aud": audience} if "scope" in claims else claims

    return Flaw("wrong audience", misdirect)


def wrong_issuer(issuer: str) -> Flaw:
    """Replace `iss`."""
    return Flaw("wrong issuer", lambda claims: claims | {"iss": issuer})


def wlcg_version(version: str | None) -> Flaw:
    """Replace `wlcg.ver`, or leave it out with None."""

    def stamp(claims: Claims) -> Claims:
        rest = {name: value for name, value in claims.items() if name != "wlcg.ver"}
        return rest if version is None else rest | {"wlcg.ver": version}

    return Flaw("wlcg.ver", stamp)


def skewed_clock(seconds: int) -> Flaw:
    """Issue tokens as if the issuer's clock were off by `seconds`; positive is ahead."""

    def shift(claims: Claims) -> Claims:
        return claims | {name: claims[name] + seconds for name in ("iat", "nbf", "exp")}

    return Flaw("skewed clock", shift)


def every_request(form: Form) -> bool:
    """Let a fault meet all requests."""
    del form
    return True


def grant_type(name: str) -> Callable[[Form], bool]:
    """Let a fault meet only token requests of one grant type."""
    return lambda form: form.get("grant_type") == name


@dataclass(slots=True)
class _Switched:
    fault: Fault
    left: int | None
    only: Callable[[Form], bool]


class FaultTable:
    """Which faults are on, per endpoint, in the order they were switched on."""

    def __init__(self) -> None:
        """Begin without any."""
        self._on: dict[Endpoint, list[_Switched]] = {}

    def on(
        self,
        endpoint: Endpoint,
        fault: Fault,
        *,
        times: int | None = 1,
        only: Callable[[Form], bool] = every_request,
    ) -> None:
        """Switch a fault on for the next `times` requests that `only` picks; None: until cleared."""
        self._on.setdefault(endpoint, []).append(_Switched(fault, times, only))

    def clear(self, endpoint: Endpoint | None = None) -> None:
        """Switch all faults off, of one endpoint or of all."""
        for one in [endpoint] if endpoint else list(self._on):
            self._on.pop(one, None)

    def take(self, endpoint: Endpoint, form: Form) -> list[Fault]:
        """Return the faults a request meets; each is used up by one."""
        met = [one for one in self._on.get(endpoint, []) if one.only(form) and one.left != 0]
        for one in met:
            one.left = one.left - 1 if one.left else None
        self._on[endpoint] = [one for one in self._on.get(endpoint, []) if one.left != 0]
        return [one.fault for one in met]


def flaws_of(met: list[Fault]) -> list[Flaw]:
    """Return those faults that spoil signed tokens."""
    return [fault for fault in met if isinstance(fault, Flaw)]
