"""A reverse proxy between one broker and one OpenBao node: it watches, and loses answers when told.

What goes by is noted by the witness. A write can be held up before OpenBao sees it, or its answer
can be dropped after OpenBao has taken it; a claim is told from a successor by the record itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from credbroker.demo.issuer.endpoints import cut
from credbroker.demo.ports import free_port

if TYPE_CHECKING:
    from credbroker.ports import Clock, Entropy
    from tests.chaos.cluster import Cluster, Node
    from tests.chaos.witness import Witness, Write

_UPSTREAM_SECONDS = 20.0
_NOT_PASSED_ON = {"host", "connection", "content-length", "transfer-encoding", "content-encoding"}


@dataclass
class Trap:
    """Holds the next write that `catches` up before OpenBao sees it, or drops the answer to it.

    An answer is dropped only after OpenBao has taken the write. A trap springs once.
    """

    catches: Callable[[Write], bool]
    hold_seconds: float = 0.0
    drops_answer: bool = False
    sprung: bool = False

    def takes(self, write: Write | None, *, answered: bool) -> bool:
        """Tell if this write is caught now, and remember it."""
        if self.sprung or write is None or self.drops_answer is not answered:
            return False
        self.sprung = self.catches(write)
        return self.sprung


@dataclass
class _Way:
    node: Node
    runner: web.AppRunner
    port: int
    site: web.TCPSite | None = None

    async def follow(self) -> None:
        if self.node.runs and self.site is None:
            self.site = web.TCPSite(self.runner, "127.0.0.1", self.port)
            await self.site.start()
        elif not self.node.runs and self.site is not None:
            await self.site.stop()
            self.site = None


class Proxies:
    """One proxy for each broker and node."""

    def __init__(self, cluster: Cluster, witness: Witness, clock: Clock, entropy: Entropy) -> None:
        """Stand before `cluster` and tell `witness`."""
        self._cluster = cluster
        self._witness = witness
        self._clock = clock
        self._entropy = entropy
        self._ways: list[_Way] = []
        self._session: aiohttp.ClientSession | None = None
        self.traps: list[Trap] = []
        self.lives: Callable[[str], int] = lambda _: 0

    async def open(self) -> None:
        """Be ready to pass requests on."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=_UPSTREAM_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def addresses_for(self, broker: str) -> list[str]:
        """Open a way to each node for one broker; return the ways' addresses."""
        return [await self._listen(broker, node) for node in self._cluster.nodes]

    async def close(self) -> None:
        """Close every way."""
        for way in self._ways:
            await way.runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def follow(self) -> None:
        """Refuse connections for nodes that are not there, as they would themselves."""
        for way in self._ways:
            await way.follow()

    def set_trap(self, trap: Trap) -> Trap:
        """Let a trap wait for its write."""
        self.traps.append(trap)
        return trap

    async def _listen(self, broker: str, node: Node) -> str:
        async def pass_on(request: web.Request) -> web.StreamResponse:
            return await self._pass_on(request, broker, node)

        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", pass_on)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        way = _Way(node, runner, free_port(self._entropy))
        await way.follow()
        self._ways.append(way)
        return f"http://127.0.0.1:{way.port}"

    async def _pass_on(self, request: web.Request, broker: str, node: Node) -> web.StreamResponse:
        body = await request.read()
        write = self._noted(request, body, broker)
        for trap in self.traps:
            if trap.takes(write, answered=False):
                await self._clock.sleep(trap.hold_seconds)
                if request.transport is None or request.transport.is_closing():
                    return web.Response()  # who asked is gone, so OpenBao never hears of it
        answer = await self._asked(request, body, node)
        if answer is None:
            cut(request.transport)
            return web.Response()
        self._note_answer(request, write, answer)
        is_taken = write is not None and answer.status == 200
        if is_taken and any(one.takes(write, answered=True) for one in self.traps):
            cut(request.transport)
        self.traps = [one for one in self.traps if not one.sprung]
        return answer

    async def _asked(self, request: web.Request, body: bytes, node: Node) -> web.Response | None:
        assert self._session is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _NOT_PASSED_ON}
        try:
            async with self._session.request(
                request.method, f"{node.address}{request.path_qs}",
                data=body or None, headers=headers, allow_redirects=False,
            ) as answered:  # fmt: skip
                read = await answered.read()
        except (aiohttp.ClientError, TimeoutError):
            return None
        kept = {k: v for k, v in answered.headers.items() if k.lower() not in _NOT_PASSED_ON}
        return web.Response(status=answered.status, body=read, headers=kept)

    def _noted(self, request: web.Request, body: bytes, broker: str) -> Write | None:
        record = _record(body).get("data") if request.method == "POST" else None
        segment = self._segment(request)
        if not segment or not isinstance(record, dict):
            return None
        return self._witness.sent(broker, self.lives(broker), segment, record)

    def _note_answer(self, request: web.Request, write: Write | None, answer: web.Response) -> None:
        if answer.status != 200 or not isinstance(answer.body, bytes):
            return
        if write is not None:
            self._witness.committed(write)
        elif request.method == "GET" and self._segment(request):
            found = _record(answer.body).get("data") or {}
            if isinstance(found.get("data"), dict):
                self._witness.read(found["data"])

    def _segment(self, request: web.Request) -> str:
        place, _, segment = request.path.rpartition("/")
        return segment if place == f"/v1/{self._cluster.mount}/data/grants" else ""


def _record(body: bytes) -> dict[str, Any]:
    try:
        read = json.loads(body)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
