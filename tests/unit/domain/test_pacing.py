"""The limits of an issuer hold for all replicas together, whoever joins or leaves."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.pacing import SETTLE_SECONDS, IssuerLimits, OwnPart, places_of

NEWCOMER_SECONDS = 15.0
LIMITS = IssuerLimits(per_second=32.0, at_once=16)


@given(at_once=st.integers(2, 64), count=st.integers(1, 63))
def test_the_places_are_split_evenly_and_one_is_kept_free(at_once: int, count: int) -> None:
    """As long as there are places for all; else each has one."""
    limits = IssuerLimits(at_once=at_once)
    places = [places_of(limits, rank, count, newcomer=False) for rank in range(count)]
    assert sum(places) == max(at_once - 1, count)
    assert max(places) - min(places) <= 1
    assert places == sorted(places, reverse=True)


def test_a_newcomer_has_one_place_unless_it_is_alone() -> None:
    """It has written its heartbeat before it read the others', so of two at least one knows."""
    assert places_of(LIMITS, 1, 2, newcomer=True) == 1
    assert places_of(LIMITS, 0, 1, newcomer=True) == 15


def test_an_issuer_with_one_place_is_asked_one_at_a_time() -> None:
    """No place can be kept free there."""
    assert places_of(IssuerLimits(at_once=1), 0, 1, newcomer=False) == 1


def test_less_counts_at_once_and_more_when_the_others_are_surely_done() -> None:
    """A refresh begun by somebody who was there before may still be under way."""
    part = OwnPart(LIMITS)
    assert part.look(0, 1, newcomer=False, now=0).burst == 15
    assert part.look(0, 2, newcomer=False, now=10).burst == 8
    assert part.look(0, 1, newcomer=False, now=20).burst == 8
    assert part.look(0, 1, newcomer=False, now=20 + SETTLE_SECONDS - 1).burst == 8
    assert part.look(0, 1, newcomer=False, now=20 + SETTLE_SECONDS).burst == 15


def test_whoever_never_saw_another_waits_for_nobody() -> None:
    """There is nobody whose refreshes could still be under way."""
    part = OwnPart(IssuerLimits(at_once=4))
    assert part.look(0, 1, newcomer=True, now=0).burst == 3
    assert part.look(0, 1, newcomer=False, now=1).burst == 3


def test_the_rate_goes_with_the_places() -> None:
    """So that the rates of all, too, add up to no more than the limit."""
    assert OwnPart(LIMITS).look(0, 1, newcomer=False, now=0).per_second == 30.0
    assert OwnPart(LIMITS).look(1, 2, newcomer=True, now=0).per_second == 2.0


@dataclass
class Member:
    """A replica that always refreshes as much as it may."""

    name: int
    joined_at: float
    part: OwnPart = field(default_factory=lambda: OwnPart(LIMITS))
    view: list[int] = field(default_factory=list)
    under_way: list[float] = field(default_factory=list)

    def go_on(self, now: float, seconds: float) -> None:
        """Begin refreshes that take `seconds`, as many as there are places."""
        self.under_way = [end for end in self.under_way if end > now]
        newcomer = now - self.joined_at < NEWCOMER_SECONDS
        rank, count = sorted(self.view).index(self.name), len(self.view)
        places = self.part.look(rank, count, newcomer=newcomer, now=now).burst
        self.under_way += [now + seconds] * (places - len(self.under_way))


@pytest.mark.slow
@given(
    joins=st.lists(st.tuples(st.integers(1, 400), st.integers(0, 99)), min_size=1, max_size=6),
    looks=st.lists(st.integers(0, 9), min_size=6, max_size=6),
    seconds=st.sampled_from([1.0, 40.0, SETTLE_SECONDS]),
)
def test_all_replicas_together_keep_the_limit_in_any_order_of_joins(
    joins: list[tuple[int, int]], looks: list[int], seconds: float
) -> None:
    """One at a time they add nothing; each that joins amid another's joining may add one."""
    members: list[Member] = []
    planned, at = [], 0
    for number, (pause, order) in enumerate(joins):
        at += pause
        planned.append((at, order * 10 + number))
    for now in range(1, at + 300):
        for joined_at, name in planned:
            if joined_at == now:
                everybody = [one.name for one in members] + [name]
                members.append(Member(name, now, view=everybody))
        for one, look in zip(members, looks, strict=False):
            if now % 10 == look:
                one.view = [other.name for other in members]
            one.go_on(now, seconds)
        joining = [one for one in members if now - one.joined_at < 15 + 2 * SETTLE_SECONDS]
        allowed = LIMITS.at_once + max(0, len(joining) - 1)
        assert sum(len(one.under_way) for one in members) <= allowed
