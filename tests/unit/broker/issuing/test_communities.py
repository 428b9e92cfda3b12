"""One value holds what a community is served by."""

from __future__ import annotations

import dataclasses

from credbroker.broker.issuing.communities import CommunityIssuer


def test_it_is_what_the_surfaces_serve() -> None:
    """The name of the settings, and a deed for each surface."""
    fields = [one.name for one in dataclasses.fields(CommunityIssuer)]
    assert fields == ["name", "signing", "granting", "revoking", "files"]
