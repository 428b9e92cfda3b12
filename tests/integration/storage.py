"""A storage service behind real TLS, which knows its tokens and tells of those that are not good."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.host.clock import SystemClock
from credbroker.wire.jwt import read_access_token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass
class Storage:
    """Listens at `url`; tokens by the `jti`s in `refused` are not good any more (RFC 6750)."""

    url: str = ""
    refused: set[str] = field(default_factory=set)
    sends_on_to: str = ""
    """Where everybody is redirected to, if anywhere."""
    seen: list[str | None] = field(default_factory=list)
    """The `jti` of each request's token; None for one without."""
    stored: list[bytes] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request, for a token that is for this service alone."""
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        body = await request.read()
        try:
            token = read_access_token(Secret("access token", shown), SystemClock().now())
        except Malformed:
            self.seen.append(None)
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        assert (scheme, token.audiences) == ("Bearer", (self.url,))
        self.seen.append(token.jti)
        if token.jti in self.refused:
            challenge = 'Bearer error="invalid_token"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        if self.sends_on_to:
            return web.Response(status=307, headers={"Location": self.sends_on_to})
        self.stored.append(body)
        return web.Response(text=f"you read {request.path}")


@asynccontextmanager
async def serving_storage(certificate: Path, key: Path) -> AsyncIterator[Storage]:
    """Have a service with this certificate for the length of a block."""
    storage, app = Storage(), web.Application()
    app.router.add_route("*", "/{path:.*}", storage.answer)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        storage.url = f"https://localhost:{runner.addresses[0][1]}"
        yield storage
    finally:
        await runner.cleanup()
