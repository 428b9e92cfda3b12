"""Visits are read as they were written, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.wire.visits import BegunVisit, Visitor
from tests.unit import things

begun = st.builds(BegunVisit, state=things.names, issuer=things.names, begun_at=things.instants)
visitors = st.builds(
    Visitor,
    visit=things.names,
    issuer=things.names,
    issuer_url=things.names,
    subject=things.names,
    credkey=things.names,
    since=things.instants,
)


@given(begun)
def test_a_visit_that_begins_comes_back_as_it_was(visit: BegunVisit) -> None:
    """Field by field."""
    assert BegunVisit.read(visit.write()) == visit


@given(visitors)
def test_a_visitor_comes_back_as_they_were(visitor: Visitor) -> None:
    """Field by field."""
    assert Visitor.read(visitor.write()) == visitor


def test_anything_else_is_refused() -> None:
    """Each is no other, either."""
    for content in (b"", b"[]", b'{"state": "s"}'):
        for read in (BegunVisit.read, Visitor.read):
            with pytest.raises(Malformed):
                read(content)
