"""What `ports.HttpDoor` promises, against servers that redirect, drop, stall and flood."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from credbroker.demo.ports import free_port
from credbroker.domain.errors import StoreUnclear
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.host.http import LARGEST_BODY_BYTES, OutgoingHttp, _Request
from credbroker.host.loop import quick_loop
from credbroker.ports import HttpAnswer, NoAnswerError, NotSentError

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.demo.certificates import Authority

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Two-Words: Yes\r\n\r\nok"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BODY = b"refresh_token=kd83jf0aKQ1zP5vbnT7wXyQm"


@dataclass
class Server:
    """A bare server on loopback: each request gets the next reply, the last one for ever."""

    replies: list[bytes | None]
    """None: never answers. Empty: hangs up."""
    port: int = 0
    connections: int = 0
    received: bytes = b""
    """Whatever came, on all connections."""
    requests: list[bytes] = field(default_factory=list)

    def url(self, scheme: str = "http") -> str:
        """Return an address on it."""
        return f"{scheme}://127.0.0.1:{self.port}/token"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read requests and reply until either side has had enough."""
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while await self._exchange(reader, writer):
                pass
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = b""
        while b"\r\n\r\n" not in request or (request.startswith(b"POST") and BODY not in request):
            part = await reader.read(65536)
            if not part:
                return False
            self.received += part
            request += part
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if reply is None:
            await reader.read()
            return False
        writer.write(reply)
        await writer.drain()
        return bool(reply) and b"Connection: close" not in reply


MakeServer = Callable[..., Awaitable[Server]]


@pytest.fixture
async def make_server() -> AsyncIterator[MakeServer]:
    """Return a maker of servers with these replies, ended with the test."""
    async with contextlib.AsyncExitStack() as running:

        async def make(*replies: bytes | None, tls: ssl.SSLContext | None = None) -> Server:
            server = Server(list(replies))
            listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
            server.port = listening.sockets[0].getsockname()[1]
            running.callback(listening.close)
            return server

        yield make


@pytest.fixture
async def door() -> AsyncIterator[OutgoingHttp]:
    """The door."""
    async with OutgoingHttp() as opened:
        yield opened


class Hook:
    """Counts how often it ran, and what the server had received then."""

    def __init__(self, server: Server | None = None, error: Exception | None = None) -> None:
        self.server = server
        self.error = error
        self.seen: list[tuple[int, bytes]] = []

    async def __call__(self) -> None:
        await SystemClock().sleep(0.02)  # time for a byte sent too early to arrive
        if self.server is not None:
            self.seen.append((self.server.connections, self.server.received))
        else:
            self.seen.append((0, b""))
        if self.error is not None:
            raise self.error


def closed_port() -> int:
    """Return a port where nobody listens."""
    return free_port(SystemEntropy())


async def post(door: OutgoingHttp, url: str, hook: Hook | None, seconds: float = 5) -> HttpAnswer:
    """Post the form with the refresh token in it, with or without a hook."""
    return await door.post(url, BODY, headers=FORM, seconds=seconds, before_first_byte=hook)


ways = pytest.mark.parametrize("fresh", [False, True], ids=["kept", "fresh"])


@ways
async def test_an_answer_comes_back(
    door: OutgoingHttp, make_server: MakeServer, fresh: bool
) -> None:
    """Status, headers with lower-case names, body; the request is what was to be sent."""
    server = await make_server(OK)
    got = await post(door, server.url(), Hook(server) if fresh else None)
    assert (got.status, got.headers["x-two-words"], got.body) == (200, "Yes", b"ok")
    assert server.requests[0].startswith(b"POST /token HTTP/1.1\r\n")
    assert server.requests[0].endswith(BODY)


@ways
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_carries_no_token_anywhere(
    door: OutgoingHttp, make_server: MakeServer, fresh: bool, status: int
) -> None:
    """The other host receives nothing, not even a connection; the answer is the caller's to refuse."""
    other = await make_server(OK)
    reply = f"HTTP/1.1 {status} Go\r\nLocation: {other.url()}\r\nContent-Length: 0\r\n\r\n"
    server = await make_server(reply.encode())
    assert (await post(door, server.url(), Hook(server) if fresh else None)).status == status
    assert (await door.get(server.url(), seconds=5)).status == status
    assert (other.connections, other.received) == (0, b"")


@ways
async def test_proxies_of_the_environment_are_ignored(
    door: OutgoingHttp, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch, fresh: bool
) -> None:
    """A variable must not send refresh tokens through somebody else's machine."""
    proxy, server = await make_server(OK), await make_server(OK)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy.url())
        monkeypatch.setenv(name.upper(), proxy.url())
    monkeypatch.setenv("no_proxy", "")
    await post(door, server.url(), Hook(server) if fresh else None)
    await door.get(server.url(), seconds=5)
    assert (len(server.requests), proxy.connections) == (2, 0)


def bodied(size: int, *, chunked: bool = False) -> bytes:
    """Return an answer with so large a body."""
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
    if chunked:
        return head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (
            size,
            b"x" * size,
        )
    return head + b"Content-Length: %d\r\n\r\n%s" % (size, b"x" * size)


