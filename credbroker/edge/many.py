"""Which of many orders is asked for next, and when: pure rules of elapsed time.

- For one order there is never more than one ask under way.
- Who has no file comes first, then whose file ends soonest; last, who was in a request that failed.
- To one server at most `REQUESTS_AT_ONCE` requests are under way, whatever other servers do.
- A request that failed as a whole speaks against the server: until one goes through there is one at
  a time, for one order, after growing pauses. What was in it is asked for alone the next time, so
  that an order that spoils requests spoils no other's; nor does it speak against the server again.
- An order's own failures put it off by growing pauses, as `edge.plan` has it, and no other.
- Nothing here takes a file away.

What an idle moment costs does not depend on how many orders there are.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from credbroker.domain.errors import CredbrokerError, LeaseEnded, LeaseUnknown
from credbroker.domain.retry import backoff_seconds
from credbroker.edge.orders import Order
from credbroker.edge.plan import LEAST_PAUSE_SECONDS, Failed, Held, due_at

REQUESTS_AT_ONCE = 8
LONGEST_PAUSE_SECONDS = 60.0
"""How long a server that could not be reached is left alone at most."""
_SPREAD = 0.1
# Steps of this size around a circle fill it evenly, however many there are.
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Batch:
    """Orders that go to one server in one request; `trial` if its breaker is open."""

    server: str
    orders: Sequence[Order]
    trial: bool


@dataclass(slots=True)
class _Standing:
    """One order and how it stands; `asked` while it is under way, `gone` if it was withdrawn then."""

    order: Order
    spread: float
    held: Held | None = None
    failed: Failed | None = None
    asked: bool = False
    alone: bool = False
    gone: bool = False
    ticket: int = 0
    """The one entry of it, of all that lie in the queues, that counts."""


@dataclass(slots=True)
class _Server:
    """One server; `ready` are the orders that wait for it, the most urgent one first."""

    ready: list[tuple[bool, float, int, str]] = field(default_factory=list)
    under_way: int = 0
    failures: int = 0
    closed_until: float = 0.0

    def places(self, now: float) -> int:
        """Return how many more requests may begin."""
        if now < self.closed_until:
            return 0
        return (1 if self.failures else REQUESTS_AT_ONCE) - self.under_way


class Plan:
    """All orders of one source. Every time is in seconds since boot."""

    def __init__(self, fraction: Callable[[], float]) -> None:
        """Begin without orders; `fraction` returns a number in [0, 1) that keeps hosts apart."""
        self._spread = fraction()
        self._standing: dict[str, _Standing] = {}
        self._servers: dict[str, _Server] = {}
        self._waiting: list[tuple[float, int, str]] = []
        self._tickets = itertools.count(1)

    def stand(self, orders: Mapping[str, Order]) -> list[Order]:
        """Take these as all orders there are; return those that are new.

        One that was placed anew is due at once.
        """
        for key in self._standing.keys() - orders.keys():
            self._withdraw(key)
        named = {order.server for order in orders.values()}
        self._servers = {
            name: one for name, one in self._servers.items() if name in named or one.under_way
        }
        return [order for key, order in orders.items() if self._is_new(key, order)]

    def found(self, order: Order, held: Held, now: float) -> None:
        """Take note that a new order's file serves it already."""
        one = self._standing[order.id]
        one.held = held
        self._put_off(one, now)

    def is_wanted(self, order: Order) -> bool:
        """True unless the order was withdrawn, or placed anew, since it was taken."""
        one = self._standing.get(order.id)
        return one is not None and not one.gone and is_same_wish(one.order, order)

    def take(self, now: float, most_of: Callable[[str], int]) -> list[Batch]:
        """Return what to ask now; it is under way from here on. `most_of` a server go together."""
        while self._waiting and self._waiting[0][0] <= now:
            _, ticket, key = heapq.heappop(self._waiting)
            one = self._standing.get(key)
            if one is not None and one.ticket == ticket:
                self._queue(one)
        taken = []
        for name, server in self._servers.items():
            while server.ready and server.places(now) > 0:
                trial = server.failures > 0
                orders = self._next_of(server, 1 if trial else most_of(name))
                if orders:
                    server.under_way += 1
                    taken.append(Batch(name, orders, trial))
        return taken

    def wakes_at(self, now: float) -> float:
        """Return when `take` may return something again, unless something happens before."""
        times = [
            max(now, server.closed_until)
            for server in self._servers.values()
            if server.ready and (server.places(now) > 0 or now < server.closed_until)
        ]
        return min([*times, *(at for at, _, _ in self._waiting[:1])], default=float("inf"))

    def answered(self, batch: Batch) -> None:
        """Take note that an answer came: the server is well, whatever it says of each order."""
        server = self._servers[batch.server]
        server.under_way -= 1
        server.failures, server.closed_until = 0, 0.0

    def unanswered(self, batch: Batch, error: CredbrokerError, now: float) -> None:
        """Take note that a request failed as a whole."""
        server = self._servers[batch.server]
        server.under_way -= 1
        if batch.trial or not (server.failures or self._is_spoilt(batch)):
            server.failures += 1
            pause = max(LEAST_PAUSE_SECONDS, backoff_seconds(server.failures, self._next_spread()))
            server.closed_until = now + min(LONGEST_PAUSE_SECONDS, pause)
        if len(batch.orders) == 1:
            self._standing[batch.orders[0].id].alone = True
            self.failed(batch.orders[0], error, now)
            return
        for one in filter(None, map(self._settled, batch.orders)):
            one.alone = True
            self._queue(one)

    def _is_spoilt(self, batch: Batch) -> bool:
        """True if its one order has spoilt a request before: it speaks for itself alone then."""
        one = self._standing[batch.orders[0].id]
        return one.alone and one.failed is not None

    def delivered(self, order: Order, held: Held, now: float) -> None:
        """Take note that the order's file holds the token it was asked for."""
        one = self._settled(order)
        if one is not None:
            one.held, one.failed, one.alone = held, None, False
            self._put_off(one, now)

    def failed(self, order: Order, error: CredbrokerError, now: float) -> None:
        """Take note that the order alone failed; its file stays as it is."""
        one = self._settled(order)
        if one is not None:
            times = 1 if one.failed is None else one.failed.times + 1
            one.failed = Failed(times, now, error)
            self._put_off(one, now)

    def _withdraw(self, key: str) -> None:
        one = self._standing[key]
        if one.asked:
            one.gone = True
        else:
            del self._standing[key]

    def _is_new(self, key: str, order: Order) -> bool:
        """Take one order as it stands now."""
        one = self._standing.get(key)
        if one is None:
            self._standing[key] = one = _Standing(order, self._next_spread())
            self._queue(one)
            return True
        same, one.order, one.gone = is_same_wish(one.order, order), order, False
        if not same:
            one.held, one.failed, one.alone = None, None, False
            if not one.asked:
                self._queue(one)
        return False

    def _settled(self, order: Order) -> _Standing | None:
        """End an ask; return how the order stands, None if this answer is not for it any more."""
        one = self._standing[order.id]
        one.asked = False
        if one.gone:
            del self._standing[order.id]
            return None
        if not is_same_wish(one.order, order):
            self._queue(one)
            return None
        return one

    def _next_spread(self) -> float:
        """Return a number in [0, 1) far from the ones before; chance would cost more and do less."""
        self._spread = (self._spread + _GOLDEN) % 1.0
        return self._spread

    def _put_off(self, one: _Standing, now: float) -> None:
        """Let an order wait until it is due."""
        one.spread, one.ticket = self._next_spread(), next(self._tickets)
        heapq.heappush(self._waiting, (_due(one, now), one.ticket, one.order.id))

    def _queue(self, one: _Standing) -> None:
        """Let a due order wait for its server alone."""
        one.ticket = next(self._tickets)
        urgency = float("-inf") if one.held is None else one.held.expires_at
        server = self._servers.setdefault(one.order.server, _Server())
        heapq.heappush(server.ready, (one.alone, urgency, one.ticket, one.order.id))

    def _next_of(self, server: _Server, most: int) -> list[Order]:
        """Take the most urgent orders that go into one request."""
        taken: list[Order] = []
        while server.ready and len(taken) < most:
            *_, ticket, key = server.ready[0]
            one = self._standing.get(key)
            counts = one is not None and one.ticket == ticket
            if one is not None and counts and one.alone and taken:
                break
            heapq.heappop(server.ready)
            if one is not None and counts:
                one.asked, one.ticket = True, 0
                taken.append(one.order)
                if one.alone:
                    break
        return taken


def _due(one: _Standing, now: float) -> float:
    hopeless = one.failed is not None and isinstance(one.failed.error, (LeaseEnded, LeaseUnknown))
    due = due_at(None if hopeless else one.held, one.failed, one.spread)
    if due is None:
        return now
    longest = one.order.longest_seconds
    if one.held is not None and one.failed is None and longest is not None:
        sooner = max(LEAST_PAUSE_SECONDS, longest * (1 - _SPREAD * one.spread))
        return min(due, one.held.fetched_at + sooner)
    return due


def is_same_wish(one: Order, other: Order) -> bool:
    """True unless what is asked, whom, or where it goes has changed."""
    return one is other or _wish(one) == _wish(other)


def _wish(order: Order) -> tuple[object, ...]:
    place = order.place
    return (
        (order.version, order.server, order.path_on_server, order.secret),
        (order.scopes, order.audiences, order.minimum_seconds),
        (place.path, place.form, place.mode, place.owner, place.line_end, place.as_owner),
    )
