"""`config show` prints each setting with the place that it comes from, and nothing secret."""

from __future__ import annotations

import argparse
import io
import json
from typing import TYPE_CHECKING

import pytest

from credbroker.admin import config_check
from credbroker.admin.desk import Desk
from credbroker.domain.errors import BadSettings
from credbroker.host.clock import SystemClock
from tests.fakes.entropy import FakeEntropy
from tests.unit.config.place import right, write

if TYPE_CHECKING:
    from pathlib import Path


def run(*words: str) -> str:
    """Run `config` with these words; return what it answered."""
    parser = argparse.ArgumentParser()
    config_check.add_arguments(parser)
    out = io.StringIO()
    desk = Desk(SystemClock(), FakeEntropy(), out, io.StringIO())
    assert config_check.run(parser.parse_args(words), desk) == 0
    return out.getvalue()


def test_what_is_written_is_shown_with_file_and_line(tmp_path: Path) -> None:
    """As it is after all files were read."""
    folder = write(tmp_path, a=right(tmp_path), b="log:\n  level: debug\nlisten: {port: 8201}\n")
    lines = run("show", str(folder)).splitlines()
    assert f'log.level: "debug"  # {folder}/b.yaml:2' in lines
    assert f"listen.port: 8201  # {folder}/b.yaml:3" in lines
    assert not any("default" in line.partition("  # ")[2] for line in lines)


def test_effective_settings_are_all_of_them(tmp_path: Path) -> None:
    """Those left at their default are said to be."""
    folder = write(tmp_path, a=right(tmp_path))
    lines = run("show", "--effective", str(folder)).splitlines()
    assert 'vault.mount: "credbroker"  # default' in lines
    assert "listen.tls: null  # default" in lines
    assert "communities: {}  # default" in lines
    assert "issuers.egi.roles.pilot.2.audiences: []  # default" in lines
    # A comment after a value: the lines are YAML, key by key.
    assert all(line.partition(": ")[2] for line in lines)


def test_secrets_files_are_named_and_not_opened_and_hashes_are_masked(tmp_path: Path) -> None:
    """Neither their content nor what stands for a secret is printed."""
    tree = right(tmp_path)
    client = {"scopes": ["storage.read:/"], "audiences": ["https://se"], "secret_sha256": "ab" * 32}
    tree["communities"] = {"dteam": {"url": "https://b.test/dteam/", "clients": {"fts": client}}}
    folder = write(tmp_path, a=tree)
    for name in ("role-id", "secret-id", "client-secret"):
        (tmp_path / name).unlink()
    said = run("show", "--effective", str(folder))
    assert f'vault.approle.secret_id_file: "{tmp_path}/secret-id"' in said
    assert 'communities.dteam.clients.fts.secret_sha256: "(masked)"' in said
    assert "abab" not in said


def test_a_program_reads_a_list_of_objects(tmp_path: Path) -> None:
    """With the same three things for each."""
    folder = write(tmp_path, a=right(tmp_path))
    read = {
        one["key"]: one for one in json.loads(run("show", "--json", "--effective", str(folder)))
    }
    assert read["listen.port"] == {"key": "listen.port", "value": 8200, "origin": None}
    assert read["audit.folder"]["origin"] == {"file": f"{folder}/a.yaml", "line": 2}
    written = json.loads(run("show", "--json", str(folder)))
    assert all(one["origin"] for one in written)


def test_settings_that_are_wrong_are_refused_as_by_check(tmp_path: Path) -> None:
    """What would be shown is not in force anywhere."""
    with pytest.raises(BadSettings, match=r"log\.level"):
        run("show", str(write(tmp_path, a=right(tmp_path), b="log: {level: loud}")))
