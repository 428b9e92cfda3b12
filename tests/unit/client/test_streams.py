"""Requests over kept connections, over real sockets: what works, and in which words it fails."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from credbroker.client.address import Address
from credbroker.client.http11 import Request
from credbroker.client.streams import Door
from credbroker.demo.certificates import make_authority
from credbroker.domain.errors import BrokerUnreachable, LocalFileUnfit
from credbroker.host.clock import SystemClock

ASK = Request("POST", "/api/v1/tokens:batch", {"X-Request-Id": "r"}, b"{}")
SAYS = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Server:
    """Answers requests with what a test says, and counts connections."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.closes = False
        self.connections = 0
        self.requests: list[bytes] = []
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        self._open.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head + await reader.readexactly(2))
                answer = self.answers.pop(0) if self.answers else SAYS
                if not answer:
                    break
                writer.write(answer)
                await writer.drain()
                if self.closes:
                    break
        self._open.discard(writer)
        writer.close()

    def hang_up(self) -> None:
        """Close what is open."""
        for writer in self._open:
            writer.close()


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder's authority, with a server certificate beside it."""
    folder = tmp_path_factory.mktemp("tls")
    authority = make_authority(folder, SystemClock())
    authority.issue("server", folder)
    return authority.ca_file


Start = Callable[..., Awaitable[Server]]


@pytest.fixture
async def start(ca_file: Path) -> AsyncIterator[Start]:
    """Start servers on loopback, with TLS unless `plain`."""
    async with contextlib.AsyncExitStack() as stack:

        async def started(host: str = "127.0.0.1", *, plain: bool = False) -> Server:
            tls = None
            if not plain:
                tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                folder = ca_file.parent
                tls.load_cert_chain(folder / "server.crt.pem", folder / "server.key.pem")
            one = Server()
            listening = await asyncio.start_server(one.serve, host, 0, ssl=tls)
            one.port = listening.sockets[0].getsockname()[1]
            stack.callback(listening.close)
            stack.callback(one.hang_up)
            return one

        yield started


@contextlib.asynccontextmanager
async def opened(door: Door) -> AsyncIterator[Door]:
    """Close the door's connections at the end."""
    try:
        yield door
    finally:
        await door.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_requests_one_after_the_other_share_a_connection(
    start: Start, ca_file: Path, host: str
) -> None:
    """Over TLS, on both address families, by name; nothing asks for it to be closed."""
    server = await start("127.0.0.1" if host == "localhost" else host)
    async with opened(Door(Address("https", host, server.port), str(ca_file))) as door:
        for _ in range(3):
            assert (await door.send(ASK)).body == b"hi"
    assert server.connections == 1
    assert b"connection:" not in server.requests[0].lower()


async def test_requests_at_once_have_connections_of_their_own_and_few_are_kept(
    start: Start,
) -> None:
    """As many stay as the bound says."""
    server = await start(plain=True)
    async with opened(Door(Address("http", "127.0.0.1", server.port), most_kept=2)) as door:
        await asyncio.gather(*(door.send(ASK) for _ in range(5)))
        assert server.connections == 5
        await asyncio.gather(*(door.send(ASK) for _ in range(3)))
        assert server.connections == 6


