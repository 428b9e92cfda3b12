"""The plan for many orders: its rules, whatever happens in whatever order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import BrokerUnreachable, IssuerFailed, LeaseEnded
from credbroker.edge.many import (
    LONGEST_PAUSE_SECONDS,
    REQUESTS_AT_ONCE,
    Batch,
    Plan,
)
from credbroker.edge.plan import LEAST_PAUSE_SECONDS, Held
from tests.fakes.edge import order

if TYPE_CHECKING:
    from credbroker.edge.orders import Order

AWAY = BrokerUnreachable("It does not answer.")
FAILED = IssuerFailed("It failed.")
MOST = 4


def test_a_server_that_no_order_names_any_more_is_forgotten() -> None:
    """Who stores requests for ever new hosts makes nothing grow; what is under way still ends."""
    world = World()
    for number in range(100):
        world.stand(order("a", f"host-{number}", version=str(number)))
        for batch in world.take():
            world.plan.unanswered(batch, AWAY, world.now)
        world.under_way.clear()
        world.now += 10
    assert len(world.plan._servers) <= 2


@dataclass
class World:
    """A plan, and what a test knows of it; it fails as soon as a rule is broken."""

    spread: float = 0.5
    now: float = 1000.0
    under_way: list[Batch] = field(default_factory=list)
    settled: dict[str, float] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plan = Plan(lambda: self.spread)

    def stand(self, *orders: Order) -> list[Order]:
        """Take these as all orders."""
        for one in orders:
            if self.orders.get(one.id, one).version != one.version:
                self.settled.pop(one.id, None)  # placed anew: no pause is due
        for name in self.orders.keys() - {one.id for one in orders}:
            self.settled.pop(name, None)
        self.orders = {one.id: one for one in orders}
        return self.plan.stand(self.orders)

    def take(self) -> list[Batch]:
        """Take what is due, and hold it against the rules."""
        taken = self.plan.take(self.now, lambda _: MOST)
        asked = [one.id for batch in (*self.under_way, *taken) for one in batch.orders]
        assert len(asked) == len(set(asked)), "two asks for one order"
        self.under_way += taken
        for batch in taken:
            assert 1 <= len(batch.orders) <= (1 if batch.trial else MOST)
            at_once = [one for one in self.under_way if one.server == batch.server]
            assert len(at_once) <= (1 if batch.trial else REQUESTS_AT_ONCE)
            for one in batch.orders:
                pause = self.now - self.settled.get(one.id, float("-inf"))
                assert pause >= LEAST_PAUSE_SECONDS * 0.999
        return taken

    def end(self, batch: Batch, answers: list[float | None] | None) -> None:
        """End a request: as a whole, or with a life, or none, for each of its orders."""
        self.under_way.remove(batch)
        for one in batch.orders:
            self.settled.pop(one.id, None)
        if answers is None:
            self.plan.unanswered(batch, AWAY, self.now)
            return
        self.plan.answered(batch)
        for one, life in zip(batch.orders, answers, strict=False):
            wanted = self.plan.is_wanted(one)
            if life is None:
                self.plan.failed(one, FAILED, self.now)
            else:
                self.plan.delivered(one, held(self.now, life), self.now)
            if wanted:
                self.settled[one.id] = self.now

    def sleep(self) -> None:
        """Let time pass until something may be due."""
        wakes_at = self.plan.wakes_at(self.now)
        assert wakes_at >= self.now
        if wakes_at < float("inf"):
            self.now = wakes_at

    def wait(self) -> list[Batch]:
        """Let time pass until something is due, and take it."""
        while not (taken := self.take()):
            self.sleep()
        return taken


def held(now: float, life: float) -> Held:
    """Return a token that was fetched now and is to be renewed after half of its life."""
    return Held(now, now + life / 2, now + life)


@given(st.data())
def test_no_order_is_asked_for_twice_at_once_and_none_without_pause(data: st.DataObject) -> None:
    """Whatever is ordered, withdrawn, answered, refused or lost on the way."""
    world = World(spread=data.draw(st.floats(0, 1, exclude_max=True)))
    names = [f"o{number}" for number in range(7)]
    lives = st.none() | st.floats(-10, 1e5)
    for _ in range(data.draw(st.integers(1, 40))):
        deed = data.draw(st.sampled_from(["stand", "end", "sleep", "take"]))
        if deed == "stand":
            chosen = data.draw(st.sets(st.sampled_from(names)))
            version = data.draw(st.sampled_from("12"))
            world.stand(*(order(one, f"s{one[1:2] < '3'}", version=version) for one in chosen))
        elif deed == "end" and world.under_way:
            batch = data.draw(st.sampled_from(world.under_way))
            many = len(batch.orders)
            answers = data.draw(st.none() | st.lists(lives, min_size=many, max_size=many))
            world.end(batch, answers)
        elif deed == "sleep":
            world.sleep()
        world.take()


@given(st.lists(st.none() | st.floats(-10, 1e5), min_size=1, max_size=30), st.integers(1, 12))
def test_whatever_was_answered_something_is_due_some_time(
    lives: list[float | None], count: int
) -> None:
    """As long as orders stand the plan never sleeps for ever, and never spins."""
    world = World()
    world.stand(*(order(f"o{number}") for number in range(count)))
    for life in lives:
        for _ in range(100):
            if world.take():
                break
            before = world.now
            world.sleep()
            assert world.now > before, "a sleep of nothing after which nothing is due"
        assert world.under_way
        while world.under_way:
            batch = world.under_way[0]
            world.end(batch, [life] * len(batch.orders) if life != 0 else None)


def test_who_has_no_file_comes_first_then_whose_file_ends_soonest() -> None:
    """Also among those that are late."""
    world = World()
    ends = {"late": 50.0, "later": 90.0, "old": -5.0, "none": None}
    for one in world.stand(*(order(name) for name in ("later", "old", "late", "none"))):
        left = ends[one.id]
        if left is not None:
            was = Held(world.now - 900, world.now - 800, world.now + left)
            world.plan.found(one, was, world.now)
    (batch,) = world.take()
    assert [one.id for one in batch.orders] == ["none", "old", "late", "later"]


def test_a_file_is_renewed_before_it_is_older_than_the_order_says() -> None:
    """Whatever its token's life is."""
    world = World()
    world.stand(order("a", longest_seconds=600.0))
    (batch,) = world.take()
    world.end(batch, [86400.0])
    due = world.plan.wakes_at(world.now) - world.now
    assert 540 <= due <= 600


