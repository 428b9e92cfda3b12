"""A broker that is told to stop answers whom it has, and finishes what it began."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import cast

import aiohttp
import pytest
from aiohttp import web

from credbroker.broker.running import Deeds
from credbroker.config.schema import Listen
from credbroker.daemon import Daemon
from credbroker.host.clock import SystemClock
from credbroker.stores.vault import VaultClient

CLOCK = SystemClock()


class Session:
    """A Vault login that stays as it is, or breaks when a test says so."""

    def __init__(self) -> None:
        self.breaks = asyncio.Event()

    async def stay_logged_in(self) -> None:
        """Wait."""
        await self.breaks.wait()
        raise RuntimeError("a bug")


def daemon(app: web.Application, port: int, session: Session, deeds: Deeds) -> Daemon:
    """Return a broker that serves `app` on loopback."""
    vault = cast("VaultClient", session)
    return Daemon(app, Listen(address="127.0.0.1", port=port), vault, deeds, [])


async def test_a_refresh_begun_by_the_last_caller_is_finished() -> None:
    """Even if that caller was only being recognised when the signal came."""
    deeds = Deeds(CLOCK)
    entered, recognised, stored = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def refresh() -> None:
        await asyncio.wait_for(recognised.wait(), 5)
        stored.set()

    async def handle(_request: web.Request) -> web.Response:
        entered.set()
        await asyncio.wait_for(recognised.wait(), 5)
        deeds.begin(refresh(), "refresh")
        return web.Response(status=503)

    app = web.Application()
    app.router.add_get("/", handle)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as client:
        running = tasks.create_task(daemon(app, port, Session(), deeds).run())
        asked = tasks.create_task(ask(client, f"http://127.0.0.1:{port}/"))
        await asyncio.wait_for(entered.wait(), 5)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait({running}, timeout=0.1)
        assert not running.done()
        recognised.set()
        await asyncio.wait_for(running, 5)
        assert stored.is_set()
        assert await asked == 503


async def ask(client: aiohttp.ClientSession, url: str) -> int:
    """Ask until somebody listens there; return the status."""
    for _ in range(100):
        try:
            async with client.get(url) as answer:
                return answer.status
        except aiohttp.ClientConnectorError:
            await CLOCK.sleep(0.05)
    raise AssertionError("nobody listens")


async def test_a_broken_task_ends_the_broker_and_no_deed() -> None:
    """It is started again by systemd; what was posted is stored first."""
    deeds, session, stored = Deeds(CLOCK), Session(), asyncio.Event()

    async def refresh() -> str:
        await CLOCK.sleep(0.2)
        stored.set()
        return "stored"

    deeds.begin(refresh(), "refresh")
    session.breaks.set()
    with pytest.raises(ExceptionGroup):
        await daemon(web.Application(), 0, session, deeds).run()
    assert stored.is_set()
