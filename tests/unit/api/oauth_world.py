"""Issuers of ours behind the application's own middlewares, asked over a plain socket."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from aiohttp import web

from credbroker.api.app import build_app
from credbroker.api.connections import Runner
from credbroker.api.oauth import issuer_routes
from credbroker.api.strangers import Strangers
from credbroker.domain.limits import Allowance
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.fakes.granting import CLIENT, SECRET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from credbroker.broker.issuing.communities import CommunityIssuer

BURST = 3
TOKEN = "/dteam/token"
BASIC = {"Authorization": "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()}


@dataclass(frozen=True)
class Said:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """What the body says."""
        return json.loads(self.body)

    @property
    def code(self) -> tuple[int, str]:
        """Status and OAuth's word of an error, whose answer has its proper form."""
        assert set(self.json) == {"error", "error_description", "request_id"}
        assert self.headers["cache-control"] == "no-store"
        assert self.headers["pragma"] == "no-cache"
        assert self.headers["content-type"].startswith("application/json")
        return self.status, self.json["error"]


class Asker:
    """Asks one port."""

    def __init__(self, port: int, audit: FakeAudit, clock: FakeClock) -> None:
        self.port = port
        self.audit = audit
        self.clock = clock

    async def raw(self, request: bytes) -> Said:
        """Send these bytes; return what is answered until the connection is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        said = await reader.read()
        writer.close()
        await writer.wait_closed()
        head, _, body = said.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return Said(int(status.split()[1]), {k.lower(): v for k, v in headers.items()}, body)

    async def ask(
        self,
        target: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Said:
        """Send a request for exactly this target."""
        lines = [f"{method} {target} HTTP/1.1", "Host: broker", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        return await self.raw("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    async def post(
        self,
        form: Mapping[str, str] | bytes,
        target: str = TOKEN,
        headers: Mapping[str, str] = BASIC,
    ) -> Said:
        """Send a form, as the client that is known."""
        body = form if isinstance(form, bytes) else urlencode(form).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self.ask(target, "POST", {**kind, **headers}, body)


@asynccontextmanager
async def served(*communities: CommunityIssuer) -> AsyncIterator[Asker]:
    """Serve these issuers."""
    audit, clock = FakeAudit(), FakeClock()
    strangers = Strangers(Allowance(1.0, BURST), clock)
    routes = issuer_routes(communities, strangers, clock)
    runner = Runner(build_app([], routes, FakeEntropy(), audit, "https://b"), FakeEntropy())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Asker(runner.addresses[0][1], audit, clock)
    await runner.cleanup()
