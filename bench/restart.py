"""How soon a broker is of use again when it is killed over a store full of fresh grants."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.baking import baked
from bench.brokers import Broker, callers, start_broker
from bench.engine import open_replica
from bench.ground import Ground, open_ground
from bench.issuer import PERSON
from bench.results import Claim, Figure, figure
from bench.rounds import Rounds
from credbroker.demo.ports import free_port
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.wire import native

if TYPE_CHECKING:
    from pathlib import Path

    import aiohttp

GRANTS = 100_000
SCOPE = "storage.read:/"
ANSWER_SECONDS = 5.0
WARM_SECONDS = 60.0
_ASK_AGAIN_SECONDS = 0.02

FIRST_ANSWER = Claim(
    "restart", "first correct answer after a restart", "at most", 1.0, "seconds",
    f"The limit is {ANSWER_SECONDS:.0f} s from the start of the process to a caller's token.",
)  # fmt: skip
WARM = Claim(
    "restart", "keeper's index warm after a restart", "at most", 1.0, "seconds",
    f"The limit is {WARM_SECONDS:.0f} s from opening the stores until every grant is in it.",
)  # fmt: skip
REFRESHES = Claim(
    "restart", "refreshes caused by a restart", "at most", 0.0, "refreshes",
    "The limit is none, shown as a share of one: a caller is given the access token that lies beside"
    " its successor, and the fresh grants are left in peace.",
)  # fmt: skip


@dataclass(frozen=True)
class Comeback:
    """What came of one restart: seconds until a caller was answered, refreshes until then."""

    answered: float
    refreshes: int


@dataclass(frozen=True)
class Warmth:
    """What came of one warming-up: seconds, and refreshes that nobody asked for."""

    seconds: float
    refreshes: int


async def take(folder: Path, quick: bool) -> list[Figure]:
    """Restart a broker over and over."""
    grants, rounds = (GRANTS // 20, 2) if quick else (GRANTS, 5)
    filled = await baked(grants)
    await asyncio.to_thread(shutil.copytree, filled, folder / "openbao")
    async with AsyncExitStack() as stack:
        ground = await stack.enter_async_context(open_ground(folder))
        http = await stack.enter_async_context(callers(ground))
        port = free_port(SystemEntropy())
        place = _Place(ground.write_settings("broker", port), port, http)
        lease = await place.first_login(ground)
        comebacks = [await place.come_back(ground, lease) for _ in range(rounds)]
        warmths = [await _warm_up(ground, f"warm-{number}") for number in range(rounds)]
    beside = {"fresh grants in OpenBao": float(grants)}
    ones = (1.0,) * rounds
    answered = Rounds(tuple(one.answered for one in comebacks), (ANSWER_SECONDS,) * rounds)
    warm = Rounds(tuple(one.seconds for one in warmths), (WARM_SECONDS,) * rounds)
    caused = [
        one.refreshes + other.refreshes for one, other in zip(comebacks, warmths, strict=True)
    ]
    refreshes = Rounds(tuple(map(float, caused)), ones)
    return [
        figure(FIRST_ANSWER, answered, beside),
        figure(WARM, warm, beside),
        figure(REFRESHES, refreshes, beside),
    ]


@dataclass(frozen=True)
class _Place:
    """Where the broker runs, again and again."""

    settings: Path
    port: int
    http: aiohttp.ClientSession

    async def first_login(self, ground: Ground) -> str:
        """Log somebody in, and ask once, with a broker that is then killed; return the lease."""
        broker = await self._start()
        try:
            await broker.until_it_answers()
            lease = await broker.log_in(ground, PERSON.name)
            await broker.ask(native.TOKENS, lease, {"scopes": [SCOPE]})
            return lease
        finally:
            await broker.kill()

    async def come_back(self, ground: Ground, lease: str) -> Comeback:
        """Start the broker, ask until it answers, kill it."""
        clock, before = SystemClock(), await ground.issuer.refreshes()
        began = clock.elapsed()
        broker = await self._start()
        try:
            await broker.until_it_answers()
            while (await broker.ask(native.TOKENS, lease, {"scopes": [SCOPE]}))[0] != 200:
                await clock.sleep(_ASK_AGAIN_SECONDS)
            answered = clock.elapsed() - began
        finally:
            await broker.kill()
        return Comeback(answered, await ground.issuer.refreshes() - before)

    async def _start(self) -> Broker:
        return await start_broker(self.settings, "restarted", self.port, self.http)


async def _warm_up(ground: Ground, name: str) -> Warmth:
    clock, before = SystemClock(), await ground.issuer.refreshes()
    began = clock.elapsed()
    async with open_replica(ground, name) as replica:
        await replica.until(lambda: replica.engine.keeping.is_warm)
        seconds = clock.elapsed() - began
    return Warmth(seconds, await ground.issuer.refreshes() - before)
