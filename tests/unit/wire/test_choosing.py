"""The messages of a choice read as they were written; what nobody knows is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.wire.choosing import ChooseNotices, NoticesChosen
from tests.unit.things import names, refusal


@given(st.builds(NoticesChosen, st.booleans(), st.booleans(), st.none() | names))
def test_an_answer_reads_as_it_was_written(answer: NoticesChosen) -> None:
    """Also without an address."""
    assert NoticesChosen.read(answer.write()) == answer


@pytest.mark.parametrize("body", [b"{}", b'{"mail":"no"}', b'{"mail":true,"male":false}', b"[]"])
def test_a_choice_is_one_of_two(body: bytes) -> None:
    """A typo chooses nothing."""
    assert refusal(lambda: ChooseNotices.read(body))
    assert ChooseNotices.read(b'{"mail":false}') == ChooseNotices(mail=False)
