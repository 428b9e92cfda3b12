"""Orders come back from the store as they were, and nothing else does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.deliveries import Announced, Delivery, Ordered, Target, consented
from credbroker.domain.errors import Malformed
from credbroker.domain.names import GrantKey
from credbroker.wire.ordered import read_announced, read_delivery, write_announced, write_delivery
from tests.unit.things import NOON, instants, lease, names

texts = st.lists(names, max_size=3).map(tuple)
orders = st.builds(
    Ordered,
    st.builds(Target, names, st.booleans()),
    st.integers(0, 2**32 - 2),
    names,
    names,
    names,
    texts,
    texts,
    st.just("") | names,
    st.booleans(),
)


def through_json(record: Any) -> Any:
    """Return what a store gives back."""
    return json.loads(json.dumps(record))


@given(st.builds(Announced, names, orders, names, names, instants))
def test_what_waits_comes_back(found: Announced) -> None:
    """A group stays a group."""
    assert read_announced(through_json(write_announced(found))) == found


@given(st.builds(Announced, names, orders, names, names, instants), names, names)
def test_what_stands_comes_back(found: Announced, credkey: str, line: str) -> None:
    """With the grant that it is of."""
    key = GrantKey(found.ordered.issuer, credkey, found.ordered.role)
    delivery: Delivery = consented(found, lease(key=key, line=line))
    assert read_delivery(through_json(write_delivery(delivery))) == delivery


@pytest.mark.parametrize("scopes", ["[1]", "{}", "[", '"a"'])
def test_a_damaged_record_is_refused(scopes: str) -> None:
    """In a sentence that names it."""
    ordered = Ordered(Target("lx1"), 1, "ada", "cms", "default", ("a",))
    record = write_announced(Announced("i", ordered, "lx1", "h", NOON))
    with pytest.raises(Malformed, match="record of an"):
        read_announced({**record, "scopes": scopes})
