"""A port whose certificate and whose application change while it is in use."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import weakref
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from credbroker.api.connections import Runner
from credbroker.api.listening import begin_listening, show
from credbroker.config.schema import Listen
from credbroker.domain.errors import BadSettings
from tests.fakes.clock import FakeClock, turns
from tests.fakes.entropy import FakeEntropy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority

DIRECT = Listen(port=0)


def says(word: str, *, enters: asyncio.Event, may_answer: asyncio.Event) -> web.Application:
    """Return an application that answers with a word, to `/slow` only when it may."""

    async def at_once(_request: web.Request) -> web.Response:
        return web.Response(text=word)

    async def slow(_request: web.Request) -> web.Response:
        enters.set()
        await may_answer.wait()
        return web.Response(text=word)

    @web.middleware
    async def between(request: web.Request, handler: Any) -> Any:
        return await handler(request)

    app = web.Application(middlewares=[between])
    app.add_routes([web.get("/", at_once), web.get("/slow", slow)])
    return app


class Place:
    """A runner that listens, and what a caller hears there."""

    def __init__(self) -> None:
        self.enters, self.may_answer = asyncio.Event(), asyncio.Event()
        self.runner = Runner(self.app("first"), FakeEntropy())

    def app(self, word: str) -> web.Application:
        """Return an application that says a word."""
        return says(word, enters=self.enters, may_answer=self.may_answer)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.runner.addresses[0][1])


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None) -> AsyncIterator[Place]:
    """A place that listens on loopback."""
    place = Place()
    await place.runner.setup()
    await begin_listening(place.runner, DIRECT, tls, FakeClock(), shared=False)
    yield place
    await place.runner.cleanup()


async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> str:
    """Ask on a connection that stays; return the body."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return (await reader.readexactly(length)).decode()


async def test_who_is_connected_is_answered_by_the_new_application() -> None:
    """The connection stays; nobody notices more than what is said."""
    async with listening() as place:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        assert await heard(reader, writer, "/") == "first"
        await (await place.runner.turn_to(place.app("second")))()
        assert await heard(reader, writer, "/") == "second"
        writer.close()


async def test_a_request_in_hand_is_answered_by_who_took_it() -> None:
    """The first application is needed until then, and no longer."""
    async with listening() as place:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        asking = asyncio.ensure_future(heard(reader, writer, "/slow"))
        await place.enters.wait()
        answered = asyncio.ensure_future((await place.runner.turn_to(place.app("second")))())
        again = await asyncio.open_connection("127.0.0.1", place.port)
        assert await heard(*again, "/") == "second"
        assert not answered.done()
        place.may_answer.set()
        assert await asking == "first"
        await answered
        for one in (writer, again[1]):
            one.close()


async def test_an_application_that_was_replaced_is_held_by_no_connection() -> None:
    """However long somebody stays who was connected before, from the next request on."""
    async with listening() as place:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        assert await heard(reader, writer, "/") == "first"
        gone = weakref.ref(place.runner.app)
        await (await place.runner.turn_to(place.app("second")))()
        assert await heard(reader, writer, "/") == "second"
        gc.collect()
        assert gone() is None
        writer.close()


async def test_a_new_certificate_is_shown_to_who_connects_next(
    authority: Authority, tmp_path: Path
) -> None:
    """At the same port; who connected before is not cut off, and none between is turned away."""
    trust = ssl.create_default_context(cafile=str(authority.ca_file))

    def tls(name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue(name, tmp_path))
        return context

    async with listening(tls("old")) as place:
        port, shown = place.port, []
        connections = []
        for name in ("", "new", "newer"):
            if name:
                await show(place.runner, tls(name))
            connections.append(await asyncio.open_connection("127.0.0.1", port, ssl=trust))
            shown.append(connections[-1][1].get_extra_info("peercert")["subject"])
        assert place.port == port
        assert [dict(one[0] for one in subject)["commonName"] for subject in shown] == [
            "old", "new", "newer",
        ]  # fmt: skip
        for connection in connections:
            assert await heard(*connection, "/") == "first"
            connection[1].close()


async def test_who_connects_in_that_very_moment_is_answered() -> None:
    """Whoever was accepted by the listener that ends, and has no connection yet, is not cut off."""
    async with listening() as place:
        callers = [socket.create_connection(("127.0.0.1", place.port)) for _ in range(8)]
        await turns(1)  # they are accepted while the next listener is made
        await show(place.runner, None)
        for caller in callers:
            caller.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=caller)
            assert await asyncio.wait_for(heard(reader, writer, "/"), 5) == "first"
            writer.close()


async def test_behind_a_balancer_too(
    authority: Authority, tmp_path: Path, unused_tcp_port: int
) -> None:
    """Where each connection is taken by hand."""
    place, trust = Place(), ssl.create_default_context(cafile=str(authority.ca_file))
    await place.runner.setup()
    proxied = Listen(port=unused_tcp_port, proxied_by=["192.0.2.1"])
    await begin_listening(place.runner, proxied, None, FakeClock(), shared=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("balanced", tmp_path))
    await show(place.runner, context)
    connection = await asyncio.open_connection("127.0.0.1", unused_tcp_port, ssl=trust)
    assert await heard(*connection, "/") == "first"
    connection[1].close()
    await place.runner.cleanup()


async def test_an_address_that_is_not_ours_is_refused_by_name() -> None:
    """As the operator wrote it."""
    place = Place()
    await place.runner.setup()
    with pytest.raises(BadSettings, match=r"^Cannot listen on 192\.0\.2\.9 port 0"):
        await begin_listening(
            place.runner, Listen(address="192.0.2.9", port=0), None, FakeClock(), shared=False
        )
    await place.runner.cleanup()