@pytest.mark.parametrize(
    "answer",
    [SAYS.replace(b"1.1", b"1.0"), SAYS.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")],
)
async def test_a_connection_that_the_server_closes_is_not_kept(start: Start, answer: bytes) -> None:
    """By its word, or by its version."""
    server = await start(plain=True)
    server.answers = [answer]
    async with opened(Door(Address("http", "127.0.0.1", server.port))) as door:
        await door.send(ASK)
        await door.send(ASK)
    assert server.connections == 2


async def test_a_kept_connection_that_was_closed_meanwhile_does_no_harm(start: Start) -> None:
    """One that the server has closed already is not used."""
    server = await start(plain=True)
    async with opened(Door(Address("http", "127.0.0.1", server.port))) as door:
        await door.send(ASK)
        server.hang_up()
        await until_closed(door)
        assert (await door.send(ASK)).status == 200


async def test_only_what_does_no_harm_twice_is_sent_again_and_only_once(start: Start) -> None:
    """The server closes a kept connection after it has read the request, without a word."""
    server = await start(plain=True)
    async with opened(Door(Address("http", "127.0.0.1", server.port))) as door:
        await door.send(ASK)
        server.answers = [b""]
        with pytest.raises(BrokerUnreachable, match="closed meanwhile"):
            await door.send(ASK)
        assert len(server.requests) == 2
        await door.send(ASK)
        server.answers = [b""]
        assert (await door.send(ASK, harmless_twice=True)).status == 200
        server.answers = [b"", b""]
        with pytest.raises(BrokerUnreachable):
            await door.send(ASK, harmless_twice=True)
        assert len(server.requests) == 7
        server.answers = [b""]
        with pytest.raises(BrokerUnreachable):
            await door.send(ASK, harmless_twice=True)
        assert len(server.requests) == 8, "on a new connection it is an answer that never came"


async def test_an_answer_that_breaks_off_is_not_asked_for_again(start: Start) -> None:
    """Something came, so it was acted on."""
    server = await start(plain=True)
    server.closes = True
    async with opened(Door(Address("http", "127.0.0.1", server.port))) as door:
        server.answers = [SAYS[:-1]]
        with pytest.raises(BrokerUnreachable, match="closed before it was complete"):
            await door.send(ASK, harmless_twice=True)
    assert len(server.requests) == 1


async def test_a_server_that_says_nothing_is_given_up_in_time(start: Start) -> None:
    """With the connection; the sentence says why."""
    server = await start(plain=True)
    server.answers = [b"HTTP/1.1 100 Continue\r\n\r\n"]
    door = Door(Address("http", "127.0.0.1", server.port), total_seconds=0.2)
    async with opened(door):
        with pytest.raises(BrokerUnreachable, match="did not answer in time"):
            await door.send(ASK)
        assert door._kept == []


async def test_a_redirect_is_an_answer_and_nothing_more(start: Start) -> None:
    """Nobody goes there."""
    server, other = await start(plain=True), await start(plain=True)
    place = f"http://127.0.0.1:{other.port}/".encode()
    server.answers = [SAYS.replace(b"200 OK", b"307 Go\r\nLocation: " + place)]
    async with opened(Door(Address("http", "127.0.0.1", server.port))) as door:
        assert (await door.send(ASK)).status == 307
    assert other.connections == 0


async def test_whom_nobody_vouches_for_is_refused_in_words(start: Start, ca_file: Path) -> None:
    """An unknown authority, one that is no file of authorities, a closed port."""
    server = await start()
    address = Address("https", "localhost", server.port)
    with pytest.raises(BrokerUnreachable, match="not trusted"):
        await Door(address).send(ASK)
    with pytest.raises(LocalFileUnfit):
        await Door(address, "/nowhere/ca.pem").send(ASK)
    folder = ca_file.parent / "hashed"
    folder.mkdir(exist_ok=True)
    with pytest.raises(BrokerUnreachable, match="not trusted"):
        await Door(address, str(folder)).send(ASK)
    with pytest.raises(BrokerUnreachable, match="refused"):
        await Door(Address("http", "127.0.0.1", 1)).send(ASK)


async def test_an_own_certificate_that_cannot_be_shown_is_named(
    start: Start, ca_file: Path
) -> None:
    """With its key's file; nothing is sent."""
    server = await start()
    own = (ca_file.parent / "server.crt.pem", ca_file)
    door = Door(Address("https", "localhost", server.port), str(ca_file), own=own)
    with pytest.raises(LocalFileUnfit, match=r"server\.crt\.pem"):
        await door.send(ASK)


async def test_plain_http_never_leaves_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever address the name turns out to have."""
    sent: list[bytes] = []

    class Elsewhere:
        transport: Elsewhere

        def __init__(self) -> None:
            self.transport = self

        def get_extra_info(self, _: str) -> tuple[str, int]:
            """Say that it is another machine."""
            return "192.0.2.1", 80

        def abort(self) -> None:
            """Note it."""
            sent.append(b"aborted")

    async def connected(*_: object, **__: object) -> tuple[None, Elsewhere]:
        return None, Elsewhere()

    monkeypatch.setattr(asyncio, "open_connection", connected)
    with pytest.raises(BrokerUnreachable, match="leave this machine"):
        await Door(Address("http", "localhost", 80)).send(ASK)
    assert sent == [b"aborted"]


async def until_closed(door: Door) -> None:
    """Return once the kept connection has seen its end."""
    async with asyncio.timeout(10):
        await door._kept[0].reader.read()


async def test_what_one_door_shows_of_itself_no_other_shows(ca_file: Path) -> None:
    """Doors share whom they trust, and a certificate of one's own would be shown by all then."""
    address, folder = Address("https", "localhost", 1), ca_file.parent
    plain = Door(address, str(ca_file))
    showing = Door(
        address, str(ca_file), own=(folder / "server.crt.pem", folder / "server.key.pem")
    )
    assert plain._tls() is Door(address, str(ca_file))._tls()
    assert showing._tls() is not plain._tls()
