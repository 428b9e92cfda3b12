"""The command: what it takes, and which exit code it ends with."""

from __future__ import annotations

import argparse
import datetime
import json
from typing import TYPE_CHECKING

import pytest

from credbroker.__main__ import main
from credbroker.delivery import lease_file
from credbroker.delivery.lease_file import LeaseFile
from credbroker.edge.condor import command
from credbroker.host import open_files
from credbroker.host.entropy import SystemEntropy
from tests.fakes.broker import access_token, lease_token
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


def test_a_list_knows_the_standing_lease(
    scene: Scene, condor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A local token that is well is shown so; one whose lease is gone is a warning."""
    lease = tmp_path / "standing.lease"
    now = scene.clock.now()
    ends = now + datetime.timedelta(days=30)
    lease_file.write(
        lease,
        LeaseFile("https://b.example.org:8200", lease_token(1), "cms", "ap", "ap", [], ends),
        SystemEntropy(),
    )
    said = json.loads(condor.read_text()) | {"LOCAL_CREDMON_LEASE_FILE": str(lease)}
    condor.write_text(json.dumps(said))
    scene.credd.store("alice", "scitokens", b"alice@ap.example.org")
    token = access_token(now, seconds=9000).reveal().encode()
    scene.credd.store_plain("alice", "scitokens", token + b"\n")
    assert main(["credmon", "--list"]) == 0, capsys.readouterr().out
    lease.unlink()
    assert main(["credmon", "--list"]) == 1
    assert "standing lease" in capsys.readouterr().out


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


def test_what_is_in_memory_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTCondor lets its daemons leave core files, and here are all users' vault tokens."""
    done: list[str] = []
    monkeypatch.setattr(command, "forbid_core_dumps", lambda: done.append("no core"))
    monkeypatch.setattr(open_files, "allow_many", lambda: done.append("files"))
    assert main(["credmon", "--cred-dir", str(tmp_path / "later")]) == 1
    assert done == ["no core", "files"]


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
