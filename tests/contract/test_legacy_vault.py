"""What `ports.LegacyVault` promises, by our own client at a server on loopback, and by the fake."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from credbroker.domain.errors import LegacyUnavailable
from credbroker.domain.secret import Secret
from credbroker.host.clock import SystemClock
from credbroker.host.http import LARGEST_BODY_BYTES, OutgoingHttp
from credbroker.issuers.legacy import FormerHtvault
from credbroker.ports import LegacyVault, PassedOn
from tests.fakes.legacy import FakeLegacyVault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KNOWN, UNKNOWN = Secret("vault token", "s.known"), Secret("vault token", "s.unknown")
# Each way of writing a byte must arrive as it was written.
ADDRESS = "/v1/secret/oauth/creds/egi/a%64a%40x.test/r:default?minimum_seconds=60&scopes=a+b%20c%2F"


@dataclass
class Server:
    """An HTVault, as far as its client can tell."""

    status: int | None = None
    """Answered to everybody; None: by whom it knows. 0: nothing at all."""
    body: bytes = b'{"data": {"x": 1}}'
    received: list[tuple[str, str, bytes]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """Note the request and answer it."""
        self.received.append((request.method, request.raw_path, await request.read()))
        if self.status == 0:
            await SystemClock().sleep(5)
        known = request.headers.get("X-Vault-Token") == "s.known"
        status = self.status or (200 if known else 403)
        headers = {"Location": "/elsewhere"} if 300 <= status < 400 else {}
        answer = web.Response(status=status, body=self.body, headers=headers)
        answer.enable_compression()
        return answer


@pytest.fixture
async def pair() -> AsyncIterator[tuple[LegacyVault, Server]]:
    """Our client, and the server it asks."""
    server, app = Server(), web.Application()
    app.router.add_route("*", "/{rest:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        door = await stack.enter_async_context(OutgoingHttp())
        port = runner.addresses[0][1]
        yield FormerHtvault(f"http://127.0.0.1:{port}/", door), server


def asked(token: Secret = KNOWN, method: str = "GET", body: bytes = b"") -> PassedOn:
    """Return what is passed on."""
    return PassedOn(method, ADDRESS, token, body)


def fake() -> FakeLegacyVault:
    """Return the fake."""
    return FakeLegacyVault("https://old.test:8200", KNOWN)


async def test_who_is_known_gets_an_answer_and_who_is_not_a_refusal(
    pair: tuple[LegacyVault, Server],
) -> None:
    """By both."""
    for vault in (pair[0], fake()):
        assert (await vault.ask(asked(), seconds=5)).status == 200
        assert (await vault.ask(asked(UNKNOWN), seconds=5)).status == 403
        assert not vault.url.endswith("/")


@pytest.mark.parametrize(
    ("method", "body"), [("GET", b""), ("DELETE", b""), ("POST", b'{"server": "egi"}')]
)
async def test_method_path_query_and_body_arrive_as_they_came(
    pair: tuple[LegacyVault, Server], method: str, body: bytes
) -> None:
    """Byte for byte, however the path is written."""
    vault, server = pair
    got = await vault.ask(asked(method=method, body=body), seconds=5)
    assert got.body == b'{"data": {"x": 1}}'
    assert server.received == [(method, ADDRESS, body)]


@pytest.mark.parametrize("status", [500, 502, 503, 307])
async def test_a_server_in_trouble_gives_no_answer(
    pair: tuple[LegacyVault, Server], status: int
) -> None:
    """Whether it says so itself or sends its callers elsewhere."""
    vault, server = pair
    server.status = status
    with pytest.raises(LegacyUnavailable, match=str(status)):
        await vault.ask(asked(), seconds=5)
    assert len(server.received) == 1


async def test_silence_is_no_answer(pair: tuple[LegacyVault, Server]) -> None:
    """After the time it was given; the fake is told to be down."""
    vault, server = pair
    server.status = 0
    with pytest.raises(LegacyUnavailable, match="does not answer"):
        await vault.ask(asked(), seconds=0.1)
    faked = fake()
    faked.is_down = True
    with pytest.raises(LegacyUnavailable):
        await faked.ask(asked(), seconds=0.1)


async def test_an_answer_too_large_to_be_one_is_none(pair: tuple[LegacyVault, Server]) -> None:
    """Counted as it is unpacked, not as it comes over the wire."""
    vault, server = pair
    server.body = bytes(LARGEST_BODY_BYTES + 1)
    with pytest.raises(LegacyUnavailable, match="does not answer"):
        await vault.ask(asked(), seconds=5)


async def test_nobody_there_is_no_answer() -> None:
    """Where nobody listens."""
    async with OutgoingHttp() as door:
        with pytest.raises(LegacyUnavailable, match="does not answer"):
            await FormerHtvault("http://127.0.0.1:1", door).ask(asked(), seconds=5)


def test_what_is_passed_on_does_not_show_its_secrets() -> None:
    """Neither the vault token nor what stands in the body."""
    shown = repr(asked(body=b"a refresh token"))
    assert "s.known" not in shown
    assert "a refresh" not in shown