def test_a_lease_that_is_over_is_asked_for_less_and_less_although_its_file_lives() -> None:
    """Asking more often towards the end of the file would save nothing."""
    world = World()
    world.stand(order("a"))
    (batch,) = world.take()
    world.end(batch, [100.0])
    world.sleep()
    for _ in range(6):
        (batch,) = world.take()
        world.under_way.clear()
        world.plan.answered(batch)
        world.plan.failed(batch.orders[0], LeaseEnded("It was ended."), world.now)
        world.settled["a"] = world.now
        before = world.now
        world.sleep()
    assert world.now - before >= 16


def test_a_server_that_is_away_is_tried_by_one_order_after_growing_pauses() -> None:
    """And all are asked for as soon as one trial goes through; another server does not notice."""
    world = World()
    world.stand(*(order(f"a{number}") for number in range(50)), order("b", "other"))
    first = world.take()
    assert len(first) == REQUESTS_AT_ONCE + 1
    for batch in first:
        world.end(batch, None if batch.server == "broker" else [1e6])
    pauses = []
    for _ in range(10):
        before, (trial,) = world.now, world.wait()
        pauses.append(world.now - before)
        assert trial.trial
        world.end(trial, None)
    assert pauses == sorted(pauses)
    assert pauses[0] == LEAST_PAUSE_SECONDS
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    (trial,) = world.wait()
    world.end(trial, [1e6])
    assert len(world.take()) == REQUESTS_AT_ONCE


@pytest.mark.parametrize("change", [{"version": "2"}, {"scopes": ("a:/",)}, {"server": "other"}])
def test_an_order_that_is_placed_anew_is_due_at_once(change: dict[str, Any]) -> None:
    """The same one is not, however often it is read."""
    world = World()
    world.stand(order("a"))
    world.end(world.take()[0], [1e6])
    assert world.stand(order("a")) == []
    assert world.take() == []
    world.settled.clear()
    assert world.stand(order("a", **change)) == []
    (batch,) = world.take()
    assert batch.server == change.get("server", "broker")


def test_an_idle_moment_costs_no_look_at_every_order() -> None:
    """Ten thousand orders that nothing is to be done for are not walked through."""
    world = World()
    world.plan.stand({f"o{number}": order(f"o{number}") for number in range(10_000)})
    while batches := world.plan.take(world.now, lambda _: 256):
        for batch in batches:
            world.plan.answered(batch)
            for one in batch.orders:
                world.plan.delivered(one, held(world.now, 3600), world.now)
    touched: list[str] = []
    world.plan._standing = Watched(world.plan._standing, touched)
    for _ in range(1000):
        assert world.plan.take(world.now + 1, lambda _: 256) == []
        assert world.plan.wakes_at(world.now + 1) > world.now
    assert touched == []


class Watched(dict[str, Any]):
    """A mapping that notes who is looked up."""

    def __init__(self, content: dict[str, Any], touched: list[str]) -> None:
        super().__init__(content)
        self.touched = touched

    def get(self, key: str, default: Any = None) -> Any:
        """Note the key."""
        self.touched.append(key)
        return super().get(key, default)
