"""Puts the surfaces together into one aiohttp application."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aiohttp import web

from credbroker.api.answering import (
    AT_ONCE,
    answered_at_once,
    answering,
    answering_problems,
)
from credbroker.api.openapi import document
from credbroker.api.operations import Operation
from credbroker.ports import Audit, Entropy
from credbroker.wire.native import OPENAPI

LARGEST_REQUEST_BYTES = 64 * 1024


def build_app(
    operations: Sequence[Operation],
    routes: Iterable[web.RouteDef],
    entropy: Entropy,
    audit: Audit,
    public_url: str,
) -> web.Application:
    """Return the application that answers on the broker's one port.

    `operations` are the native API. `routes` are all that the OpenAPI document does not tell of: for
    operators, for other programs' clients, for browsers.
    """
    app = web.Application(
        middlewares=[answering_problems(entropy, audit)], client_max_size=LARGEST_REQUEST_BYTES
    )
    described = document(operations, public_url)

    async def openapi(_request: web.Request) -> web.Response:
        return web.json_response(described)

    routes = list(routes)
    app[AT_ONCE] = answered_at_once(routes, answering(entropy, audit))
    app.add_routes([web.route(op.method, op.path, op.handler) for op in operations])
    app.add_routes([web.get(OPENAPI, openapi), *routes])
    return app
