"""Kerberos logins without the package that they need."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from credbroker.domain.errors import BadSettings
from credbroker.host.kerberos import GssAcceptor

if TYPE_CHECKING:
    from pathlib import Path


def test_a_missing_gssapi_stops_the_start_and_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the command that installs it: nobody finds out at the first login."""
    monkeypatch.setitem(sys.modules, "gssapi", None)
    with pytest.raises(BadSettings, match="gssapi") as error:
        GssAcceptor(tmp_path / "keytab", tmp_path / "replays")
    assert "wlcg-credbroker[kerberos]" in error.value.remedy
