"""Answers of one JSON object a line, each line sent as soon as it is there.

What goes wrong before the first line is answered as ever. What goes wrong later cuts the answer off, so
that nobody takes a part for the whole. A reader that hangs up or stands still ends the sending, and
nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import structlog
from aiohttp import web

from credbroker.api.problems import REQUEST_ID
from credbroker.wire.files import LINES

STALLED_SECONDS = 60.0
"""How long a reader may take nothing of what is sent."""

log = structlog.get_logger(__name__)


def wants_lines(request: web.Request) -> bool:
    """True if the asker takes lines, by name, in place of one object (RFC 9110 section 12.5.1)."""
    accepted = ",".join(request.headers.getall("Accept", ()))
    return any(one.partition(";")[0].strip().lower() == LINES for one in accepted.split(","))


async def answer_in_lines(request: web.Request, pieces: AsyncIterator[str]) -> web.StreamResponse:
    """Send `pieces`, each of some lines with their newlines; raise what the first one raises."""
    piece: str | None = await anext(pieces, None)
    answer = web.StreamResponse(
        headers={
            "Content-Type": LINES,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Request-Id": request[REQUEST_ID],
        }
    )
    try:
        await answer.prepare(request)
        while piece is not None:
            async with asyncio.timeout(STALLED_SECONDS):
                await answer.write(piece.encode())
            piece = await anext(pieces, None)
        async with asyncio.timeout(STALLED_SECONDS):
            await answer.write_eof()
    except (ConnectionError, TimeoutError):
        log.info("reader_gone", path=request.path)
        _cut_off(request)
    except Exception:
        # The answer has begun: an error of another form would stand in the midst of it.
        log.exception("broker_fault", path=request.path)
        _cut_off(request)
    return answer


def _cut_off(request: web.Request) -> None:
    """Drop the connection: an answer that is only returned would be ended as a whole one."""
    if request.transport is not None:
        request.transport.abort()


class Lines:
    """Lines that come from several sides, for one reader."""

    def __init__(self) -> None:
        """Begin with none."""
        self._waiting: list[str] = []
        self._some = asyncio.Event()
        self._complete = False

    def put(self, line: str) -> None:
        """Add a line, with its newline."""
        self._waiting.append(line)
        self._some.set()

    def close(self) -> None:
        """Add no more."""
        self._complete = True
        self._some.set()

    async def pieces(self) -> AsyncIterator[str]:
        """Give out what is there, whenever something is, until the end."""
        while self._waiting or not self._complete:
            await self._some.wait()
            self._some.clear()
            piece, self._waiting = "".join(self._waiting), []
            if piece:
                yield piece
