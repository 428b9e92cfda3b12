"""When a session's token is renewed: rules of time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from credbroker.cli.htgettoken.renewing import (
    LEAST_SECONDS,
    MOST_SECONDS,
    Renewal,
    after_failure,
    after_success,
)

SECONDS = st.floats(-1e6, 1e6, allow_nan=False)


def test_a_quarter_of_its_life_is_left_at_the_first_try() -> None:
    """Or more, if more was asked for."""
    assert after_success(3600, 3600, 60) == Renewal(2700, 901)
    assert after_success(3600, 3600, 1800) == Renewal(1800, 1801)


def test_one_with_little_left_is_renewed_soon() -> None:
    """A server may give what it has; the next one then lives longer."""
    assert after_success(61, 3600, 60) == Renewal(61 / 4, 901)


def test_tries_that_fail_come_soon_and_then_each_minute() -> None:
    """For as long as it takes; what is asked for stays."""
    plans = [after_failure(Renewal(1, 901), failures) for failures in range(1, 8)]
    assert [plan.in_seconds for plan in plans] == [5, 10, 20, 40, 60, 60, 60]
    assert {plan.minimum_seconds for plan in plans} == {901}


@given(left=SECONDS, life=st.floats(0, 1e6), asked=st.integers(0, 10**6), failures=st.integers(1))
def test_there_is_always_a_least_time_between_two_tries(
    left: float, life: float, asked: int, failures: int
) -> None:
    """However wrong clocks and lifetimes are; and never so long that a token could end unseen."""
    plan = after_success(left, life, asked)
    assert plan.in_seconds >= LEAST_SECONDS
    assert plan.in_seconds <= max(LEAST_SECONDS, left)
    assert LEAST_SECONDS <= after_failure(plan, failures).in_seconds <= MOST_SECONDS
