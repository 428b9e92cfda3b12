"""Puts the surfaces together into one aiohttp application."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from credbroker.api.answering import answering_problems
from credbroker.api.native import NativeApi
from credbroker.api.openapi import document
from credbroker.ports import Audit, Entropy
from credbroker.wire.native import OPENAPI

LARGEST_REQUEST_BYTES = 64 * 1024


def build_app(
    native: NativeApi,
    routes: Iterable[web.RouteDef],
    entropy: Entropy,
    audit: Audit,
    public_url: str,
) -> web.Application:
    """Return the application that answers on the broker's one port.

    `routes` are all that the OpenAPI document does not tell of: for operators, for other programs'
    clients, for browsers.
    """
    app = web.Application(
        middlewares=[answering_problems(entropy, audit)], client_max_size=LARGEST_REQUEST_BYTES
    )
    operations = native.operations()
    described = document(operations, public_url)

    async def openapi(_request: web.Request) -> web.Response:
        return web.json_response(described)

    app.add_routes([web.route(op.method, op.path, op.handler) for op in operations])
    app.add_routes([web.get(OPENAPI, openapi), *routes])
    return app
