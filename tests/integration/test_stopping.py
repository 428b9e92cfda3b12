"""A broker that is told to stop answers whom it has, and finishes what it began."""

from __future__ import annotations

import asyncio
import os
import signal
import weakref
from dataclasses import dataclass, field
from typing import cast

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from credbroker.broker.engine import Engine
from credbroker.broker.htvault import Htvault
from credbroker.broker.running import Deeds
from credbroker.config.schema import Listen
from credbroker.demo.ports import free_port
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.serving import FIRST_BEAT_SECONDS, Daemon
from credbroker.stores.vault import VaultClient
from tests.fakes.clock import FakeClock

CLOCK = SystemClock()


class Session:
    """A Vault login that stays as it is, or breaks when a test says so."""

    def __init__(self) -> None:
        self.breaks = asyncio.Event()

    async def stay_logged_in(self) -> None:
        """Wait."""
        await self.breaks.wait()
        raise RuntimeError("a bug")


class Lasting:
    """A deed that goes on for as long as the broker does."""

    passes = rounds = 0

    async def run(self) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()


class Marks(Lasting):
    """Revocations, of which some could not be written."""

    def __init__(self) -> None:
        self.owes_for: list[Marks] = []

    def owe_for(self, before: Marks) -> None:
        """Note whose marks are to be written."""
        self.owes_for.append(before)


class Pulse(Lasting):
    """A beat that is over at once, unless a test holds it up."""

    def __init__(self) -> None:
        self.beats = 0
        self.emptied = False
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def empty_spool(self, _seconds: float) -> int:
        """Leave one entry."""
        self.emptied = True
        return 1

    async def beat(self) -> None:
        """Count."""
        self.beats += 1
        await self.may_end.wait()


@dataclass
class Heart:
    """What the daemon keeps going, and nothing else."""

    beating: Pulse = field(default_factory=Pulse)
    keeping: Lasting = field(default_factory=Lasting)
    recovering: Lasting = field(default_factory=Lasting)
    containing: Marks = field(default_factory=Marks)
    clearing: Lasting = field(default_factory=Lasting)


class Expiring:
    """Lets nothing expire."""

    async def expire_for_ever(self) -> None:
        """Wait to be cancelled."""
        await asyncio.Event().wait()


def daemon(
    app: web.Application,
    port: int,
    session: Session,
    deeds: Deeds,
    heart: Heart | None = None,
    *,
    address: str | list[str] = "127.0.0.1",
) -> Daemon:
    """Return a broker that serves `app` on loopback."""
    vault, engine = cast("VaultClient", session), cast("Engine", heart or Heart())
    htvault = cast("Htvault", Expiring())
    listen = Listen(address=address, port=port)
    return Daemon(app, listen, vault, engine, htvault, deeds, [], CLOCK, SystemEntropy())


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
    port = free_port(SystemEntropy())
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