@ways
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_ends_at_a_mebibyte(
    door: OutgoingHttp, make_server: MakeServer, fresh: bool, chunked: bool
) -> None:
    """One byte more is no answer at all."""
    fits, floods = (
        bodied(LARGEST_BODY_BYTES, chunked=chunked),
        bodied(LARGEST_BODY_BYTES + 1, chunked=chunked),
    )
    server = await make_server(fits, floods)
    got = await post(door, server.url(), Hook(server) if fresh else None)
    assert len(got.body) == LARGEST_BODY_BYTES
    with pytest.raises(NoAnswerError):
        await post(door, server.url(), Hook(server) if fresh else None)


async def test_a_body_may_be_longer_where_more_is_expected(
    door: OutgoingHttp, make_server: MakeServer
) -> None:
    """For that one request, and as far as was said."""
    longer = LARGEST_BODY_BYTES + 1000
    server = await make_server(
        bodied(longer, chunked=False),
        bodied(longer + 1, chunked=False),
        bodied(longer, chunked=False),
    )
    got = await door.get(server.url(), seconds=5, most_bytes=longer)
    assert len(got.body) == longer
    with pytest.raises(NoAnswerError):
        await door.get(server.url(), seconds=5, most_bytes=longer)
    with pytest.raises(NoAnswerError):
        await door.get(server.url(), seconds=5)


@ways
@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhalf",
        b"what?\r\n\r\n",
    ],
)
async def test_a_post_whose_answer_is_lost_is_not_sent_again(
    door: OutgoingHttp, make_server: MakeServer, fresh: bool, reply: bytes
) -> None:
    """Hung up on, cut off, or answered in another language: the server sees it once."""
    server = await make_server(reply)
    with pytest.raises(NoAnswerError):
        await post(door, server.url(), Hook(server) if fresh else None)
    assert server.received.count(BODY) == 1


async def test_a_post_on_a_kept_connection_that_drops_is_not_sent_again(
    door: OutgoingHttp, make_server: MakeServer
) -> None:
    """The race with a server that closes an idle connection loses the answer, and not the token."""
    server = await make_server(OK, b"")
    await post(door, server.url(), None)
    with pytest.raises(NoAnswerError):
        await post(door, server.url(), None)
    assert (server.connections, server.received.count(BODY)) == (1, 2)


async def test_a_hook_runs_once_on_a_connection_of_its_own_before_any_byte(
    door: OutgoingHttp, make_server: MakeServer
) -> None:
    """Also where a kept connection to the same server stands ready."""
    server = await make_server(OK)
    await post(door, server.url(), None)
    before = server.received
    hook = Hook(server)
    await post(door, server.url(), hook)
    assert hook.seen == [(2, before)]
    assert server.connections == 2


async def test_a_hook_that_fails_stops_the_send(
    door: OutgoingHttp, make_server: MakeServer
) -> None:
    """The server gets a connection and not one byte; the error passes through as it is."""
    server = await make_server(OK)
    hook = Hook(server, StoreUnclear("The claim may not be stored."))
    with pytest.raises(StoreUnclear) as error:
        await post(door, server.url(), hook)
    assert error.value is hook.error
    await SystemClock().sleep(0.02)
    assert (server.connections, server.received) == (1, b"")


async def test_a_server_that_hangs_up_during_the_hook_has_seen_nothing(door: OutgoingHttp) -> None:
    """As a proxy does that waits for the first byte less long than the claim takes to store."""
    received: list[bytes] = []
    gone = asyncio.Event()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        received.append(await reader.read())
        gone.set()

    async def hook() -> None:
        await gone.wait()
        await SystemClock().sleep(0.05)  # time for the end of the connection to arrive

    listening = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/token"
    async with listening:
        with pytest.raises(NotSentError):
            await door.post(url, BODY, headers=FORM, seconds=5, before_first_byte=hook)
    assert received == [b""]


async def test_a_caller_that_is_cancelled_in_the_hook_has_sent_nothing(
    door: OutgoingHttp, make_server: MakeServer
) -> None:
    """Its connection is closed."""
    server = await make_server(OK)
    asked = asyncio.Event()

    async def wait() -> None:
        asked.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(
        door.post(server.url(), BODY, headers=FORM, seconds=5, before_first_byte=wait)
    )
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server.received == b""


@ways
async def test_where_nobody_listens_nothing_is_sent(door: OutgoingHttp, fresh: bool) -> None:
    """And the hook does not run."""
    hook = Hook()
    with pytest.raises(NotSentError):
        await post(door, f"http://127.0.0.1:{closed_port()}/", hook if fresh else None)
    with pytest.raises(NotSentError):
        await door.get(f"http://127.0.0.1:{closed_port()}/", seconds=5)
    assert hook.seen == []


