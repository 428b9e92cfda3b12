"""The stories of Kerberos tickets, with our stand-ins in htgettoken's place and a real KDC."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from tests.interop import test_htgettoken_tickets as stories
from tests.interop.stand_ins import write_stand_ins
from tests.kdc import missing

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ["tests.interop.htgettoken.fixtures"]

MISSING = missing() or (
    "" if importlib.util.find_spec("gssapi") else "gssapi is not installed; run: make kerberos"
)
pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(MISSING), reason=MISSING or "nothing is missing"),
]

kdc, htsite, ada = stories.kdc, stories.htsite, stories.ada
globals().update({name: it for name, it in vars(stories).items() if name.startswith("test_")})


@pytest.fixture(scope="module")
def htgettoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with our stand-ins, in place of the client's."""
    return write_stand_ins(tmp_path_factory.mktemp("stand-ins"))
