"""Reads what a request brings, within a time limit: a body that trickles in holds nothing up."""

from __future__ import annotations

import asyncio

from aiohttp import web

from credbroker.domain.errors import Malformed

BODY_SECONDS = 15.0


async def body_of(request: web.Request, most_bytes: int | None = None) -> bytes:
    """Return the whole body; answer with status 408 if it is not here within `BODY_SECONDS`.

    Status 400 is for what breaks off, or is not what it says. Where `most_bytes` are read, more is
    `Malformed`; elsewhere the application's own limit holds, with status 413.
    """
    if most_bytes is not None:
        request = request.clone(client_max_size=most_bytes)
    try:
        if request.content.is_eof():
            return await request.read()  # it is here; a timer would take longer
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        if most_bytes is None:
            raise
        raise Malformed(f"This request may have {most_bytes // 1024} KiB at most.") from None
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (ConnectionError, web.RequestPayloadError):
        raise web.HTTPBadRequest from None
