"""How long an issuer has been failing is what was seen of it, from the first failure to the last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.breaker import Evidence
from credbroker.domain.failing import Failing

_BAD = [Evidence.SILENT, Evidence.FAILED]


def test_a_single_failure_is_no_time_at_all() -> None:
    """However long ago it was."""
    assert Failing().noted(Evidence.SILENT, 10.0).seconds == 0
    assert Failing().seconds == 0


def test_a_row_lasts_from_its_first_failure_to_its_last() -> None:
    """Whatever was not asked in between."""
    row = Failing().noted(Evidence.SILENT, 10.0).noted(Evidence.NOTHING, 50.0)
    assert row.noted(Evidence.FAILED, 70.0).seconds == 60


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
        assert row.seconds <= now
    row = row.noted(answer, now)
    assert row == Failing()
    assert row.noted(Evidence.SILENT, now + 1).seconds == 0
