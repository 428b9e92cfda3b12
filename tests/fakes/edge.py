"""A source, servers and files in memory, for the engine at the edge. Follow `edge.orders`."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from credbroker.delivery.whole_file import Identity
from credbroker.domain.errors import CredbrokerError
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken
from credbroker.edge.engine import Engine
from credbroker.edge.orders import Fresh, Order, Place
from credbroker.ports import Clock
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.unit.things import access_token

LIFE_SECONDS = 3600.0


def order(name: str, server: str = "broker", **more: Any) -> Order:
    """Return an order for a file of that name."""
    place = more.pop("place", None) or Place(Path("/run/tokens") / name)
    return Order(name, place, server, Secret("lease token", f"lease-{name}"), **more)


@dataclass
class FakeSource:
    """Orders as a test sets them, and what it was told of each."""

    wanted: dict[str, Order] = field(default_factory=dict)
    lying: dict[str, AccessToken] = field(default_factory=dict)
    fresh: dict[str, list[Fresh]] = field(default_factory=dict)
    errors: dict[str, list[CredbrokerError]] = field(default_factory=dict)
    looked_at: list[str] = field(default_factory=list)
    reads: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def want(self, *orders: Order) -> None:
        """Place orders, or place them anew."""
        self.wanted = {**self.wanted, **{one.id: one for one in orders}}
        self._changed.set()

    def withdraw(self, *names: str) -> None:
        """Take orders back."""
        self.wanted = {key: one for key, one in self.wanted.items() if key not in names}
        self._changed.set()

    def orders(self) -> Mapping[str, Order]:
        """Return what the test wants; see `edge.orders.Source`."""
        self.reads += 1
        return self.wanted

    def found(self, order: Order) -> AccessToken | None:
        """Return what the test says lies there."""
        self.looked_at.append(order.id)
        return self.lying.get(order.id)

    async def changed(self) -> None:
        """Return when the test changed something."""
        await self._changed.wait()
        self._changed.clear()

    def delivered(self, order: Order, fresh: Fresh) -> None:
        """Keep it."""
        self.fresh.setdefault(order.id, []).append(fresh)

    def failed(self, order: Order, error: CredbrokerError) -> None:
        """Keep it."""
        self.errors.setdefault(order.id, []).append(error)


@dataclass
class FakeAsker:
    """One server; `troubles` are the errors of single orders, `trouble` is everybody's."""

    clock: Clock
    most_at_once: int = 10
    life_seconds: float = LIFE_SECONDS
    answer_seconds: float = 0.0
    trouble: CredbrokerError | Exception | None = None
    troubles: dict[str, CredbrokerError] = field(default_factory=dict)
    spoils: set[str] = field(default_factory=set)
    """Orders whose requests fail as a whole, with `trouble` of their own kind."""
    spoilt: CredbrokerError | None = None
    asked: list[list[str]] = field(default_factory=list)
    under_way: set[str] = field(default_factory=set)
    at_once: int = 0
    most_requests: int = 0
    _count: itertools.count[int] = field(default_factory=itertools.count)

    async def ask(self, orders: Sequence[Order]) -> Sequence[Fresh | CredbrokerError]:
        """Answer as the test set it; see `edge.orders.Asker`."""
        names = [one.id for one in orders]
        assert len(names) <= self.most_at_once
        assert not self.under_way & set(names), "two asks for one order are under way"
        self.asked.append(names)
        self.under_way |= set(names)
        self.at_once += 1
        self.most_requests = max(self.most_requests, self.at_once)
        try:
            if self.answer_seconds:
                await self.clock.sleep(self.answer_seconds)
            if self.trouble is not None:
                raise self.trouble
            if self.spoilt is not None and self.spoils & set(names):
                raise self.spoilt
            return [self.troubles.get(name) or self.fresh(name) for name in names]
        finally:
            self.under_way -= set(names)
            self.at_once -= 1

    def fresh(self, name: str) -> Fresh:
        """Return a new token."""
        now, number = self.clock.now(), next(self._count)
        token = access_token(
            value=Secret("access token", f"{name}.{number}.x"),
            jti=f"{name}-{number}",
            obtained_at=now,
            issued_at=now,
            expires_at=now + datetime.timedelta(seconds=self.life_seconds),
        )
        return Fresh(token, self.life_seconds * 0.5)

    def times(self, name: str) -> int:
        """Return how often an order was asked for."""
        return sum(name in names for names in self.asked)


@dataclass
class FakeWriter:
    """Files in memory; a path in `full` cannot be written."""

    files: dict[Path, AccessToken] = field(default_factory=dict)
    full: dict[Path, Exception] = field(default_factory=dict)
    writes: int = 0

    async def write(self, place: Place, token: AccessToken) -> Identity:
        """Put it there; see `edge.engine.Writer`."""
        if place.path in self.full:
            raise self.full[place.path]
        self.writes += 1
        self.files[place.path] = token
        return (0, self.writes, self.writes)


class Edge:
    """An engine with a source, servers and files that a test can reach."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.source = FakeSource()
        self.askers: dict[str, FakeAsker] = {}
        self.writer = FakeWriter()
        self.engine = Engine(
            self.source, self.asker, self.writer, self.clock, FakeEntropy(fraction=0.5)
        )
        self._running: asyncio.Task[None] | None = None

    def asker(self, server: str = "broker") -> FakeAsker:
        """Return a server, made when it is first asked for."""
        return self.askers.setdefault(server, FakeAsker(self.clock))

    def start(self) -> None:
        """Let the engine run beside the test."""
        self._running = asyncio.ensure_future(self.engine.run())

    async def stop(self) -> None:
        """Stop it; a fault in it is the test's failure."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running

    def token_of(self, name: str) -> str:
        """Return the token in a file."""
        return self.writer.files[order(name).place.path].value.reveal()
