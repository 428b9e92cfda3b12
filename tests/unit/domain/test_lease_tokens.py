"""A lease as its holder has it; what the broker makes of it is in `test_leases`."""

from __future__ import annotations

import pytest

from credbroker.domain.errors import LeaseUnknown
from credbroker.domain.lease_tokens import LeaseToken

TEXT = f"cb_{'i' * 22}.{'s' * 43}"


def test_a_lease_token_comes_back() -> None:
    """In its two parts, the second of which stays wrapped."""
    shown = LeaseToken.parse(TEXT)
    assert (shown.id, shown.secret.reveal()) == ("i" * 22, "s" * 43)
    assert shown.text().reveal() == TEXT
    assert "s" * 43 not in repr(shown)


@pytest.mark.parametrize(
    "text", ["", "cb_", TEXT + "x", TEXT[3:], TEXT.replace(".", ":"), TEXT + "\n"]
)
def test_anything_else_is_no_lease(text: str) -> None:
    """And is not repeated."""
    with pytest.raises(LeaseUnknown) as refused:
        LeaseToken.parse(text)
    assert text == "" or text not in refused.value.sentence
