"""The `canaries` fixture: what a test plants may be seen nowhere that it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credbroker.telemetry.canaries import Canaries

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Canaries", "canaries"]


@pytest.fixture
def canaries() -> Iterator[Canaries]:
    """Plant secrets and look around; at the end the search is tried, then nothing may be seen."""
    planted = Canaries()
    yield planted
    planted.assert_unseen()
