"""From an error to an HTTP answer: one table, and the middleware that uses it.

Every answer that is no success is a JSON problem with a request id; none holds a stack trace, a
secret or an issuer's own words. What a caller is refused is in the audit trail before the answer
leaves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from credbroker.domain.errors import (
    BrokerFault,
    Busy,
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
)
from credbroker.ports import Audit, Entropy
from credbroker.wire.problem import write_problem

# The first kind that fits decides, so the particular ones stand above their families.
STATUS: list[tuple[type[CredbrokerError], int]] = [
    (Malformed, 400),
    (NotFound, 404),
    (LeaseUnknown, 401),
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
_FRAMEWORK: Mapping[int, CredbrokerError] = {
    404: NotFound("There is nothing at this address.", "See /api/v1/openapi.json."),
    405: Malformed("This address does not take this method."),
    408: Busy("The request was too long on its way."),
    413: Malformed("The request is larger than 64 KiB."),
}
_NOT_UNDERSTOOD = Malformed("The request cannot be understood.")
_GIVEN_ID = re.compile(r"[A-Za-z0-9_-]{8,64}\Z")

log = structlog.get_logger(__name__)


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
    if answer.status in {429, 503}:
        answer.headers["Retry-After"] = str(_retry_after_seconds(error))
    if answer.status == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="credbroker"'
    return answer


def _retry_after_seconds(error: CredbrokerError) -> int:
    wait = error.wait_seconds if isinstance(error, TooManyRequests) else 0.0
    return max(RETRY_AFTER_SECONDS, math.ceil(wait))


def answering_problems(entropy: Entropy, audit: Audit) -> Middleware:
    """Return the middleware that gives every request an id, every error its form.

    A refusal is written to `audit`; if it cannot be, the answer says that instead.
    """

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("X-Request-Id", "")
        request_id = given if _GIVEN_ID.match(given) else entropy.token(12)
        request[REQUEST_ID] = request_id
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            answered = await _answered(request, handler, audit)
        answered.headers["X-Request-Id"] = request_id
        answered.headers["Cache-Control"] = "no-store"
        answered.headers["X-Content-Type-Options"] = "nosniff"
        return answered

    return answer


async def _answered(request: web.Request, handler: Handler, audit: Audit) -> web.StreamResponse:
    request_id = request[REQUEST_ID]
    try:
        return await _audited(request, handler, audit)
    except CredbrokerError as error:
        log.info("refused", path=request.path, error=error.code, why=error.sentence)
        return problem(error, request_id)
    except web.HTTPException as error:
        return _of_framework(error, request_id)
    except Exception:
        log.exception("broker_fault", path=request.path)
        return problem(BrokerFault("Something went wrong inside the broker."), request_id)


async def _audited(request: web.Request, handler: Handler, audit: Audit) -> web.StreamResponse:
    try:
        return await handler(request)
    except (Refused, GrantLost) as error:
        await audit.record(
            "refused",
            request_id=request[REQUEST_ID],
            address=request.remote,
            lease=request.get(LEASE_ID),
            method=request.method,
            path=request.path,
            error=error.code,
            why=error.sentence,
        )
        raise


def _of_framework(error: web.HTTPException, request_id: str) -> web.Response:
    answer = problem(_FRAMEWORK.get(error.status, _NOT_UNDERSTOOD), request_id)
    answer.set_status(error.status)
    if error.status == 408:
        answer.force_close()  # the rest of the body may still come (RFC 9110 section 15.5.9)
    if "Allow" in error.headers:
        answer.headers["Allow"] = error.headers["Allow"]
    return answer
