"""A connection without a socket: bytes go to aiohttp's server, what it writes is kept and read."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.fakes.clock import turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.web import Server

    from tests.fakes.clock import FakeClock

# The longest way through the broker, between two waits for time, is some hundred turns of the loop.
_IDLE_TURNS = 80
_LAST_TURNS = 4
_PATIENCE_SECONDS = 20


class Line(asyncio.Transport):
    """What a server takes for its client's end."""

    def __init__(self) -> None:
        """Begin open, with nothing said."""
        super().__init__({"peername": ("192.0.2.9", 4711)})
        self.said = bytearray()
        self.is_over = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Keep what the server says."""
        self.said += data

    def close(self) -> None:
        """Know that the server has closed."""
        self.is_over = True

    abort = close

    def is_closing(self) -> bool:
        """True once the server has closed."""
        return self.is_over

    def pause_reading(self) -> None:
        """Have nothing more to say anyway."""

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        """Return that nothing waits to be written."""
        return 0


@dataclass(frozen=True)
class Said:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes


async def exchange(server: Server, request: bytes, clock: FakeClock) -> tuple[list[Said], bool]:
    """Send the bytes; return the answers, and whether the server still waited for more bytes.

    Time passes only where somebody in the broker waits for it; a client that has sent less than it
    announced hangs up after `_PATIENCE_SECONDS` of it.
    """
    line, connection = Line(), server()
    connection.connection_made(line)
    connection.data_received(request)
    waits_for_more = False
    for _ in range(_PATIENCE_SECONDS):
        if await _until(lambda: line.is_over or connection._waiter is not None):
            break
        clock.advance(1.0)
    else:
        waits_for_more = True
    connection.connection_lost(None)
    await turns(_LAST_TURNS)
    return _answers(request, bytes(line.said)), waits_for_more


async def _until(is_so: Callable[[], bool]) -> bool:
    for _ in range(_IDLE_TURNS):
        await turns(2)
        if is_so():
            return True
    return False


def _answers(request: bytes, said: bytes) -> list[Said]:
    """Take apart what a server said; an answer to HEAD tells the length of what it leaves out."""
    found = []
    while said:
        head, _, rest = said.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        pairs = [line.partition(": ") for line in lines]
        headers = {name.lower(): value for name, _, value in pairs}
        has_body = not (request.startswith(b"HEAD ") and (not rest or rest.startswith(b"HTTP/")))
        length = int(headers.get("content-length", "0")) if has_body else 0
        body, rest = rest[:length], rest[length:]
        if "transfer-encoding" in headers and has_body:
            body, rest = _chunks(rest)
        number = int(status.split()[1])
        if number >= 200:  # what comes before says only that more comes
            found.append(Said(number, headers, body, said[: len(said) - len(rest)]))
        said = rest
    return found


def _chunks(said: bytes) -> tuple[bytes, bytes]:
    """Return what comes in chunks, put together, and what follows it (RFC 9112 section 7.1)."""
    body = b""
    while said:
        size, _, said = said.partition(b"\r\n")
        length = int(size, 16)
        body, said = body + said[:length], said[length + 2 :]
        if not length:
            break
    return body, said


class AtOnce(ThreadPoolExecutor):
    """Does at once, in the caller's thread, what was meant for another: every run is the same."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        """Return what is done already."""
        done: Future[Any] = Future()
        try:
            done.set_result(call(*args, **named))
        except Exception as error:  # noqa: BLE001 - it belongs to who waits for it
            done.set_exception(error)
        return done
