"""The agent's plan: never late when it can be on time, never a loop without pause."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import (
    CredbrokerError,
    GrantLost,
    LeaseEnded,
    Misconfigured,
    NotFound,
    Refused,
    Unavailable,
    leaves,
)
from credbroker.edge.plan import (
    LEAST_PAUSE_SECONDS,
    Failed,
    Held,
    Renew,
    Sleep,
    Stop,
    next_step,
)

SPREADS = st.floats(0, 1, exclude_max=True)
TIMES = st.floats(0, 1e9)
LIVES = st.floats(-1e6, 1e7)


def first_wake(now: float, held: Held | None, failed: Failed | None, spread: float) -> float:
    """Return when the plan, followed from `now`, first says to renew."""
    step = next_step(now, held, failed, spread)
    if isinstance(step, Renew):
        return now
    assert isinstance(step, Sleep)
    assert step.seconds > 0
    after = now + step.seconds
    assert isinstance(next_step(after + 1e-6 * after, held, failed, spread), Renew)
    return after


def test_the_first_token_is_fetched_at_once() -> None:
    """Nothing is held and nothing has failed: no pause."""
    assert next_step(1000, None, None, 0.5) == Renew()


@given(TIMES, LIVES, LIVES, SPREADS)
def test_a_success_is_never_followed_without_pause(
    now: float, life: float, wish: float, spread: float
) -> None:
    """Whatever lifetime and wish the broker states, the next wake is strictly later."""
    wake = first_wake(now, Held(now, now + wish, now + life), None, spread)
    assert wake - now >= LEAST_PAUSE_SECONDS * 0.999


@given(TIMES, st.floats(2, 1e7), LIVES, SPREADS)
def test_a_token_is_renewed_before_it_expires(
    now: float, life: float, wish: float, spread: float
) -> None:
    """However late the broker would have it, some of the life is left."""
    wake = first_wake(now, Held(now, now + wish, now + life), None, spread)
    assert wake <= now + life * 0.9 + 1e-3


@given(TIMES, st.floats(20, 1e7), st.floats(0.3, 0.79), SPREADS)
def test_a_sensible_wish_of_the_broker_is_followed(
    now: float, life: float, fraction: float, spread: float
) -> None:
    """Between the least pause and the last tenth, the broker decides: that keeps its load flat."""
    wish = now + life * fraction
    wake = first_wake(now, Held(now, wish, now + life), None, spread)
    assert wake == pytest.approx(wish, abs=1e-3)


@given(TIMES, st.integers(1, 100), st.one_of(st.none(), LIVES), SPREADS)
def test_a_failure_is_never_followed_without_pause(
    now: float, times: int, left: float | None, spread: float
) -> None:
    """Not even at the end of a token's life, after any number of failures."""
    held = None if left is None else Held(now - 10, now, now + left)
    wake = first_wake(now, held, Failed(times, now, Unavailable("Away.")), spread)
    assert LEAST_PAUSE_SECONDS * 0.999 <= wake - now <= 300.001


@given(st.floats(60, 100_000), SPREADS)
def test_an_outage_is_met_with_few_requests_and_ended_in_time(left: float, spread: float) -> None:
    """Pauses grow, then shrink towards the token's end, so the last try comes close to it."""
    held, now, times = Held(0, 0, left), 0.0, 0
    tries = []
    while now < left:
        times += 1
        failed = Failed(times, now, Unavailable("Away."))
        now = first_wake(now, held, failed, spread)
        tries.append(now)
    assert len(tries) <= 40 + left / 100
    assert max(one for one in [0.0, *tries] if one < left) >= left - 60


def test_a_machine_that_slept_past_the_end_renews_on_waking() -> None:
    """Elapsed time counts sleep, so what was due meanwhile is due now."""
    assert next_step(90_000, Held(0, 1800, 3600), None, 0.5) == Renew()


@pytest.mark.parametrize("kind", list(leaves()))
def test_every_kind_of_error_either_ends_the_agent_or_is_waited_out(
    kind: type[CredbrokerError],
) -> None:
    """A refusal ends one that never held a token; one that did ends with its lease alone."""
    error = kind("Something.")
    held = Held(0, 500, 2000)
    assert isinstance(error, (Refused, GrantLost, Unavailable, Misconfigured))
    for first, over, ends in (
        (True, False, isinstance(error, Refused)),
        (False, False, isinstance(error, LeaseEnded)),
        (False, True, isinstance(error, Refused)),
    ):
        failed = Failed(1, 1000, error, lease_over=over)
        step = next_step(1000, None if first else held, failed, 0.5)
        assert step == Stop(error) if ends else isinstance(step, Sleep)


@given(st.integers(1, 100), st.one_of(st.none(), LIVES), SPREADS)
def test_refusals_are_asked_about_again_within_five_minutes(
    times: int, left: float | None, spread: float
) -> None:
    """Whoever mends a setting is not waited for longer than that."""
    held = Held(0, 10, 1000 + (left or 0))
    failed = Failed(times, 1000, NotFound("The role is not served."))
    assert first_wake(1000, held, failed, spread) <= 1300.001
