"""Revocations come back as they were; damage is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.domain.revocations import ENDED_BYTES, Kind, Mark, Revocations
from credbroker.wire.revocations import read_revocations, write_revocations
from tests.unit.things import NOON, instants, names, seconds

revocations = st.builds(
    Revocations,
    st.sampled_from(Kind),
    st.dictionaries(names, st.builds(Mark, instants, instants), max_size=4),
)
RIGHT: dict[str, Any] = {
    "format": 1,
    "kind": "person",
    "marks": '{"cms/ada": [1780315260, 1811851260]}',
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
        {"marks": ""},
        {"marks": "{"},
        {"marks": {"cms/ada": [1780315260, 1811851260]}},
        {"marks": '["cms/ada"]'},
        {"marks": '{"cms/ada": []}'},
        {"marks": '{"cms/ada": 1780315260}'},
        {"marks": '{"cms/ada": [1780315260]}'},
        {"marks": '{"cms/ada": ["yesterday", "tomorrow"]}'},
        {"marks": '{"cms/ada": [1780315260, 1e300]}'},
        {"marks": '{"cms/ada": [1780315260, NaN]}'},
    ],
)
def test_damage_is_refused(damage: dict[str, Any]) -> None:
    """Nobody knows who was contained, so nothing goes by it."""
    assert read_revocations(RIGHT).kind is Kind.PERSON
    with pytest.raises(Malformed):
        read_revocations(RIGHT | damage)


def test_ten_thousand_ended_leases_are_few_texts_and_fit_into_one_record() -> None:
    """OpenBao takes a thousand texts in a request, and 1 MiB in a record."""
    full = Revocations(Kind.LEASE).added(
        {f"{at:022}": Mark(NOON, NOON + seconds(300)) for at in range(10_000)}, NOON, ENDED_BYTES
    )
    written = write_revocations(full)
    assert len(written) == 3
    assert len(json.dumps(written)) < ENDED_BYTES
