"""The command `agent`: which of its kinds does the work, and what is missing where there is less."""

from __future__ import annotations

import argparse
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from credbroker.domain.errors import NotFound
from credbroker.edge import agent
from credbroker.edge.job import command

if TYPE_CHECKING:
    from collections.abc import Callable


def parsed(*arguments: str) -> argparse.Namespace:
    """Parse the agent's options."""
    parser = argparse.ArgumentParser()
    agent.add_arguments(parser)
    return parser.parse_args(arguments)


def stand_in(run: Callable[[argparse.Namespace], int]) -> ModuleType:
    """Return a module that does this."""
    module = ModuleType("a kind of agent")
    vars(module)["run"] = run
    return module


@pytest.mark.parametrize(
    "arguments", [(), ("--job", "a", "--list", "b"), ("--job", "a", "--sessions")]
)
def test_exactly_one_kind_is_chosen(arguments: tuple[str, ...]) -> None:
    """None, or two, is a mistake."""
    with pytest.raises(SystemExit) as left:
        parsed(*arguments)
    assert left.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("--list", "tokens.yaml"), "credbroker.edge.listed"),
        (("--sessions",), "credbroker.edge.sessions.command"),
    ],
)
def test_each_kind_is_loaded_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], name: str
) -> None:
    """With all that was said, and its exit code is the command's."""
    seen: list[argparse.Namespace] = []

    def run(args: argparse.Namespace) -> int:
        seen.append(args)
        return 3

    monkeypatch.setitem(sys.modules, name, stand_in(run))
    args = parsed(*arguments)
    assert agent.run(args) == 3
    assert seen == [args]


def test_a_job_is_kept_by_the_part_that_needs_no_more_than_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What follows two dashes is the job's program, with its own options."""
    monkeypatch.setattr(command, "run", lambda args, _: 5 if args.program == ["./a", "--b"] else 0)
    assert agent.run(parsed("--job", "lease.json", "--", "./a", "--b")) == 5


def test_what_is_not_in_a_one_file_program_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As for commands that are not."""
    monkeypatch.setitem(sys.modules, "credbroker.edge.listed", None)
    with pytest.raises(NotFound, match="one-file program"):
        agent.run(parsed("--list", "tokens.yaml"))
