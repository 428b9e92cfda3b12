"""A program beside its agent: started with a token, never ended for want of the next one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from credbroker.domain.errors import LeaseEnded, LocalFileUnfit, NotAllowed
from credbroker.edge.job.under_agent import environ_of_program, run_under

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from credbroker.edge.job.keeping import Agent
    from credbroker.edge.job.program import Program


@dataclass
class Story:
    """An agent and a program in one: what they do is noted, and `fails` may come at either time."""

    fails: BaseException | None = None
    starts_first: bool = True
    done: list[str] = field(default_factory=list)
    said: list[tuple[str, object]] = field(default_factory=list)
    job_runs: Callable[[], bool] = lambda: True
    on_ready: Callable[[], None] = lambda: None
    was_started: bool = False

    def run(self) -> None:
        """Be the agent."""
        if self.starts_first:
            self.on_ready()
        if self.fails is not None:
            raise self.fails
        self.leave()

    def leave(self) -> None:
        """Take the file away."""
        self.done.append("left")

    def is_running(self) -> bool:
        """Be the program."""
        return True

    def start(self) -> None:
        """Start."""
        self.was_started = True
        self.done.append("started")

    def exit_code(self) -> int:
        """Wait for the end."""
        self.done.append("waited")
        return 7

    def told(self) -> int:
        """Tell the story."""
        return run_under(
            cast("Agent", self),
            cast("Program", self),
            lambda event, **fields: self.said.append((event, fields.get("why"))),
        )


def test_the_programs_exit_code_is_the_answer() -> None:
    """It starts when the first token is there."""
    story = Story()
    assert story.told() == 7
    assert (story.done, story.said) == (["started", "left", "waited"], [])


@pytest.mark.parametrize("error", [NotAllowed("No."), LocalFileUnfit("Full."), SystemExit(143)])
def test_without_a_first_token_nothing_is_started(error: BaseException) -> None:
    """What kept it from coming is raised, and nothing is left behind."""
    story = Story(error, starts_first=False)
    with pytest.raises(type(error)):
        story.told()
    assert story.done == ["left"]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (LeaseEnded("Over."), "Over."),
        (ValueError("hunter2"), "Something unforeseen went wrong (ValueError)."),
    ],
)
def test_a_program_that_runs_is_not_ended_for_want_of_a_token(error: Exception, why: str) -> None:
    """Its token may last as long as it needs; the file goes when it has ended."""
    story = Story(error)
    assert story.told() == 7
    assert story.said == [("no more tokens", why)]
    assert story.done == ["started", "waited", "left", "waited"]


def test_a_program_finds_the_file_and_no_token_that_goes_before_it(tmp_path: Path) -> None:
    """All else in its environment is as it was."""
    before = {"BEARER_TOKEN": "old", "BEARER_TOKEN_FILE": "/old", "HOME": "/home/ada"}
    assert environ_of_program(before, tmp_path / "token") == {
        "BEARER_TOKEN_FILE": str(tmp_path / "token"),
        "HOME": "/home/ada",
    }
