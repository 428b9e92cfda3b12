"""The command: what it takes, and which exit code it ends with."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

import pytest

from credbroker.__main__ import main
from credbroker.edge.condor import command
from tests.fakes.credd import put_config_val
from tests.unit.edge.condor.scene import REQUEST

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.edge.condor.scene import Scene


@pytest.fixture(autouse=True)
def condor(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An HTCondor that knows its folder of credentials."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    said = {"SEC_CREDENTIAL_DIRECTORY_OAUTH": str(scene.credd.folder)}
    return put_config_val(tmp_path / "bin", said)


def test_the_options_are_those_of_htcondors_credmons() -> None:
    """In their short and long forms."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    short = parser.parse_args(["-n", "x", "-c", "/od", "-l", "/log", "-d", "-v"])
    long = parser.parse_args(
        ["--name", "x", "--cred-dir", "/od", "--log-file", "/log", "-d", "--verbose"]
    )
    assert short == long
    assert short.debug
    assert parser.parse_args([]).name == "CREDMON_OAUTH"


def test_a_list_needs_no_daemon(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """Its exit code is the worst verdict; what cannot be said is 3."""
    assert main(["credmon", "--list"]) == 0
    scene.credd.store("alice", "cms", REQUEST)
    assert main(["credmon", "--list", "--json"]) == 1
    out = capsys.readouterr().out
    (shown,) = json.loads(out[out.index("[") :])
    assert shown["verdict"] == "warning"
    assert main(["credmon", "--list", "--cred-dir", "/nowhere"]) == 3
    assert "/nowhere" in capsys.readouterr().err


def test_settings_that_must_be_mended_end_it_for_good(
    condor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reason stands in the log, too, if there is one: condor_master gives no streams."""
    log = tmp_path / "log"
    assert main(["credmon", "--alongside", "--log-file", str(log)]) == 99
    assert "--providers" in log.read_text()
    condor.write_text("{}")
    assert main(["credmon", "--log-file", str(tmp_path / "no" / "log")]) == 99
    assert "SEC_CREDENTIAL_DIRECTORY_OAUTH" in capsys.readouterr().err


def test_what_may_pass_is_tried_again_by_the_master(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is not there, a log that cannot be opened, a tool that fails."""
    assert main(["credmon", "--cred-dir", str(tmp_path / "later")]) == 1
    assert main(["credmon", "--log-file", str(tmp_path / "no" / "log")]) == 44
    (tmp_path / "bin" / "condor_config_val").write_text("#!/bin/sh\nexit 1\n")
    assert main(["credmon"]) == 1
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["credmon"]) == 99
    assert main(["credmon", "--list", "--cred-dir", str(scene.credd.folder)]) == 0
