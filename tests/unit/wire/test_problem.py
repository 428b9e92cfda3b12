"""An error arrives at the client as the kind it left the broker."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import BrokerUnreachable, CredbrokerError, leaves
from credbroker.wire.problem import read_problem, write_problem


@pytest.mark.parametrize("kind", list(leaves()), ids=lambda kind: kind.__name__)
def test_every_error_comes_back_as_itself(kind: type[CredbrokerError]) -> None:
    """With sentence, remedy and request id."""
    sent = kind("This happened.", "Do that.")
    got = read_problem(400, write_problem(sent, "r-1"))
    assert type(got) is kind
    assert (got.sentence, got.remedy, got.request_id) == ("This happened.", "Do that.", "r-1")


@given(st.integers(100, 599), st.binary(max_size=60))
def test_an_answer_of_somebody_else_is_never_repeated(status: int, body: bytes) -> None:
    """A proxy's page says nothing about the grant, and may hold anything."""
    got = read_problem(status, b"<html>secret-words" + body)
    assert isinstance(got, BrokerUnreachable)
    assert str(status) in got.sentence
    assert "secret-words" not in f"{got.sentence}{got.remedy}"


@pytest.mark.parametrize(
    "body", [b'{"error":"unheard_of","message":"x"}', b'{"error":5}', b'{"error":"busy"}', b"{}"]
)
def test_a_problem_that_is_not_ours_is_the_brokers_absence(body: bytes) -> None:
    """Unknown words and missing sentences included."""
    assert isinstance(read_problem(500, body), BrokerUnreachable)
