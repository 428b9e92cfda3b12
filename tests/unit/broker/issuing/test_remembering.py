"""What was verified is remembered, for so many and no more."""

from __future__ import annotations

from credbroker.broker.issuing.remembering import Remembering


def test_the_first_goes_first() -> None:
    """The room is bounded however many come."""
    remembering = Remembering[int](room=2)
    for number in range(3):
        remembering.keep(str(number), number)
    assert [remembering.get(str(number)) for number in range(3)] == [None, 1, 2]
