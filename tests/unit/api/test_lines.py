"""Lines leave as soon as they are there; what goes wrong before the first is answered as ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientConnectionError, web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from credbroker.api import lines
from credbroker.api.app import build_app
from credbroker.api.lines import Lines, answer_in_lines, wants_lines
from credbroker.domain.errors import Busy
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import turns
from tests.fakes.entropy import FakeEntropy

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("accepted", "wanted"),
    [
        (None, False),
        ("*/*", False),
        ("application/json", False),
        ("application/x-ndjson", True),
        ("application/json;q=0.1, Application/X-NDJSON; q=1", True),
        ("application/x-ndjson-not", False),
    ],
)
def test_lines_are_for_who_names_them(accepted: str | None, wanted: bool) -> None:
    """Old clients send */* and read one object."""
    headers = {} if accepted is None else {"Accept": accepted}
    assert wants_lines(make_mocked_request("POST", "/", headers)) is wanted


async def served(
    pieces: Callable[[], AsyncIterator[str]],
) -> TestClient[web.Request, web.Application]:
    """Return a client of a server that answers with these pieces."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await answer_in_lines(request, pieces())

    app = build_app([], [web.get("/", answer)], FakeEntropy(), FakeAudit(), "https://b")
    client = TestClient(TestServer(app))
    await client.start_server()
    return client


async def test_each_piece_leaves_before_the_next_is_made() -> None:
    """In the order in which they come."""
    go_on = asyncio.Event()

    async def pieces() -> AsyncIterator[str]:
        yield "1\n2\n"
        await go_on.wait()
        yield "3\n"

    async with await served(pieces) as client, client.get("/") as answer:
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert await answer.content.readexactly(4) == b"1\n2\n"
        go_on.set()
        assert await answer.read() == b"3\n"


async def test_an_error_before_the_first_piece_is_an_ordinary_answer() -> None:
    """With its own status."""

    async def pieces() -> AsyncIterator[str]:
        for piece in refusing():
            yield piece

    def refusing() -> list[str]:
        raise Busy("Not now.")

    async with await served(pieces) as client, client.get("/") as answer:
        assert (answer.status, (await answer.json())["error"]) == (503, "busy")


async def test_no_piece_at_all_is_an_empty_answer() -> None:
    """Nothing was asked."""

    async def pieces() -> AsyncIterator[str]:
        for piece in list[str]():
            yield piece

    async with await served(pieces) as client, client.get("/") as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_a_reader_that_hangs_up_is_no_fault_of_the_broker() -> None:
    """The rest is not made for nobody."""
    made, go_on = [], asyncio.Event()

    async def pieces() -> AsyncIterator[str]:
        for number in range(1000):
            made.append(number)
            yield "x" * 100_000 + "\n"
            if number == 0:
                await go_on.wait()

    async with await served(pieces) as client:
        answer = await client.get("/")
        answer.close()
        await turns(20)
        go_on.set()
        await turns(50)
        with pytest.raises(ClientConnectionError):
            await answer.read()
    assert len(made) < 1000


@contextlib.asynccontextmanager
async def asking(
    pieces: Callable[[], AsyncIterator[str]],
) -> AsyncIterator[asyncio.StreamReader]:
    """Ask a server of these pieces, with no client that would read the answer by itself."""
    async with await served(pieces) as client:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        with contextlib.closing(writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: broker.test\r\n\r\n")
            yield reader


async def received(reader: asyncio.StreamReader) -> bytes:
    """Return all that comes until the other side hangs up."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while more := await reader.read(1 << 20):
            found += more
    return found


@pytest.mark.parametrize("fault", [ZeroDivisionError(), Busy("Not now.")])
async def test_an_answer_that_cannot_go_on_is_cut_off(fault: Exception) -> None:
    """Nothing else is written into it, and it does not end as a whole one does."""

    async def pieces() -> AsyncIterator[str]:
        yield "1\n"
        raise fault

    async with asking(pieces) as reader:
        found = await received(reader)
    assert found.startswith(b"HTTP/1.1 200 ")
    assert found.count(b"HTTP/1.1") == 1
    assert not found.endswith(b"0\r\n\r\n")


async def test_a_reader_that_stands_still_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has got by then does not end as a whole answer does."""
    monkeypatch.setattr(lines, "STALLED_SECONDS", 0.0)
    stalled = asyncio.Event()

    async def pieces() -> AsyncIterator[str]:
        try:
            for _ in range(1000):
                yield "x" * 1_000_000 + "\n"
        finally:
            stalled.set()

    async with asking(pieces) as reader:
        await stalled.wait()
        found = await received(reader)
    assert not found.endswith(b"0\r\n\r\n")


async def test_lines_of_several_sides_come_out_together() -> None:
    """All that is there by then, in one piece; the end is told."""
    lines = Lines()
    lines.put("1\n")
    lines.put("2\n")
    pieces = lines.pieces()
    assert await anext(pieces) == "1\n2\n"
    waiting = asyncio.ensure_future(anext(pieces))
    await turns(2)
    assert not waiting.done()
    lines.put("3\n")
    assert await waiting == "3\n"
    lines.put("4\n")
    lines.close()
    assert [piece async for piece in pieces] == ["4\n"]
