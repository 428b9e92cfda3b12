"""A token is renewed in time, never in a spin, whatever lifetimes and clocks do."""

from __future__ import annotations

import datetime

from hypothesis import example, given
from hypothesis import strategies as st

from credbroker.domain.freshness import Freshness, due_at, pick, renew_at
from tests.unit.things import NOON, access_token, seconds

lifetimes = st.floats(-7200, 400 * 86400)
fractions = st.floats(0.01, 0.99)
spreads = st.floats(0, 1, exclude_max=True)
moments = st.floats(-3 * 86400, 3 * 86400)


def test_a_young_token_is_good_an_old_one_usable_and_an_expired_one_nothing() -> None:
    """Half its life is the border here."""
    token = access_token()
    judged = [pick(token, 0, 0.5, NOON + seconds(at)) for at in (0, 1799, 1800, 3599, 3600)]
    good, usable, nothing = Freshness.GOOD, Freshness.USABLE, Freshness.NOTHING
    assert judged == [good, good, usable, usable, nothing]
    assert pick(None, 0, 0.5, NOON) is nothing


def test_a_token_below_the_floor_is_nothing() -> None:
    """A caller that needs an hour is not served 59 minutes."""
    assert pick(access_token(), 3600, 0.5, NOON) is Freshness.NOTHING
    assert pick(access_token(), 3599, 0.5, NOON) is Freshness.GOOD


def test_a_token_from_the_future_is_replaced() -> None:
    """After the clock was set back its end says little; served only while nothing better comes."""
    for jump in (3600, 2 * 86400):
        now = NOON - seconds(jump)
        assert pick(access_token(), 0, 0.5, now) is Freshness.USABLE
        assert renew_at(access_token(), 0.5, 0.9, now) <= now + seconds(3600 * 0.15)


def test_a_clock_mended_by_a_moment_changes_nothing() -> None:
    """Time servers do that all day."""
    assert pick(access_token(), 0, 0.5, NOON - seconds(30)) is Freshness.GOOD


@given(lifetimes, fractions, spreads, moments)
@example(0.0, 0.5, 0.0, 0.0)
@example(1.0, 0.99, 0.0, 0.0)
def test_a_renewal_never_spins(life: float, fraction: float, spread: float, at: float) -> None:
    """Coming back is strictly later; two renewals of any token are at least a second apart."""
    token = access_token(expires_at=NOON + seconds(life))
    now = NOON + seconds(at)
    back = renew_at(token, fraction, spread, now)
    assert back > now
    assert due_at(token, fraction) >= token.obtained_at + seconds(1)
    assert renew_at(token, fraction, spread, back) >= back + seconds(1)


@given(st.floats(20, 400 * 86400), fractions, spreads, st.floats(0, 1))
@example(3600.0, 0.98, 0.99, 0.0)
def test_a_renewal_is_asked_for_before_the_end(
    life: float, fraction: float, spread: float, part: float
) -> None:
    """Also when it is due late in its life and callers are spread."""
    token = access_token(expires_at=NOON + seconds(life))
    now = NOON + seconds(life * part * 0.9)
    assert renew_at(token, fraction, spread, now) < token.expires_at


@given(lifetimes, fractions, moments, st.floats(-600, 600))
def test_the_issuers_clock_does_not_matter(
    life: float, fraction: float, at: float, skew: float
) -> None:
    """Only when it was obtained and when it ends counts, not when the issuer says it was made."""
    usual = access_token(expires_at=NOON + seconds(life))
    skewed = access_token(
        expires_at=NOON + seconds(life),
        issued_at=NOON + seconds(skew),
        not_before=NOON + seconds(skew) - datetime.timedelta(minutes=1),
    )
    now = NOON + seconds(at)
    assert pick(usual, 0, fraction, now) is pick(skewed, 0, fraction, now)
    assert renew_at(usual, fraction, 0.5, now) == renew_at(skewed, fraction, 0.5, now)


def test_callers_are_spread_over_a_tenth_of_the_life() -> None:
    """So that a thousand jobs of one hour do not come back in one second."""
    backs = [renew_at(access_token(), 0.5, spread, NOON) for spread in (0.0, 0.5, 0.999)]
    assert backs == sorted(backs)
    assert backs[0] == NOON + seconds(1800)
    assert seconds(350) < backs[2] - backs[0] <= seconds(360)


def test_callers_wait_out_an_outage_ever_more_often() -> None:
    """A tenth of what is left, and never less than a second."""
    pauses = [
        (renew_at(access_token(), 0.5, 0.5, NOON + seconds(at)) - NOON).total_seconds() - at
        for at in (1800, 3000, 3590, 3700)
    ]
    assert pauses == [180, 60, 1, 1]
