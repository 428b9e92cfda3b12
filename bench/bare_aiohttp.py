"""`python -m bench.bare_aiohttp PORT`: answers GET with bytes it was given, as a peer.

Plain HTTP on 127.0.0.1, one route for each path, and no more headers than aiohttp's own. What to
answer comes as JSON on standard input, texts by path; "{}" goes out once it answers.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

from aiohttp import web

from credbroker.host.loop import quick_loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping


def _handler(body: bytes) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return answer


async def _serve(port: int, bodies: Mapping[str, str]) -> None:
    app = web.Application()
    for path, body in bodies.items():
        app.router.add_get(path, _handler(body.encode()))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("{}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=quick_loop()) as runner:  # the loop that `serve` would take
        runner.run(_serve(int(sys.argv[1]), json.load(sys.stdin)))
