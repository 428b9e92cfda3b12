"""Connections come through listed balancers, whose word counts, or straight from their caller."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
from aiohttp import web

from credbroker.api import proxied
from credbroker.api.connections import Runner
from credbroker.api.proxied import ProxiedSite
from credbroker.demo.certificates import Authority, make_authority
from credbroker.demo.ports import free_port
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy

TEXT = b"PROXY TCP4 192.0.2.7 192.0.2.1 56225 8200\r\n"
BINARY = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes([192, 0, 2, 7] * 2) + b"\xdb\xa1\x20\x08"
LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

Listening = Callable[[str], AbstractAsyncContextManager[int]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the broker's certificate."""
    return make_authority(tmp_path_factory.mktemp("authority"), SystemClock())


@pytest.fixture
def listening(authority: Authority, tmp_path: Path) -> Listening:
    """A way to a broker that tells each caller its address, behind balancers in a network."""

    async def who(request: web.Request) -> web.Response:
        return web.Response(text=request.remote)

    @asynccontextmanager
    async def running(proxies: str) -> AsyncIterator[int]:
        app = web.Application()
        app.add_routes([web.get("/", who)])
        runner = Runner(app, FakeEntropy())
        await runner.setup()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*authority.issue("broker", tmp_path))
        port = free_port(SystemEntropy())
        networks = [ip_network(proxies)]
        await ProxiedSite(
            runner, "127.0.0.1", port, tls, proxies=networks, clock=FakeClock()
        ).start()
        yield port
        await runner.cleanup()

    return running


async def answer(port: int, authority: Authority, *parts: bytes) -> str:
    """Send `parts` before TLS, each by itself, then ask over TLS who we are."""
    with socket.socket() as plain:
        plain.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(plain, ("127.0.0.1", port))
        for part in parts:
            await loop.sock_sendall(plain, part)
            await SystemClock().sleep(0)
        tls = ssl.create_default_context(cafile=str(authority.ca_file))
        reader, writer = await asyncio.open_connection(
            sock=plain, ssl=tls, server_hostname="localhost"
        )
        writer.write(REQUEST)
        said = await reader.read()
        writer.close()
        await writer.wait_closed()
    return said.partition(b"\r\n\r\n")[2].decode()


@pytest.mark.parametrize("header", [TEXT, BINARY])
async def test_a_listed_balancer_says_who_calls(
    listening: Listening, authority: Authority, header: bytes
) -> None:
    """The broker itself then speaks TLS with the caller, however the header was cut."""
    async with listening("127.0.0.0/8") as port:
        assert await answer(port, authority, header) == "192.0.2.7"
        assert await answer(port, authority, header[:3], header[3:20], header[20:]) == "192.0.2.7"


async def test_a_balancer_that_only_looks_is_served_as_itself(
    listening: Listening, authority: Authority
) -> None:
    """As when it sees whether the broker lives."""
    async with listening("127.0.0.0/8") as port:
        assert await answer(port, authority, LOCAL) == "127.0.0.1"


async def test_who_comes_straight_is_known_by_the_connection(
    listening: Listening, authority: Authority
) -> None:
    """Probes and clients inside the cluster need no balancer."""
    async with listening("192.0.2.0/24") as port:
        assert await answer(port, authority) == "127.0.0.1"


@pytest.mark.parametrize("header", [TEXT, BINARY])
async def test_nobody_else_may_say_who_calls(
    listening: Listening, authority: Authority, header: bytes
) -> None:
    """The connection ends, and the next caller is served."""
    async with listening("192.0.2.0/24") as port:
        with pytest.raises(OSError):
            await answer(port, authority, header)
        assert await answer(port, authority) == "127.0.0.1"


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\n", b"PROXY TCP4 x\r\n", b"PROXY " + b"a" * 200]
)
async def test_a_balancer_that_says_nothing_is_refused(
    listening: Listening, authority: Authority, first: bytes
) -> None:
    """It would make all of its callers one; others go on being served."""
    async with listening("127.0.0.0/8") as port:
        assert await ended(port, first)
        assert await answer(port, authority, TEXT) == "192.0.2.7"


async def test_who_is_slow_or_breaks_off_holds_up_nobody(
    listening: Listening, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A header that does not come in time ends its connection."""
    async with listening("127.0.0.0/8") as port:
        _, silent = await asyncio.open_connection("127.0.0.1", port)
        assert await answer(port, authority, TEXT) == "192.0.2.7"
        silent.close()
        await silent.wait_closed()
        monkeypatch.setattr(proxied, "HEADER_SECONDS", 0.01)
        assert await ended(port, b"PROXY")


async def test_who_cannot_be_taken_holds_up_nobody_who_was(
    listening: Listening, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while no more files can be opened: who is still saying who calls goes on."""
    loop = asyncio.get_running_loop()
    take = loop.sock_accept

    async def take_one(listener: socket.socket) -> tuple[socket.socket, tuple[str, int]]:
        monkeypatch.setattr(loop, "sock_accept", take_none)
        return await take(listener)

    async def take_none(_listener: socket.socket) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(loop, "sock_accept", take_one)
    async with listening("127.0.0.0/8") as port:
        assert await answer(port, authority, TEXT[:3], TEXT[3:]) == "192.0.2.7"


async def ended(port: int, first: bytes) -> bool:
    """Send something, and see the connection end without a byte."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(first)
    try:
        said = await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        said = b""
    writer.close()
    await asyncio.wait({asyncio.ensure_future(quietly(writer.wait_closed()))})
    return said == b""


async def quietly(closing: Coroutine[None, None, None]) -> None:
    """Wait for a connection to end, in whatever way."""
    try:
        await closing
    except OSError:
        return


async def test_a_port_is_free_again_also_if_nothing_was_accepted_there_yet() -> None:
    """A site that is stopped in the moment in which it was started leaves no socket behind."""
    runner = Runner(web.Application(), FakeEntropy())
    await runner.setup()
    port = free_port(SystemEntropy())
    site = ProxiedSite(runner, "127.0.0.1", port, None, proxies=[], clock=FakeClock())
    await site.start()
    await site.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await runner.cleanup()
