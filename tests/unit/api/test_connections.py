"""What is no request is answered without a byte of what came, also in the log."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from credbroker.api.answering import AT_ONCE, answered_at_once, answering, at_once
from credbroker.api.connections import Runner
from credbroker.domain.errors import NotAllowed
from tests.fakes.audit import FakeAudit
from tests.fakes.entropy import FakeEntropy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SHOWN = "cb_a-vault-token-that-somebody-shows"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A port that serves one address."""

    async def good(_request: web.Request) -> web.Response:
        return web.Response(text="good")

    app = web.Application()
    app.add_routes([web.post("/", good)])
    runner = Runner(app, FakeEntropy())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def ask(port: int, request: str) -> tuple[int, dict[str, str], bytes]:
    """Send what is hardly a request; return status, headers and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode("latin-1"))
    said = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = said.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name: value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status.split()[1]), headers, body


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (f"POST / HTTP/1.1\r\nX-Vault-Token: {SHOWN}\x01\r\n\r\n", 400),
        (f"{SHOWN}\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\nContent-Length: {SHOWN}\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\nHost: a\r\nExpect: {SHOWN}\r\n\r\n", 417),
        (f"GET /nothing HTTP/1.1\r\nHost: a\r\nExpect: {SHOWN}\xfb\r\n\r\n", 417),
    ],
)
async def test_what_is_no_request_is_not_repeated(
    port: int, request_text: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer has an id and closes the connection; no stack trace is written."""
    caplog.set_level(logging.DEBUG)
    answered, headers, body = await ask(port, request_text)
    assert answered == status
    assert headers["X-Request-Id"] == json.loads(body)["request_id"]
    assert json.loads(body)["error"] == "malformed"
    assert SHOWN.encode() not in body
    assert SHOWN not in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_client_that_waits_before_its_body_is_told_to_go_on(port: int) -> None:
    """As before (RFC 9110 section 10.1.1), and in any case."""
    request = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nConnection: close\r\n\r\n"
    status, _, rest = await ask(port, request)
    assert status == 100
    assert rest.startswith(b"HTTP/1.1 200")
    assert rest.endswith(b"good")


async def test_a_body_that_nobody_can_unpack_writes_no_stack_trace(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Any stranger can send one; the framework reads it to its end after the answer."""
    with caplog.at_level(logging.INFO):
        said = await ask(
            port,
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
        )
    assert said[0] == 200
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.fixture
async def often_asked() -> AsyncIterator[int]:
    """A port whose handlers are asked without a route, unless the client waits to be told to go on."""

    @at_once
    async def said(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    @at_once
    async def refused(_request: web.Request) -> web.Response:
        raise NotAllowed("This is not for you.")

    app, routes = web.Application(), [web.route("*", "/said", said), web.route("*", "/no", refused)]
    app[AT_ONCE] = answered_at_once(routes, answering(FakeEntropy(), FakeAudit()))
    app.add_routes([web.post("/said", said)])
    runner = Runner(app, FakeEntropy())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def test_what_is_asked_often_is_answered_as_through_its_route(often_asked: int) -> None:
    """With an id, kept by nobody, and with the body that came."""
    status, headers, body = await ask(
        often_asked,
        "POST /said HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        "X-Request-Id: given-by-us\r\nContent-Length: 5\r\n\r\nhello",
    )
    assert (status, body) == (200, b"hello")
    assert (headers["X-Request-Id"], headers["Cache-Control"]) == ("given-by-us", "no-store")


async def test_what_is_asked_often_is_refused_as_through_its_route(often_asked: int) -> None:
    """In the form of its path, with the request's id."""
    status, headers, body = await ask(
        often_asked, "POST /no HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    assert status == 403
    assert json.loads(body)["request_id"] == headers["X-Request-Id"]


async def test_who_waits_before_the_body_of_what_is_asked_often_is_told_to_go_on(
    often_asked: int,
) -> None:
    """Its route does so (RFC 9110 section 10.1.1)."""
    request = (
        "POST /said HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"
    )
    status, _, rest = await ask(often_asked, request)
    assert status == 100
    assert rest.startswith(b"HTTP/1.1 200")
    assert rest.endswith(b"hello")
