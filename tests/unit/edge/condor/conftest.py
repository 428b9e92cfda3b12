"""What the tests of the credmon share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes.credd import Credd
from tests.unit.edge.condor.scene import Scene

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """An empty folder of credentials with a source that reads it."""
    return Scene(Credd(tmp_path / "oauth_credentials"))
