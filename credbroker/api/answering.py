"""Gives every request an id, and every error the form that its asker reads.

What lies under `/v1/` is answered in Vault's form, OAuth's endpoints in OAuth's, the rest as problems.
None holds a stack trace, a secret or an issuer's own words. What a caller is refused is in the audit
trail before the answer leaves. Documents that anybody may read, and keep, go out as they are.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar, cast

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from structlog.contextvars import bind_contextvars, reset_contextvars

from credbroker.api.problems import CLIENT_ID, COMMUNITY, LEASE_ID, REQUEST_ID, plain, problem
from credbroker.api.vault_answers import vault_errors
from credbroker.domain.errors import (
    BrokerFault,
    Busy,
    CredbrokerError,
    GrantLost,
    Malformed,
    NotFound,
    Refused,
)
from credbroker.ports import Audit, Entropy

_FRAMEWORK: Mapping[int, CredbrokerError] = {
    404: NotFound("There is nothing at this address.", "See /api/v1/openapi.json."),
    405: Malformed("This address does not take this method."),
    408: Busy("The request was too long on its way."),
    413: Malformed("The request is larger than 64 KiB."),
}
_NOT_UNDERSTOOD = Malformed("The request cannot be understood.")
_GIVEN_ID = re.compile(r"[A-Za-z0-9_-]{8,64}\Z")
# What HTVault's clients ask for.
_VAULT_PATHS = ("/v1/", "/htgettokenopts.txt")

WELL_KNOWN = "/.well-known/"
_PUBLIC_DOCUMENT, _AT_ONCE = "public_document", "at_once"

ErrorForm = Callable[[CredbrokerError, str], web.Response]
"""Writes an error, with the request's id, as an answer."""
ERROR_FORM: web.RequestKey[ErrorForm] = web.RequestKey("error_form")
"""How what goes wrong in this request is written, if its path does not say so."""
AtOnce = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
AT_ONCE: web.AppKey[Mapping[str, AtOnce]] = web.AppKey("at_once")
"""What answers before any route is looked for, by path."""
Answering = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]
"""Has a handler answer a request, with all that this module gives an answer."""
H = TypeVar("H", bound=Callable[..., object])

log = structlog.get_logger(__name__)


def public_document(handler: H) -> H:
    """Mark a handler that cannot fail: its answers are the same for all, and go out untouched."""
    setattr(handler, _PUBLIC_DOCUMENT, True)
    return handler


def at_once(handler: H) -> H:
    """Mark a handler that is asked too often to be looked for among all routes.

    It judges the method itself, and has no use for what the framework makes of the path.
    """
    setattr(handler, _AT_ONCE, True)
    return handler


def answered_at_once(routes: Iterable[web.RouteDef], answering: Answering) -> Mapping[str, AtOnce]:
    """Return what answers before any route is looked for, by path."""
    found: dict[str, AtOnce] = {}
    for one in routes:
        if _is_public(one.handler):
            found[one.path] = cast("AtOnce", one.handler)
        elif getattr(one.handler, _AT_ONCE, False):
            found[one.path] = cast("AtOnce", _with(cast("Handler", one.handler), answering))
    return found


def _with(handler: Handler, answering: Answering) -> Handler:
    return lambda request: answering(request, handler)


def _is_public(handler: object) -> bool:
    return getattr(handler, _PUBLIC_DOCUMENT, False) is True


def form_of(request: web.Request, error: CredbrokerError) -> web.Response:
    """Write an error in the form that belongs to the request."""
    write = request.get(ERROR_FORM) or form_at(request.path)
    return write(error, request[REQUEST_ID])


def form_at(path: str) -> ErrorForm:
    """Return the form in which an error is written at this path."""
    if path.startswith(_VAULT_PATHS):
        return vault_errors
    # ARC CE takes any JSON there for an issuer's metadata, and dies of what is missing in it.
    return plain if WELL_KNOWN in path else problem


def answering_problems(entropy: Entropy, audit: Audit) -> Middleware:
    """Return the middleware that has all but public documents answered as `answering` says."""
    answer = answering(entropy, audit)

    @web.middleware
    async def unless_public(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _is_public(request.match_info.handler):
            return await handler(request)
        return await answer(request, handler)

    return unless_public


def answering(entropy: Entropy, audit: Audit) -> Answering:
    """Return what gives every request an id, every error its form.

    A refusal is written to `audit`; if it cannot be, the answer says that instead.
    """

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("X-Request-Id", "")
        request_id = given if _GIVEN_ID.match(given) else entropy.token(12)
        request[REQUEST_ID] = request_id
        bound = bind_contextvars(request_id=request_id)
        try:
            answered = await _answered(request, handler, audit)
        finally:
            reset_contextvars(**bound)
        answered.headers["X-Request-Id"] = request_id
        answered.headers[hdrs.CACHE_CONTROL] = "no-store"
        answered.headers[hdrs.X_CONTENT_TYPE_OPTIONS] = "nosniff"
        return answered

    return answer


async def _answered(request: web.Request, handler: Handler, audit: Audit) -> web.StreamResponse:
    try:
        return await _audited(request, handler, audit)
    except CredbrokerError as error:
        log.info("refused", path=request.path, error=error.code, why=error.sentence)
        return form_of(request, error)
    except web.HTTPException as error:
        return _of_framework(request, error)
    except Exception:
        log.exception("broker_fault", path=request.path)
        return form_of(request, BrokerFault("Something went wrong inside the broker."))


async def _audited(request: web.Request, handler: Handler, audit: Audit) -> web.StreamResponse:
    try:
        return await handler(request)
    except (Refused, GrantLost) as error:
        await record_refusal(audit, request, error, request.get(LEASE_ID))
        raise


async def record_refusal(
    audit: Audit, request: web.Request, error: CredbrokerError, lease_id: str | None
) -> None:
    """Write that a request, or one entry of it, was refused to who shows this lease."""
    await audit.record(
        "refused",
        request_id=request[REQUEST_ID],
        address=request.remote,
        lease=lease_id,
        community=request.get(COMMUNITY),
        client_id=request.get(CLIENT_ID),
        method=request.method,
        path=request.path,
        error=error.code,
        why=error.sentence,
    )


def _of_framework(request: web.Request, error: web.HTTPException) -> web.Response:
    answer = form_of(request, _FRAMEWORK.get(error.status, _NOT_UNDERSTOOD))
    answer.set_status(error.status)
    if error.status == 408:
        answer.force_close()  # the rest of the body may still come (RFC 9110 section 15.5.9)
    if "Allow" in error.headers:
        answer.headers["Allow"] = error.headers["Allow"]
    return answer
