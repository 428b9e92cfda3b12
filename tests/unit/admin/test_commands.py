"""The operators' commands are taken as they are typed."""

from __future__ import annotations

import argparse
import io
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from credbroker.__main__ import COMMANDS, main
from credbroker.admin import commands
from credbroker.cli.exits import FAILED, exit_code
from credbroker.config.load import DEFAULT_FOLDER
from credbroker.domain.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable

    from credbroker.admin.office import Office
    from tests.unit.admin.rooms import Rooms


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
        ["contain", "job", "1", "--dry-run", "--yes"],
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


class Terminal(io.StringIO):
    """One that somebody sits at."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture
def contained(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Call `contain` on this office, at a terminal where that is typed, or where there is none."""

    async def opened(*_: object) -> Office:
        return rooms.office

    monkeypatch.setattr(commands, "open_office", opened)
    monkeypatch.setattr(commands, "load", lambda _: rooms.office.settings)

    def call(*words: str, typed: str | None = None) -> int:
        desk = rooms.office.desk
        if typed is not None:
            rooms.err = Terminal(rooms.err.getvalue())
            desk = replace(desk, inp=Terminal(typed), err=rooms.err)
        monkeypatch.setattr(rooms, "office", replace(rooms.office, desk=desk))
        return commands.run(parsed("contain", *words), desk)

    return call


def test_what_would_be_ended_is_shown_and_asked_about(
    rooms: Rooms, contained: Callable[..., int]
) -> None:
    """Only a plain yes ends it; whoever is asked and says something else has ended nothing."""
    for typed in ("", "\n", "n\n", "why?\n"):
        assert contained("job", "run 42", typed=typed) == FAILED
        assert rooms.said().endswith("[y/N] Nothing was contained.\n")
    assert rooms.revocations.history == []
    assert contained("job", "run 42", typed="y\n") == 0
    assert rooms.answered().splitlines()[-2:] == [
        "Job run 42 would be contained.",
        "Job run 42 is contained.",
    ]
    assert rooms.audit.events() == ["contained"]


def test_where_nobody_can_be_asked_yes_is_said_in_advance(
    rooms: Rooms, contained: Callable[..., int]
) -> None:
    """Or nothing is ended, and the sentence says how: a script is no accident."""
    with pytest.raises(Malformed, match="Nobody can be asked here") as kept:
        contained("job", "run 42")
    assert (exit_code(kept.value), "--yes" in kept.value.remedy) == (2, True)
    assert contained("job", "run 42", "--dry-run") == 0
    assert rooms.revocations.history == []
    assert contained("job", "run 42", "--yes") == 0
    assert rooms.audit.events() == ["contained"]
    assert "would be" not in rooms.answered().splitlines()[-1]


def test_a_lift_asks_nothing_and_is_not_rehearsed(
    rooms: Rooms, contained: Callable[..., int]
) -> None:
    """It ends nobody's work; a rehearsal of it would tell of a containment."""
    contained("job", "run 42", "--yes")
    with pytest.raises(Malformed, match="--lift"):
        contained("job", "run 42", "--lift", "--dry-run")
    assert contained("job", "run 42", "--lift") == 0
    assert rooms.revocations.newest("job").marks == {}


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
    assert len(lines) == 10
    for program, name, *words in lines:
        assert (program, COMMANDS[name].module) == ("credbroker", commands.__name__)
        parsed(*words)
