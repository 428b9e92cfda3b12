"""The index brings up what is due, once, and stays small."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from credbroker.broker.keeper.kept_index import DAMAGED, UNREAD, KeptIndex
from credbroker.domain.names import GrantKey

READY = ("cms", "ready")
LOST = ("cms", "lost")


def index_of(**times: float) -> KeptIndex:
    """Return an index of grants to be looked at at these times."""
    index = KeptIndex()
    for segment, when in times.items():
        index.stand(segment, READY)
        index.look(segment, when)
    return index


def test_what_is_due_is_taken_once_in_order() -> None:
    """As much as there is room for, the rest with the next call."""
    index = index_of(a=30, b=10, c=20, d=40)
    assert index.take_due(9, 10) == []
    assert index.take_due(30, 2) == ["b", "c"]
    assert index.take_due(30, 2) == ["a"]
    assert index.take_due(30, 2) == []


def test_the_last_word_about_when_to_look_counts() -> None:
    """Earlier or later than what was said before."""
    index = index_of(a=10, b=30)
    index.look("a", 20)
    index.look("b", 5)
    assert index.take_due(10, 10) == ["b"]
    assert index.take_due(20, 10) == ["a"]
    assert index.take_due(100, 10) == []


def test_a_time_set_while_a_grant_was_taken_stays() -> None:
    """Whoever took it knows less than who stored it since."""
    index = index_of(a=1, b=1)
    assert index.take_due(1, 10) == ["a", "b"]
    index.look("a", 50)
    index.look_unless_set("a", 10)
    index.look_unless_set("b", 10)
    assert index.take_due(10, 10) == ["b"]
    assert index.take_due(50, 10) == ["a"]


def test_a_forgotten_grant_never_comes_up() -> None:
    """Also if it was queued; and nothing is known of it."""
    index = index_of(a=1, b=1, c=1)
    index.drop("a")
    index.drop("a")
    index.keep_only(lambda segment: segment == "b")
    index.look("a", 1)
    index.look_unless_set("c", 1)
    assert index.take_due(9, 10) == ["b"]
    assert ("b" in index, "a" in index, len(index)) == (True, False, 1)
    assert index.standing("a") is None


def test_the_census_counts_every_grant_once() -> None:
    """However it stands, and however often that changed."""
    index = index_of(a=1, b=1, c=1)
    index.stand("d", UNREAD)
    index.stand("a", LOST)
    index.stand("b", DAMAGED)
    index.stand("b", READY)
    index.stand("b", READY)
    index.drop("c")
    assert index.census() == {LOST: 1, READY: 1, UNREAD: 1}
    assert index.standing("a") == LOST


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 50)), max_size=60))
def test_every_grant_comes_up_exactly_when_it_was_last_said(said: list[tuple[str, int]]) -> None:
    """Whatever was said before."""
    index = KeptIndex()
    last: dict[str, int] = {}
    for segment, when in said:
        index.stand(segment, READY)
        index.look(segment, when)
        last[segment] = when
    seen = {segment: now for now in range(51) for segment in index.take_due(now, 9)}
    assert seen == last


def test_the_queue_stays_short_however_often_times_change() -> None:
    """Earlier and later by turns is the worst that can be done to it."""
    index = index_of(a=1e6)
    for number in range(50_000):
        index.look("a", 1e6 - number)
    assert len(index._queue) < 2000


def test_what_was_overtaken_in_the_queue_is_gone_once_it_comes_up() -> None:
    """A grant never has two places in it for long."""
    index = index_of(a=100)
    for when in (50, 25, 1000):
        index.look("a", when)
    for now in (30, 60, 110):
        assert index.take_due(now, 10) == []
    assert len(index._queue) == 1


def test_a_grant_takes_less_than_300_bytes() -> None:
    """Its segment included: a hundred thousand of them are 30 MB."""
    tracemalloc.start()
    index = KeptIndex()
    for number in range(2000):
        segment = GrantKey("cms", f"person-{number}", "default").segment()
        index.stand(segment, ("cms", "ready"))
        index.look(segment, 1000.0 + number)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / len(index) < 300
