"""Answers what never reaches a route: what is no HTTP request, or expects what nobody here does.

The framework would send the offending line back, with a vault token that may stand in it, and write
it to the log with a stack trace. Here neither the answer nor the log holds a byte of what came. Public
documents and OAuth's endpoints are answered here, too: some read the former at each check of a token,
and ask the latter a thousand times a second; on the way through the routes they would cost more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web, web_app

from credbroker.api.answering import AT_ONCE, form_at
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

    def connection_from(self, caller: tuple[str, int]) -> web.RequestHandler:
        """Return what serves one connection, from a caller of whom somebody else told us."""
        server = self.server
        assert isinstance(server, _Server), "the runner is set up"
        return _Connection(server, caller)

    async def turn_to(self, app: web.Application) -> Callable[[], Awaitable[None]]:
        """Let `app` answer from now on, also who is connected already.

        Return what returns once all is answered that came before.
        """
        server = self.server
        assert isinstance(server, _Server), "the runner is set up"
        self._app = app
        before, server.behind = server.behind, _Behind(await super()._make_server(), app)
        return before.emptied

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made, self._entropy, _Behind(made, self.app))


class _Behind:
    """The application behind the connections, and how many requests it has in hand."""

    def __init__(self, made: web.Server, app: web.Application) -> None:
        self.request_of = made.request_factory
        self._routed = made.request_handler
        self._at_once = app.get(AT_ONCE, {})
        self._in_hand = 0
        self._empty = asyncio.Event()
        self._empty.set()

    async def answer(self, request: web.BaseRequest, *, routed: bool = False) -> web.StreamResponse:
        """Answer, by the routes alone where it must be `routed`."""
        self._in_hand += 1
        self._empty.clear()
        try:
            asked = self._routed if routed else self._at_once.get(request.path, self._routed)
            return await asked(request)
        finally:
            self._in_hand -= 1
            if not self._in_hand:
                self._empty.set()

    async def emptied(self) -> None:
        """Return once nothing is in hand any more, and the framework holds none of the routes."""
        await self._empty.wait()
        web_app._cached_build_middleware.cache_clear()  # noqa: SLF001 - said in no other way


class _Server(web.Server):
    """The server that the framework made, with connections of ours."""

    def __init__(self, made: web.Server, entropy: Entropy, behind: _Behind) -> None:
        self.settings: dict[str, Any] = made._kwargs  # noqa: SLF001 - said in no other way
        super().__init__(self._answered, request_factory=self._request_of, **self.settings)
        self.behind = behind
        self._entropy = entropy

    def _request_of(self, *parts: Any) -> web.BaseRequest:
        """Return a request; a connection keeps this, and shall not keep an application by it."""
        return self.behind.request_of(*parts)

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        # RFC 9110 section 10.1.1; the framework's own answer would repeat what was expected.
        expected = request.headers.get("Expect")
        if expected is None:
            return await self.behind.answer(request)
        if expected.lower() != _CONTINUE:
            return self.refused(request, 417)
        return await self.behind.answer(request, routed=True)  # which tells the client to go on

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
    __slots__ = ("_caller", "_server")

    def __init__(self, server: _Server, caller: tuple[str, int] | None = None) -> None:
        super().__init__(server, loop=server._loop, **server.settings)  # noqa: SLF001 - as above
        self._server = server
        self._caller = caller

    @property
    def peername(self) -> str | tuple[str, int, int, int] | tuple[str, int] | None:
        """The address of the caller, which is the other end of the connection or behind it."""
        return self._caller or super().peername

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
