"""Puts the surfaces together into one aiohttp application."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from credbroker.api.native import NativeApi
from credbroker.api.openapi import document
from credbroker.api.problems import answering_problems
from credbroker.ports import Audit, Entropy
from credbroker.wire.native import OPENAPI

LARGEST_REQUEST_BYTES = 64 * 1024


def build_app(
    native: NativeApi,
    open_routes: Iterable[web.RouteDef],
    entropy: Entropy,
    audit: Audit,
    public_url: str,
) -> web.Application:
    """Return the application that answers on the broker's one port.

    `open_routes` are for operators: whoever reaches the port may ask there.
    """
    app = web.Application(
        middlewares=[answering_problems(entropy, audit)], client_max_size=LARGEST_REQUEST_BYTES
    )
    operations = native.operations()
    described = document(operations, public_url)

    async def openapi(_request: web.Request) -> web.Response:
        return web.json_response(described)

    app.add_routes([web.route(op.method, op.path, op.handler) for op in operations])
    app.add_routes([web.get(OPENAPI, openapi), *open_routes])
    return app
