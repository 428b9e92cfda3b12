"""From an error to an HTTP answer: one table, and the middleware that uses it.

Every answer that is no success is a JSON problem with a request id; none holds a stack trace, a
secret or an issuer's own words.
"""

from __future__ import annotations

import re

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

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
    Unavailable,
)
from credbroker.ports import Entropy
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
    (Unavailable, 503),
    (Misconfigured, 502),
]
RETRY_AFTER_SECONDS = 2
REQUEST_ID = web.RequestKey("request_id", str)
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
    if answer.status == 503:
        answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if answer.status == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="credbroker"'
    return answer


def answering_problems(entropy: Entropy) -> Middleware:
    """Return the middleware that gives every request an id and every error its form."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("X-Request-Id", "")
        request_id = given if _GIVEN_ID.match(given) else entropy.token(12)
        request[REQUEST_ID] = request_id
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            answered = await _answered(request, handler, request_id)
        answered.headers["X-Request-Id"] = request_id
        answered.headers["Cache-Control"] = "no-store"
        answered.headers["X-Content-Type-Options"] = "nosniff"
        return answered

    return answer


async def _answered(request: web.Request, handler: Handler, request_id: str) -> web.StreamResponse:
    try:
        return await handler(request)
    except CredbrokerError as error:
        log.info("refused", path=request.path, error=error.code, why=error.sentence)
        return problem(error, request_id)
    except web.HTTPException as error:
        return problem(_of_framework(error), request_id)
    except Exception:
        log.exception("broker_fault", path=request.path)
        return problem(BrokerFault("Something went wrong inside the broker."), request_id)


def _of_framework(error: web.HTTPException) -> CredbrokerError:
    if error.status == 404:
        return NotFound("There is nothing at this address.", "See /api/v1/openapi.json.")
    if error.status == 405:
        return Malformed("This address does not take this method.")
    if error.status == 413:
        return Malformed("The request is larger than 64 KiB.")
    return Malformed("The request cannot be understood.")
