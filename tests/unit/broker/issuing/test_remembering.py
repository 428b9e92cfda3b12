"""What was found out is remembered, for so many and no more."""

from __future__ import annotations

from credbroker.broker.issuing.remembering import Remembering


def test_the_first_goes_first() -> None:
    """The room is bounded however many come."""
    remembering = Remembering[int](room=2)
    for number in range(3):
        remembering.keep(str(number), number)
    assert [remembering.get(str(number)) for number in range(3)] == [None, 1, 2]


def test_what_is_found_out_again_takes_no_more_room() -> None:
    """Nothing else goes for it."""
    remembering = Remembering[int](room=2)
    for number in (1, 2):
        remembering.keep(number, number)
    remembering.keep(2, 3)
    assert (remembering.get(1), remembering.get(2)) == (1, 3)


def test_what_is_forgotten_is_not_known() -> None:
    """Nor is it a fault to forget what nobody knows."""
    remembering = Remembering[int]()
    remembering.keep("one", 1)
    for _ in range(2):
        remembering.forget("one")
        assert remembering.get("one") is None
