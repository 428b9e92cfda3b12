"""What the page for access points shows is so: settings, files, options, exit codes."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from credbroker.cli import exits
from credbroker.edge.condor import command as credmon
from credbroker.edge.condor.settings import read_settings
from credbroker.edge.storer import command as storer
from credbroker.edge.storer import storages
from credbroker.edge.storer.asked import parse
from credbroker.edge.storer.checking import Outcome
from credbroker.edge.storer.storages import Storage
from tests.fakes.condor_config import PAGE, condor_settings, settings, shown

if TYPE_CHECKING:
    from types import ModuleType

TEXT = PAGE.read_text("utf-8")
ALONGSIDE = "50-credbroker-alongside.conf"


def block(first_line: str) -> str:
    """Return the block that begins with this line."""
    (found,) = [
        text
        for text in re.findall(r"^```text\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
        if text.startswith(f"{first_line}\n")
    ]
    return str(found)


def options_of(command: ModuleType) -> set[str]:
    """Return the options that a command knows."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return set(re.findall(r"--[a-z-]+", parser.format_help()))


def test_the_file_for_the_storer_hands_on_each_argument_as_it_is(tmp_path: Path) -> None:
    """Blanks, ampersands and dollars among them."""
    wrapper, program = tmp_path / "wrapper", tmp_path / "credbroker"
    wrapper.write_text(block("#!/bin/sh"))
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 6\n')
    for file in (wrapper, program):
        file.chmod(0o755)
    words = ["cms&handle=ro&scopes=a, b", "atlas&options=$HOME *"]
    done = subprocess.run(
        [wrapper, *words],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": f"{tmp_path}{os.pathsep}{os.defpath}"},
    )
    assert (done.stdout.splitlines(), done.returncode) == (["condor-storer", *words], 6)


@pytest.mark.parametrize("file", ["50-credbroker.conf", ALONGSIDE])
def test_the_settings_are_understood_by_the_credmon(file: str) -> None:
    """As they stand, in both ways to run it; the storer is told the same broker that is trusted."""
    said = settings(shown(file))
    read = read_settings(said, name="CREDMON_OAUTH")
    assert read.folder == Path("/var/lib/condor/oauth_credentials")
    assert read.trusted_hosts is not None
    assert storer._server_in(said["SEC_CREDENTIAL_GETTOKEN_OPTS"]) == said["TRUSTED_VAULT_HOSTS"]


def test_the_arguments_of_the_credmon_are_understood() -> None:
    """Those that `condor_master` gives it."""
    both = (
        settings(shown(ALONGSIDE))["CREDBROKER_CREDMON_ARGS"],
        condor_settings()["CREDMON_OAUTH_ARGS"],
    )
    for words in (text.split() for text in both):
        parser = argparse.ArgumentParser()
        credmon.add_arguments(parser)
        assert words[0] == "credmon"
        parser.parse_args(words[1:])


def test_the_submit_file_asks_for_what_can_be_served() -> None:
    """Its scopes are put in order, and its options are understood."""
    lines = block("# analysis.sub").splitlines()
    said = dict(line.split(" = ", 1) for line in lines if " = " in line)
    request = "cms&handle=ro" + "".join(
        f"&{name}={said[f'cms_oauth_{key}_ro']}"
        for name, key in (
            ("scopes", "permissions"),
            ("audience", "resource"),
            ("options", "options"),
        )
    )
    asked = parse(request)
    assert asked.narrowing == (
        "storage.read:/calibration,storage.read:/store",
        "https://dav.example.org",
    )
    assert (asked.stated_seconds, asked.unused, asked.name) == (36 * 3600, (), "cms_ro")


def test_the_list_of_storages_is_read(tmp_path: Path) -> None:
    """From the folder where the storer looks for it."""
    (tmp_path / "dav.yaml").write_text(block("# /etc/credbroker/storage.d/dav.yaml"))
    audience = "https://dav.example.org"
    assert storages.read(tmp_path) == [Storage("dav", f"{audience}:443/", audience, "/store")]
    assert str(storages.DEFAULT_FOLDER) in TEXT


def test_every_option_that_is_named_exists() -> None:
    """Of either command."""
    named = set(re.findall(r"(--[a-z][a-z-]*)", TEXT)) - {"--help"}
    assert named <= options_of(storer) | options_of(credmon)
    assert {"--check", "--for", "--json", "--list", "--alongside", "--providers"} <= named


def test_every_exit_code_has_its_row() -> None:
    """But that of breaking off."""
    rows = {int(code) for code in re.findall(r"^\| (\d) \|", TEXT, re.MULTILINE)}
    known = {one for name, one in vars(exits).items() if name.isupper() and isinstance(one, int)}
    assert rows == {0, *known} - {exits.INTERRUPTED}


def test_the_fields_for_programs_are_those_that_are_written() -> None:
    """In their order."""
    (listed,) = re.findall(r"fields ((?:`\w+`(?:, | and )?)+)", TEXT)
    assert re.findall(r"`(\w+)`", listed) == list(Outcome("cms").fields())
