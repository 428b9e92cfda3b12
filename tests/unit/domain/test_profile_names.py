"""The profile's own names, as the rooms that speak of them have them."""

from __future__ import annotations

from credbroker.domain import attenuation, profile_names, scopes


def test_the_names_stand_once() -> None:
    """What loads quickly and what judges rights mean the same."""
    assert attenuation.ANY_AUDIENCE == profile_names.ANY_AUDIENCE
    assert scopes.CONTROL == profile_names.CONTROL
    assert {"openid", "offline_access"} <= profile_names.CONTROL
