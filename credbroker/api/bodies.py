"""Reads what a request brings, within a time limit: a body that trickles in holds nothing up."""

from __future__ import annotations

import asyncio

from aiohttp import web

BODY_SECONDS = 15.0


async def body_of(request: web.Request) -> bytes:
    """Return the whole body; answer with status 408 if it is not here within `BODY_SECONDS`.

    Status 400 is for what breaks off, or is not what it says.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (ConnectionError, web.RequestPayloadError):
        raise web.HTTPBadRequest from None
