"""From an error to an OAuth answer: one table of codes, in the form of RFC 6749 section 5.2.

Success is status 200 and nothing else. No answer is kept by anybody on its way, and none repeats what
the request said.
"""

from __future__ import annotations

from aiohttp import hdrs, web
from multidict import CIMultiDict

from credbroker.api.issuer_openapi import ISSUER_OPENAPI
from credbroker.api.problems import retry_after
from credbroker.domain.errors import (
    AudienceRefused,
    BrokerFault,
    ClientNotAllowed,
    CredbrokerError,
    GrantLost,
    LeaseEnded,
    Malformed,
    Misconfigured,
    NotAllowed,
    OutsideCeiling,
    Refused,
    ScopeRefused,
    TokenRefused,
    TooManyRequests,
    Unavailable,
    UnknownClient,
)
from credbroker.telemetry.redact import redact
from credbroker.wire.native import OPENAPI
from credbroker.wire.oauth import write_refused


class UnknownGrant(Malformed):
    """The token endpoint knows no such kind of grant."""

    default_remedy = "Use client_credentials, refresh_token or token exchange (RFC 8693)."


class SubjectRefused(TokenRefused):
    """A token that is to be exchanged is not good, which RFC 8693 section 2.2.2 has a code for."""


# The first kind that fits decides, so the particular ones stand above their families.
CODES: list[tuple[type[CredbrokerError], int, str]] = [
    (UnknownGrant, 400, "unsupported_grant_type"),
    (SubjectRefused, 400, "invalid_request"),
    (Malformed, 400, "invalid_request"),
    (UnknownClient, 401, "invalid_client"),
    (ClientNotAllowed, 400, "unauthorized_client"),
    (NotAllowed, 400, "unauthorized_client"),
    (ScopeRefused, 400, "invalid_scope"),
    (OutsideCeiling, 400, "invalid_scope"),
    (AudienceRefused, 400, "invalid_target"),
    (TokenRefused, 400, "invalid_grant"),
    (LeaseEnded, 400, "invalid_grant"),
    (GrantLost, 400, "invalid_grant"),
    (Refused, 400, "invalid_request"),
    (TooManyRequests, 429, "temporarily_unavailable"),
    (BrokerFault, 500, "server_error"),
    (Unavailable, 503, "temporarily_unavailable"),
    (Misconfigured, 500, "server_error"),
]

_NOT_KEPT = {"Pragma": "no-cache"}  # RFC 6749 section 5.1; Cache-Control stands in every answer
_SAID = CIMultiDict({hdrs.CONTENT_TYPE: "application/json", **_NOT_KEPT})


def said(body: bytes) -> web.Response:
    """Return the answer of success that carries a body."""
    return web.Response(body=body, headers=_SAID.copy())


def refused(error: CredbrokerError, request_id: str) -> web.Response:
    """Write an error as an OAuth answer, with what to do about it in its description.

    A sentence may name a scope that was asked for; what looks like a token in it is left out. Where
    a remedy names the document of the native API, that of the issuers is meant here.
    """
    status, code = next(one[1:] for one in CODES if isinstance(error, one[0]))
    remedy = error.remedy.replace(OPENAPI, ISSUER_OPENAPI)
    answer = web.Response(
        status=status,
        body=write_refused(code, redact(f"{error.sentence} {remedy}"), request_id),
        content_type="application/json",
        headers=_NOT_KEPT,
    )
    if status == 401:
        answer.headers["WWW-Authenticate"] = 'Basic realm="credbroker"'
    return retry_after(answer, error)
