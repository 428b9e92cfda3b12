"""Revocations come back as they were; damage is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.domain.revocations import MOST_MARKS, Kind, Mark, Revocations
from credbroker.wire.revocations import read_revocations, write_revocations
from tests.unit.things import NOON, instants, names

revocations = st.builds(
    Revocations,
    st.sampled_from(Kind),
    st.dictionaries(names, st.builds(Mark, instants, instants), max_size=4),
)
RIGHT: dict[str, Any] = {
    "format": 1,
    "kind": "person",
    "marks": {"cms/ada": ["2026-03-01T12:00:00Z", "2027-03-02T12:00:00Z"]},
}


@given(revocations)
def test_what_was_written_is_read_back(written: Revocations) -> None:
    """Through JSON, as the store keeps it."""
    assert read_revocations(json.loads(json.dumps(write_revocations(written)))) == written


@pytest.mark.parametrize(
    "damage",
    [
        {"format": 2},
        {"kind": "planet"},
        {"marks": None},
        {"marks": ["cms/ada"]},
        {"marks": {"cms/ada": []}},
        {"marks": {"cms/ada": ["2026-03-01T12:00:00Z"]}},
        {"marks": {"cms/ada": ["yesterday", "tomorrow"]}},
    ],
)
def test_damage_is_refused(damage: dict[str, Any]) -> None:
    """Nobody knows who was contained, so nothing goes by it."""
    assert read_revocations(RIGHT).kind is Kind.PERSON
    with pytest.raises(Malformed):
        read_revocations(RIGHT | damage)


def test_as_many_ended_leases_as_are_remembered_fit_into_one_record() -> None:
    """OpenBao and Vault take 1 MiB."""
    marks = {f"{at:022}": Mark(NOON, NOON) for at in range(MOST_MARKS)}
    written = json.dumps(write_revocations(Revocations(Kind.LEASE, marks)))
    assert len(written) < 900_000
