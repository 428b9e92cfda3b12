"""Orders: what they say by default, and that they show no secret."""

from __future__ import annotations

from pathlib import Path

from credbroker.domain.secret import Secret
from credbroker.edge.orders import Form, Order, Place


def test_a_file_is_the_owners_alone_and_holds_the_token_alone_unless_said() -> None:
    """The safe form is the one that comes by itself."""
    place = Place(Path("token"))
    assert (place.form, place.mode, place.line_end) == (Form.RAW, 0o600, False)


def test_an_order_shows_no_secret() -> None:
    """It is printed in failures."""
    order = Order("a", Place(Path("token")), "broker", Secret("lease token", "open-sesame"))
    assert "open-sesame" not in repr(order)
