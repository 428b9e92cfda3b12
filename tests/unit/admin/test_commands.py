"""The operators' commands are taken as they are typed."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import pytest

from credbroker.__main__ import COMMANDS, main
from credbroker.admin import commands
from credbroker.config.load import DEFAULT_FOLDER


def parsed(*words: str) -> argparse.Namespace:
    """Return what the command line makes of these words."""
    parser = argparse.ArgumentParser()
    commands.add_arguments(parser)
    return parser.parse_args(words)


def test_settings_are_looked_for_where_serve_looks() -> None:
    """Unless said otherwise, in each command."""
    for words in (["issuer", "probe", "cms"], ["issuer", "release", "cms"], ["restored"]):
        assert parsed(*words).config == DEFAULT_FOLDER
        assert parsed(*words, "--config", "here").config == Path("here")


def test_several_replicas_may_be_gone() -> None:
    """Each named by an option of its own."""
    assert parsed("restored", "--without", "one", "--without", "two").without == ["one", "two"]
    assert parsed("restored").without == []


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["issuer"],
        ["issuer", "probe"],
        ["issuer", "sell", "cms"],
        ["contain", "person"],
        ["contain", "planet", "mars"],
        ["contain"],
        ["contained", "job"],
        ["withdraw-key", "dteam"],
        ["contain", "job", "1", "--lift", "--until", "2026-03-01T12:00:00Z"],
    ],
)
def test_half_a_command_is_refused(words: list[str]) -> None:
    """With the usage, and exit code 2."""
    with pytest.raises(SystemExit) as left:
        parsed(*words)
    assert left.value.code == 2


def test_a_key_whose_name_begins_with_a_dash_can_be_withdrawn() -> None:
    """One in 64 does; it must not be found out in an emergency."""
    args = parsed("withdraw-key", "--dry-run", "dteam", "--", "-bLsXh8uDCcd")
    assert (args.community, args.key_id, args.dry_run) == ("dteam", "-bLsXh8uDCcd", True)


def test_wrong_settings_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with every command."""
    assert main(["admin", "restored", "--config", str(tmp_path)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"credbroker: {tmp_path}: there is no *.yaml file here.")
    assert shown.err.count("\n") == 1


def test_the_examples_are_commands_that_are_taken() -> None:
    """Each as it stands in the help."""
    lines = [shlex.split(line) for line in commands.EXAMPLE.splitlines()[1:]]
    assert len(lines) == 9
    for program, name, *words in lines:
        assert (program, COMMANDS[name].module) == ("credbroker", commands.__name__)
        parsed(*words)
