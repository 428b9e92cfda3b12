"""`python -m bench.bare_aiohttp PORT`: answers GET with bytes it was given, as a peer.

It has one route for each path, and no more headers than aiohttp's own. What it is told is what to
answer: texts by path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from bench.peer_app import serve_peer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping


def _handler(body: bytes) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return answer


def _app(bodies: Mapping[str, str]) -> web.Application:
    app = web.Application()
    for path, body in bodies.items():
        app.router.add_get(path, _handler(body.encode()))
    return app


if __name__ == "__main__":
    serve_peer(_app)
