"""A burst at once, then a steady rate, whatever the rhythm; what did not count is given back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.limits import Allowance

rates = st.floats(0.01, 1000)
bursts = st.integers(1, 50)
pauses = st.lists(st.floats(0, 10), max_size=100)


@given(rates, bursts, pauses)
def test_no_more_than_burst_and_rate_is_allowed_in_any_time(
    rate: float, burst: int, rhythm: list[float]
) -> None:
    """Counted from the first; whoever is refused is told when to come again, and may then."""
    allowance = Allowance(rate, burst)
    now = made_up_at = 1000.0
    for done, pause in enumerate(rhythm):
        now += pause
        wait = allowance.wait_seconds(made_up_at, now)
        if wait:
            now += wait
            assert allowance.wait_seconds(made_up_at, now) == pytest.approx(0, abs=1e-6)
        made_up_at = allowance.once_more(made_up_at, now)
        assert done + 1 <= (burst + rate * (now - 1000.0)) * (1 + 1e-6) + 1e-6


@given(rates, bursts)
def test_the_whole_burst_is_allowed_at_once_and_then_one_at_a_time(rate: float, burst: int) -> None:
    """And all of it again once that is made up for."""
    allowance, made_up_at, now = Allowance(rate, burst), 0.0, 0.0
    for _ in range(2):
        for _ in range(burst):
            assert allowance.wait_seconds(made_up_at, now) <= 1e-6
            made_up_at = allowance.once_more(made_up_at, now)
        assert allowance.wait_seconds(made_up_at, now) == pytest.approx(1 / rate)
        now = made_up_at


@given(rates, bursts, st.floats(0, 100))
def test_what_is_given_back_leaves_no_trace(rate: float, burst: int, before: float) -> None:
    """However much there was to make up for."""
    allowance = Allowance(rate, burst)
    assert allowance.once_less(allowance.once_more(before, 0.0)) == pytest.approx(before, abs=1e-6)
