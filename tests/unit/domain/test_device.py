"""A waiting login slows down when asked and forgets its code when it is over."""

from __future__ import annotations

from credbroker.domain.device import over, slower
from tests.unit.things import login


def test_slow_down_adds_five_seconds_each_time() -> None:
    """RFC 8628 section 3.5."""
    assert slower(slower(login())).interval_seconds == 15


def test_a_login_that_is_over_has_no_code_left() -> None:
    """And says why."""
    done = over(login(), "Nobody confirmed the login in time.")
    assert (done.device_code, done.note) == (None, "Nobody confirmed the login in time.")


def test_a_login_does_not_show_its_code() -> None:
    """Not in a log of the record either."""
    assert "device-1" not in repr(login())
