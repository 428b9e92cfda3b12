"""How long an issuer has been failing is what was seen of it, from the first failure to the last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.breaker import Evidence
from credbroker.domain.failing import FOLLOWED_SECONDS, Failing

_BAD = [Evidence.SILENT, Evidence.FAILED]


def test_a_single_failure_is_no_time_at_all() -> None:
    """However long ago it was."""
    assert Failing().noted(Evidence.SILENT, 10.0).seconds(20.0) == 0
    assert Failing().seconds(20.0) == 0


def test_a_row_lasts_from_its_first_failure_to_its_last() -> None:
    """Whatever was not asked in between."""
    row = Failing().noted(Evidence.SILENT, 10.0).noted(Evidence.NOTHING, 50.0)
    assert row.noted(Evidence.FAILED, 70.0).seconds(80.0) == 60


def test_what_nobody_followed_up_says_nothing_of_the_time_since() -> None:
    """A process that stood still, or was not asked, has seen nothing meanwhile."""
    row = Failing().noted(Evidence.SILENT, 10.0).noted(Evidence.SILENT, 110.0)
    assert row.seconds(110.0 + FOLLOWED_SECONDS) == 100
    assert row.seconds(111.0 + FOLLOWED_SECONDS) == 0
    again = row.noted(Evidence.SILENT, 3600.0)
    assert again.seconds(3600.0) == 0
    assert again.noted(Evidence.SILENT, 3660.0).seconds(3660.0) == 60


@given(
    st.lists(st.tuples(st.sampled_from(Evidence), st.floats(0, 100)), max_size=20),
    st.sampled_from([Evidence.SPOKE, Evidence.REFUSED_US]),
)
def test_any_answer_ends_the_row(seen: list[tuple[Evidence, float]], answer: Evidence) -> None:
    """What failed before it does not count again."""
    row, now = Failing(), 0.0
    for one, pause in seen:
        now += pause
        row = row.noted(one, now)
        assert 0 <= row.seconds(now) <= now
    row = row.noted(answer, now)
    assert row == Failing()
    assert row.noted(Evidence.SILENT, now + 1).seconds(now + 1) == 0
