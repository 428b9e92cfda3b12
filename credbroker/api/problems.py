"""From an error to an HTTP answer of the native API: one table of statuses, one form.

An answer that is no success is a JSON problem with a request id; none holds a stack trace, a secret
or an issuer's own words.
"""

from __future__ import annotations

import math

from aiohttp import web

from credbroker.domain.errors import (
    BrokerFault,
    CredbrokerError,
    GrantLost,
    LeaseEnded,
    LeaseUnknown,
    Malformed,
    Misconfigured,
    NotFound,
    Refused,
    TooManyRequests,
    Unavailable,
    UnknownClient,
)
from credbroker.wire.problem import write_problem

# The first kind that fits decides, so the particular ones stand above their families.
STATUS: list[tuple[type[CredbrokerError], int]] = [
    (Malformed, 400),
    (NotFound, 404),
    (LeaseUnknown, 401),
    (UnknownClient, 401),
    (LeaseEnded, 401),
    (Refused, 403),
    (GrantLost, 403),
    (BrokerFault, 500),
    (TooManyRequests, 429),
    (Unavailable, 503),
    (Misconfigured, 502),
]
RETRY_AFTER_SECONDS = 2
REQUEST_ID = web.RequestKey("request_id", str)
LEASE_ID = web.RequestKey("lease_id", str)
"""The id of the lease that the request shows, whether or not it is a good one."""
CLIENT_ID = web.RequestKey("client_id", str)
"""The service that showed its secret, at an issuer of ours."""
COMMUNITY = web.RequestKey("community", str)
"""Whose issuer that is."""


def status_of(error: CredbrokerError) -> int:
    """Return the HTTP status for an error."""
    return next(status for kind, status in STATUS if isinstance(error, kind))


def problem(error: CredbrokerError, request_id: str) -> web.Response:
    """Write an error as an HTTP answer."""
    answer = web.Response(
        status=status_of(error),
        body=write_problem(error, request_id),
        content_type="application/json",
    )
    if answer.status == 401:
        scheme = "Basic" if isinstance(error, UnknownClient) else "Bearer"
        answer.headers["WWW-Authenticate"] = f'{scheme} realm="credbroker"'
    return retry_after(answer, error)


def plain(error: CredbrokerError, request_id: str) -> web.Response:
    """Write an error as a line of text, for who would take any JSON for what was looked for."""
    text = f"{error.sentence} (request id {request_id})\n"
    return retry_after(web.Response(status=status_of(error), text=text), error)


def retry_after(answer: web.Response, error: CredbrokerError) -> web.Response:
    """Say in an answer when the asker should come back, where that may help."""
    if answer.status in {429, 503}:
        wait = error.wait_seconds if isinstance(error, TooManyRequests) else 0.0
        answer.headers["Retry-After"] = str(max(RETRY_AFTER_SECONDS, math.ceil(wait)))
    return answer
