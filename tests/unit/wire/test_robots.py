"""A person's robots come back from the store as they were, and nothing else does."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.domain.robots import Robots
from credbroker.wire.robots import read_robots, write_robots
from tests.unit.things import names

places = st.lists(st.tuples(names, names), max_size=3).map(tuple)


@given(st.builds(Robots, names, names, places))
def test_robots_come_back(robots: Robots) -> None:
    """Through JSON, in their order."""
    assert read_robots(json.loads(json.dumps(write_robots(robots)))) == robots


def test_a_damaged_record_is_refused() -> None:
    """In a sentence that names it."""
    record = {**write_robots(Robots("cms", "ada")), "places": ["ada/a"]}
    with pytest.raises(Malformed, match="record of robots"):
        read_robots(record)