async def test_both_address_families_are_served_where_both_are_named() -> None:
    """No single address stands for all of IPv4 and of IPv6."""

    async def handle(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/", handle)
    port = free_port(SystemEntropy())
    broker = daemon(app, port, Session(), Deeds(CLOCK), address=["127.0.0.1", "::1"])
    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as client:
        running = tasks.create_task(broker.run())
        for host in ("127.0.0.1", "[::1]"):
            assert await ask(client, f"http://{host}:{port}/") == 200
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(running, 5)


async def ask(client: aiohttp.ClientSession, url: str) -> int:
    """Ask until somebody listens there; return the status."""
    for _ in range(100):
        try:
            async with client.get(url) as answer:
                return answer.status
        except aiohttp.ClientConnectorError:
            await CLOCK.sleep(0.05)
    raise AssertionError("nobody listens")


async def test_the_spool_is_handed_in_last_and_what_stays_is_said() -> None:
    """After all that was begun, which may have put something there."""
    deeds, heart = Deeds(CLOCK), Heart()

    async def store() -> None:
        await CLOCK.sleep(0.1)
        assert not heart.beating.emptied

    storing = deeds.begin(store(), "store a successor")
    with capture_logs() as logged:
        running = asyncio.ensure_future(daemon(web.Application(), 0, Session(), deeds, heart).run())
        while not any(line["event"] == "ready" for line in logged):
            await CLOCK.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(running, 5)
    assert storing.exception() is None
    assert heart.beating.emptied
    assert {"event": "spool_not_empty", "entries": 1, "log_level": "error"} in logged


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


async def test_neighbours_and_rules_are_known_before_anybody_is_answered() -> None:
    """One beat is over by then."""
    heart, deeds = Heart(), Deeds(CLOCK)
    await daemon(web.Application(), 0, Session(), deeds, heart).look_around()
    assert heart.beating.beats == 1


async def test_a_slow_vault_keeps_the_port_closed_for_some_seconds_only() -> None:
    """The beat goes on while callers are answered."""
    clock, heart = FakeClock(), Heart()
    deeds = Deeds(clock)
    heart.beating.may_end.clear()
    looking = asyncio.ensure_future(
        daemon(web.Application(), 0, Session(), deeds, heart).look_around()
    )
    await clock.pass_time(FIRST_BEAT_SECONDS - 0.1)
    assert not looking.done()
    await clock.pass_time(0.1)
    await looking
    heart.beating.may_end.set()
    await deeds.finish()


async def test_a_bug_met_while_new_settings_are_taken_ends_nothing() -> None:
    """The broker goes on by the old ones, and the log has where it was."""
    asked = asyncio.Event()

    async def anew(_before: Daemon) -> Daemon:
        asked.set()
        raise RuntimeError("a bug")

    broker = daemon(web.Application(), 0, Session(), Deeds(CLOCK))
    with capture_logs() as logged:
        running = asyncio.ensure_future(broker.run(anew=anew))
        while not any(line["event"] == "ready" for line in logged):
            await CLOCK.sleep(0.01)
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.wait_for(asked.wait(), 5)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(running, 5)
    assert "settings_broke" in [line["event"] for line in logged]


async def test_all_that_both_brokers_began_is_finished_when_told_to_stop() -> None:
    """Also what the one that was replaced a moment ago still has in flight."""
    stored: list[str] = []

    async def store(name: str) -> None:
        await CLOCK.sleep(0.2)
        stored.append(name)

    deeds = {name: Deeds(CLOCK) for name in ("first", "second")}
    first, second = (daemon(web.Application(), 0, Session(), one) for one in deeds.values())

    async def anew(_before: Daemon) -> Daemon:
        return second

    with capture_logs() as logged:
        running = asyncio.ensure_future(first.run(anew=anew))
        while not any(line["event"] == "ready" for line in logged):
            await CLOCK.sleep(0.01)
        for name, one in deeds.items():
            one.begin(store(name), "store a successor")
        os.kill(os.getpid(), signal.SIGHUP)
        while not any(line["event"] == "settings_taken" for line in logged):
            await CLOCK.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(running, 5)
    assert sorted(stored) == ["first", "second"]


async def test_of_a_broker_that_was_replaced_nothing_stays_but_what_it_owes() -> None:
    """It goes with all that it held, also while somebody is connected who was when it was there."""
    hearts = [Heart(), Heart()]
    first, second = (daemon(web.Application(), 0, Session(), Deeds(CLOCK), one) for one in hearts)
    gone, owed = weakref.ref(hearts[0]), hearts[0].containing

    async def anew(_before: Daemon) -> Daemon:
        return second

    with capture_logs() as logged:
        running = asyncio.ensure_future(first.run(anew=anew))
        del first, hearts[0]
        while not any(line["event"] == "ready" for line in logged):
            await CLOCK.sleep(0.01)
        os.kill(os.getpid(), signal.SIGHUP)
        for _ in range(100):
            await CLOCK.sleep(0.01 if gone() is not None else 0)
        assert gone() is None
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(running, 5)
    assert hearts[0].containing.owes_for == [owed]