@ways
async def test_silence_ends_with_the_time_limit(
    door: OutgoingHttp, make_server: MakeServer, fresh: bool
) -> None:
    """Having taken the request, the server may have acted on it."""
    server = await make_server(None)
    with pytest.raises(NoAnswerError):
        await post(door, server.url(), Hook(server) if fresh else None, seconds=0.05)
    with pytest.raises(NoAnswerError):
        await door.get(server.url(), seconds=0.05)
    assert server.received.count(BODY) == 1


async def test_the_hooks_own_time_is_not_taken_from_the_answers(
    door: OutgoingHttp, make_server: MakeServer
) -> None:
    """Storing the claim may take longer than the issuer may."""
    server = await make_server(OK)

    async def slow() -> None:
        await SystemClock().sleep(0.3)

    got = await door.post(server.url(), BODY, headers=FORM, seconds=0.2, before_first_byte=slow)
    assert got.status == 200


@ways
async def test_a_server_that_cannot_prove_itself_gets_nothing(
    door: OutgoingHttp, make_server: MakeServer, authority: Authority, tmp_path: Path, fresh: bool
) -> None:
    """Of an authority that is not trusted here; the same server is fine where it is."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*authority.issue("issuer", tmp_path))
    server = await make_server(OK, tls=tls)
    hook = Hook()
    with pytest.raises(NotSentError):
        await post(door, server.url("https"), hook if fresh else None)
    assert (hook.seen, server.received) == ([], b"")
    async with OutgoingHttp(str(authority.ca_file)) as trusting:
        assert (await post(trusting, server.url("https"), hook if fresh else None)).status == 200


async def test_cookies_are_neither_kept_nor_sent(
    door: OutgoingHttp, make_server: MakeServer
) -> None:
    """One person's refresh must not be tied to another's."""
    server = await make_server(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")
    for _ in range(2):
        await door.get(server.url(), seconds=5)
    assert b"cookie" not in server.received.lower()


async def test_errors_hold_nothing_of_the_request(
    door: OutgoingHttp, make_server: MakeServer
) -> None:
    """Incident 24: neither the body nor the address."""
    server = await make_server(b"")
    with pytest.raises(NoAnswerError) as lost:
        await post(door, server.url() + "?device_code=kd83jf0aKQ1z", None)
    assert "kd83jf0aKQ1z" not in repr(lost.value) + repr(lost.value.__cause__)


def test_nothing_of_a_request_or_an_answer_is_in_its_repr() -> None:
    """A traceback with values, or a log line, shows neither headers nor body."""
    request = _Request("POST", "https://issuer.test/", {"Authorization": "Basic abc"}, BODY)
    answered = HttpAnswer(200, {"set-cookie": "abc"}, BODY)
    assert "abc" not in repr(request) + repr(answered)
    assert "kd83jf0aKQ1z" not in repr(request) + repr(answered)


async def test_what_is_passed_on_keeps_its_address_as_it_is(
    door: OutgoingHttp, make_server: MakeServer
) -> None:
    """No byte of it is decoded, encoded or left out on the way."""
    address = "/v1/a%64a%40x/./../b:c?q=a+b%20c%2F&&r"
    server = await make_server(OK)
    base = server.url().removesuffix("/token")
    got = await door.pass_on("DELETE", base + address, b"", headers={"X-One": "1"}, seconds=5)
    assert (got.status, got.body) == (200, b"ok")
    assert server.requests[0].startswith(f"DELETE {address} HTTP/1.1\r\n".encode())
    assert b"X-One: 1\r\n" in server.requests[0]
    url = f"http://127.0.0.1:{closed_port()}/x"
    with pytest.raises(NotSentError):
        await door.pass_on("GET", url, b"", headers={}, seconds=5)


@pytest.mark.parametrize("loop", [quick_loop(), None], ids=["that of serve", "the library's own"])
@pytest.mark.parametrize("moment", ["given up", "under way"])
def test_a_closed_door_leaves_no_connection_open(
    authority: Authority,
    tmp_path: Path,
    moment: str,
    loop: Callable[[], asyncio.AbstractEventLoop] | None,
) -> None:
    """Not even to a server that stands still, so that it does not end TLS either."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*authority.issue("issuer", tmp_path))

    async def ask_and_close(url: str) -> None:
        async with OutgoingHttp(str(authority.ca_file)) as door:
            if moment == "given up":
                with pytest.raises(NoAnswerError):
                    await door.get(url, seconds=0.5)
                return
            asking = asyncio.ensure_future(door.get(url, seconds=20))
            await asyncio.to_thread(stands.wait, 10)
            await SystemClock().sleep(0.05)
        asking.cancel()  # a dropped GET is tried once more

    stands, over = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def stand_still() -> None:
            raw, _ = listening.accept()
            with tls.wrap_socket(raw, server_side=True):
                stands.set()
                over.wait(20)

        server = threading.Thread(target=stand_still)
        server.start()
        try:
            with asyncio.Runner(loop_factory=loop) as runner:
                runner.run(ask_and_close(f"https://127.0.0.1:{listening.getsockname()[1]}/"))
            # What was left open complains when it is let go of; every warning is an error here.
            gc.collect()
        finally:
            over.set()
            server.join()
