"""Answers what never reaches a route: what is no HTTP request, or expects what nobody here does.

The framework would send the offending line back, with a vault token that may stand in it, and write
it to the log with a stack trace. Here neither the answer nor the log holds a byte of what came. Public
documents and OAuth's endpoints are answered here, too: some read the former at each check of a token,
and ask the latter a thousand times a second; on the way through the routes they would cost more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from aiohttp import web

from credbroker.api.answering import AT_ONCE, AtOnce, form_at
from credbroker.domain.errors import Malformed
from credbroker.ports import Entropy

_CONTINUE = "100-continue"
_NOT_UNDERSTOOD = Malformed("This is no request that the broker understands.")

log = structlog.get_logger(__name__)


class Runner(web.AppRunner):
    """Runs an application over such connections; keywords are the framework's own settings."""

    __slots__ = ("_entropy",)

    def __init__(self, app: web.Application, entropy: Entropy, **settings: Any) -> None:
        """Take the ids of these answers from `entropy`."""
        super().__init__(app, access_log=None, **settings)
        self._entropy = entropy

    async def _make_server(self) -> web.Server:
        return _Server(await super()._make_server(), self._entropy, self.app.get(AT_ONCE, {}))


class _Server(web.Server):
    """The server that the framework made, with connections of ours."""

    def __init__(self, made: web.Server, entropy: Entropy, at_once: Mapping[str, AtOnce]) -> None:
        self.settings: dict[str, Any] = made._kwargs  # noqa: SLF001 - said in no other way
        super().__init__(self._answered, request_factory=made.request_factory, **self.settings)
        self._routed = made.request_handler
        self._entropy = entropy
        self._at_once = at_once

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        # RFC 9110 section 10.1.1; the framework's own answer would repeat what was expected.
        expected = request.headers.get("Expect")
        if expected is None:
            return await self._at_once.get(request.path, self._routed)(request)
        if expected.lower() != _CONTINUE:
            return self.refused(request, 417)
        return await self._routed(request)  # which tells the client to go on

    def refused(self, request: web.BaseRequest, status: int = 400) -> web.Response:
        """Return the answer to a request that is not looked at any further."""
        request_id = self._entropy.token(12)
        log.info("not_understood", address=request.remote, request_id=request_id)
        answer = form_at(request.path)(_NOT_UNDERSTOOD, request_id)
        answer.set_status(status)
        answer.headers["X-Request-Id"] = request_id
        answer.force_close()
        return answer

    def __call__(self) -> web.RequestHandler:
        return _Connection(self)


class _Connection(web.RequestHandler):
    __slots__ = ("_server",)

    def __init__(self, server: _Server) -> None:
        super().__init__(server, loop=server._loop, **server.settings)  # noqa: SLF001 - as above
        self._server = server

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - the framework's, with what came
    ) -> web.StreamResponse:
        if status < 500:
            return self._server.refused(request)
        return super().handle_error(request, status, exc)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        # A body that nobody could unpack has been answered; whose fault it is, is clear.
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kw)
