"""A thousand callers at once on one cold grant, spread over three brokers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.brokers import Broker, callers, start_broker
from bench.ground import open_ground
from bench.issuer import PEOPLE
from bench.results import Claim, Figure, figure
from bench.rounds import Rounds
from credbroker.demo.ports import free_port
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.wire import native

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.ground import Ground

BROKERS = 3
CALLERS = 1000
SCOPE = "storage.read:/"

ONE_REFRESH = Claim(
    "crowd", f"refreshes for {CALLERS:,} callers of one cold login", "at most", 1.0, "refreshes",
    "A token that nobody has yet costs one refresh; the issuer's own diary counts them.",
)  # fmt: skip
ALL_ANSWERED = Claim(
    "crowd", f"answers to {CALLERS:,} callers of one cold login", "at least", 1.0, "answers",
    "Every caller gets a token in the first answer; nobody asks twice.",
)  # fmt: skip


@dataclass(frozen=True)
class Rush:
    """What came of one rush."""

    refreshes: int
    answered: int
    tokens: int
    seconds: float


async def take(folder: Path, quick: bool) -> list[Figure]:
    """Let crowds rush, each to a login of its own."""
    rounds = 2 if quick else len(PEOPLE)
    async with AsyncExitStack() as stack:
        ground = await stack.enter_async_context(open_ground(folder))
        brokers = await _brokers(ground, stack)
        rushes = [await rush(ground, brokers, person.name) for person in PEOPLE[:rounds]]
    beside = {
        "most seconds until the last answer": max(one.seconds for one in rushes),
        "most different tokens given out": max(one.tokens for one in rushes),
    }
    refreshes = Rounds(tuple(one.refreshes for one in rushes), (1.0,) * rounds)
    answered = Rounds(tuple(one.answered for one in rushes), (float(CALLERS),) * rounds)
    return [figure(ONE_REFRESH, refreshes, beside), figure(ALL_ANSWERED, answered)]


async def rush(ground: Ground, brokers: Sequence[Broker], person: str) -> Rush:
    """Log a person in, and have everybody ask for the first token at once."""
    lease = await brokers[0].log_in(ground, person)
    turns = [brokers[number % len(brokers)] for number in range(CALLERS)]
    # Connections first: a thousand TLS handshakes would keep the callers apart.
    await asyncio.gather(*(broker.touch() for broker in turns))
    clock, before = SystemClock(), await ground.issuer.refreshes()
    began = clock.elapsed()
    answers = await asyncio.gather(
        *(broker.ask(native.TOKENS, lease, {"scopes": [SCOPE]}) for broker in turns)
    )
    seconds = clock.elapsed() - began
    given = [answer["jti"] for status, answer in answers if status == 200]
    refreshes = await ground.issuer.refreshes() - before
    return Rush(refreshes, len(given), len(set(given)), seconds)


async def _brokers(ground: Ground, stack: AsyncExitStack) -> list[Broker]:
    http = await stack.enter_async_context(callers(ground))
    brokers = []
    for number in range(BROKERS):
        name, port = f"broker-{number}", free_port(SystemEntropy())
        broker = await start_broker(ground.write_settings(name, port), name, port, http)
        stack.push_async_callback(broker.kill)
        brokers.append(broker)
    for broker in brokers:
        await broker.until_it_answers()
    return brokers
