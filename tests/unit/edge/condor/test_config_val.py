"""HTCondor's settings come from its own tool, in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credbroker.domain.errors import BadSettings, LocalFileUnfit
from credbroker.edge.condor.config_val import ask_condor, read_dump
from tests.fakes.credd import put_config_val

if TYPE_CHECKING:
    from pathlib import Path

DUMP = """\
# Configuration from machine: ap.example.org
CREDMON_OAUTH_TOKEN_MINIMUM = 2400
box_CLIENT_ID = abc = def
EMPTY =
JOB_TRANSFORM_X @=end
   SET Foo = 1
@end
# Contributing configuration file(s):
#\t/etc/condor/condor_config
"""


def test_a_dump_is_read_line_by_line() -> None:
    """Values may hold anything; what stands on several lines is no credmon's business."""
    assert read_dump(DUMP) == {
        "CREDMON_OAUTH_TOKEN_MINIMUM": "2400",
        "BOX_CLIENT_ID": "abc = def",
        "EMPTY": "",
    }


def test_the_tool_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one on the PATH."""
    put_config_val(tmp_path, {"A": "1"})
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask_condor("CREDMON_OAUTH") == {"A": "1"}


def test_a_missing_tool_is_not_the_same_as_one_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first wants an operator, the second may pass."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadSettings, match="not on the PATH"):
        ask_condor("X")
    (tmp_path / "condor_config_val").write_text("#!/bin/sh\nexit 7\n")
    (tmp_path / "condor_config_val").chmod(0o755)
    with pytest.raises(LocalFileUnfit, match="exit code 7"):
        ask_condor("X")
