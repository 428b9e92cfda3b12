"""A server that gives tokens as an HTVault does and as a broker does, behind real TLS on loopback.

What it does with each vault token or lease is set by the test: refuse, end, fail, or say nothing.
"""

from __future__ import annotations

import ssl
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from credbroker.domain.errors import CredbrokerError, LeaseEnded
from credbroker.host.clock import SystemClock
from credbroker.wire import native
from credbroker.wire.jwt import read_access_token
from tests.fakes.broker import ISSUER_URL, access_token

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.domain.secret import Secret


@dataclass
class TokenServer:
    """Listens on a free port of one loopback address; `authority` is what a `vault_url` names."""

    life_seconds: float = 3600.0
    host: str = "127.0.0.1"
    refused: set[str] = field(default_factory=set)
    """Vault tokens that get "permission denied"; of leases, those that have ended."""
    troubled: bool = False
    """Whether it answers 503 to everybody."""
    hangs: bool = False
    """Whether it takes requests and does not answer for as long as this is so."""
    redirects: str = ""
    """Where it sends everybody, if anywhere."""
    asked: Counter[str] = field(default_factory=Counter)
    """How often each vault token or lease was shown."""
    queries: list[dict[str, str]] = field(default_factory=list)
    port: int = 0
    _runner: web.AppRunner | None = None

    async def start(self, certificate: Path, key: Path) -> None:
        """Listen with this certificate."""
        app = web.Application()
        app.router.add_get("/v1/{path:.+}", self._read)
        app.router.add_post(native.TOKENS_BATCH, self._batch)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        site = web.TCPSite(self._runner, self.host, self.port, ssl_context=tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port."""
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def authority(self) -> str:
        """Host and port as an address has them."""
        return f"{'[::1]' if ':' in self.host else 'localhost'}:{self.port}"

    def url(self, who: str = "alice") -> str:
        """Return the `vault_url` of a stored token."""
        return f"https://{self.authority}/v1/secret/oauth/creds/cms/{who}:default"

    async def _read(self, request: web.Request) -> web.Response:
        shown = request.headers["X-Vault-Token"]
        self.asked[shown] += 1
        self.queries.append(dict(request.query))
        await self._trouble()
        if self.redirects:
            return web.Response(status=307, headers={"Location": self.redirects})
        if self.troubled:
            return web.json_response({"errors": ["Vault is sealed"]}, status=503)
        if shown in self.refused:
            return web.json_response({"errors": ["permission denied"]}, status=403)
        return web.json_response({"data": {"access_token": self._token(shown).reveal()}})

    async def _batch(self, request: web.Request) -> web.Response:
        asked = native.AskTokens.read(await request.read())
        await self._trouble()
        if self.troubled:
            return web.Response(status=503)
        answer = native.TokensGiven([self._entry(one) for one in asked.entries])
        return web.Response(body=answer.write(), content_type="application/json")

    def _entry(self, asked: native.AskUnder) -> native.TokenOrProblem:
        shown = asked.lease_token.reveal()
        self.asked[shown] += 1
        if shown in self.refused:
            return native.TokenOrProblem(problem=_problem(LeaseEnded("This lease was ended.")))
        value = self._token(shown)
        token = read_access_token(value, SystemClock().now())
        given = native.TokenGiven(
            access_token=value,
            issuer="cms",
            issuer_url=ISSUER_URL,
            scopes=[str(one) for one in token.scopes],
            audiences=list(token.audiences),
            jti=token.jti,
            expires_at=token.expires_at,
            renew_at=token.issued_at + (token.expires_at - token.issued_at) / 2,
        )
        return native.TokenOrProblem(given=given, lease_id=asked.lease_id)

    async def _trouble(self) -> None:
        while self.hangs:
            await SystemClock().sleep(0.01)

    def _token(self, shown: str) -> Secret:
        return access_token(
            SystemClock().now(), seconds=self.life_seconds, jti=f"{shown[:8]}-{self.asked[shown]}"
        )


def _problem(error: CredbrokerError) -> native.Problem:
    return native.Problem(error.code, error.sentence, error.remedy)
