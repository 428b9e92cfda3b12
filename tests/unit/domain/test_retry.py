"""What to do after each kind of error, and how long to wait."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Refused, leaves
from credbroker.domain.retry import LONGEST_PAUSE_SECONDS, backoff_seconds, is_final, roughly

spreads = st.floats(0, 1, exclude_max=True)


def test_only_a_refusal_is_final() -> None:
    """A lease that is over stays over; what others must mend may be mended."""
    for kind in leaves():
        assert is_final(kind("Something happened.")) is issubclass(kind, Refused)


@given(st.integers(-5, 10**9), spreads)
def test_a_pause_is_never_nothing_and_never_endless(failures: int, spread: float) -> None:
    """At least half a second, at most five minutes."""
    assert 0.5 <= backoff_seconds(failures, spread) <= LONGEST_PAUSE_SECONDS


def test_pauses_double() -> None:
    """From one second on."""
    assert [backoff_seconds(n, 0) for n in (1, 2, 3, 9, 10, 11)] == [1, 2, 4, 256, 300, 300]


@given(st.integers(1, 30), spreads, spreads)
def test_a_pause_grows_with_failures_and_shrinks_with_spread(
    failures: int, one: float, two: float
) -> None:
    """So that waiters keep apart."""
    assert backoff_seconds(failures, one) <= backoff_seconds(failures + 1, one)
    assert (backoff_seconds(failures, one) <= backoff_seconds(failures, two)) or one < two


def test_a_wait_is_told_in_words_that_promise_no_more_than_is_known() -> None:
    """Seconds for what is short, minutes for the rest."""
    assert [roughly(seconds) for seconds in (0, 45, 119, 120, 3600)] == [
        "about 10 s",
        "about 45 s",
        "about 119 s",
        "about 2 min",
        "about 60 min",
    ]
