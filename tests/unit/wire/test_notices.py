"""Records of notices read as they were written, and damaged ones are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.notices import Cause, Choice, Told, ToldRecord
from credbroker.wire.fields import packed
from credbroker.wire.notices import read_choice, read_told, write_choice, write_told
from tests.unit.things import instants, names, refusal

told = st.builds(Told, mark=st.integers(0, 10**6), at=instants, sure=st.booleans())
records = st.builds(
    ToldRecord,
    write_id=names,
    told=st.dictionaries(st.tuples(st.sampled_from(Cause), names), told, max_size=4),
)


@given(records)
def test_what_was_told_reads_as_it_was_written(record: ToldRecord) -> None:
    """By cause and channel, to the second."""
    assert read_told(write_told(record)) == record


@given(names, names, st.booleans())
def test_a_choice_reads_as_it_was_written(issuer: str, subject: str, mail: bool) -> None:
    """And is no record of what was told, though it lies in the same folder."""
    choice = Choice(issuer, subject, mail)
    assert read_choice(write_choice(choice)) == choice
    assert refusal(lambda: read_told(write_choice(choice)))


@pytest.mark.parametrize(
    "entries",
    [{}, [1], [["lost", "mail", 1, "2026-06-01T12:00:00Z"]], [["lost", "mail", "1", "x", True]],
     [["lost", 5, 1, "2026-06-01T12:00:00Z", True]], [["lost", "mail", 1, "today", True]]],
)  # fmt: skip
def test_a_damaged_record_is_refused(entries: object) -> None:
    """Rather than read as if nothing had been told."""
    assert refusal(lambda: read_told({"format": 1, "write_id": "w", "told": packed(entries)}))


def test_a_newer_versions_cause_is_left_out() -> None:
    """An older replica can run beside a newer one."""
    entry = ["storm_ahead", "mail", 1, "2026-06-01T12:00:00Z", True]
    record = {"format": 1, "write_id": "w", "told": packed([entry])}
    assert read_told(record) == ToldRecord("w", {})
