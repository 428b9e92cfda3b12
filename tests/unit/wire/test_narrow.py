"""A shared narrow token comes back from its record as it was, or not at all."""

from __future__ import annotations

import pytest

from credbroker.domain.errors import Malformed
from credbroker.wire.narrow import read_narrow, write_narrow
from tests.unit.domain.test_narrow import NARROW


def test_what_is_written_is_read_back() -> None:
    """The order of its names too: a renewal asks for the same."""
    read = read_narrow(write_narrow(NARROW))
    assert read == NARROW
    assert str(read.right.scopes) == str(NARROW.right.scopes)
    assert read.right.audiences == NARROW.right.audiences


@pytest.mark.parametrize("field", sorted(write_narrow(NARROW)))
def test_a_damaged_record_is_refused(field: str) -> None:
    """Each field is needed."""
    record = dict(write_narrow(NARROW))
    del record[field]
    with pytest.raises(Malformed):
        read_narrow(record)
