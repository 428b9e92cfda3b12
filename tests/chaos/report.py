"""What a campaign came to: a table for people, a JSON document for everybody else."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BROKEN_OFF = "It broke off."
"""What a report says from the beginning until its campaign has come to its end."""
MUST_BE_NONE = (
    "unexplained",
    "posts_beyond_rule",
    "third_posts",
    "foreign_client_posts",
    "used_before_stored",
    "invalid_samples",
)


@dataclass
class Report:
    """The figures; `faults` and `points` count what was seen to take effect."""

    seed: int
    count: int
    faults: dict[str, int] = field(default_factory=dict)
    points: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    seconds: float = 0.0
    openbao_nodes: int = 0
    grants: int = 0
    logins: int = 0
    refreshes: int = 0
    tokens_given: int = 0
    samples: int = 0
    in_doubt: int = 0
    lost: int = 0
    paused: int = 0
    explained: dict[str, int] = field(default_factory=dict)
    unexplained: int = 0
    posts_beyond_rule: int = 0
    third_posts: int = 0
    foreign_client_posts: int = 0
    used_before_stored: int = 0
    invalid_samples: int = 0
    states: dict[str, int] = field(default_factory=dict)
    """How many grants were in each state after the last fault."""
    ready_after_last_fault: int = 0
    refreshed_after_last_fault: int = 0
    not_finished: str = ""
    """Why the campaign ended before its plan did; empty if it did not."""
    findings: list[str] = field(default_factory=list)

    @property
    def effects(self) -> int:
        """How many faults took effect."""
        return sum(self.faults.values())

    def shortcomings(self) -> list[str]:
        """Return what is not as it must be, as sentences."""
        told = [
            f"{name} is {getattr(self, name)} and must be 0."
            for name in MUST_BE_NONE
            if getattr(self, name)
        ]
        if self.refreshed_after_last_fault != self.ready_after_last_fault:
            told.append("Not every grant that is ready could be refreshed after the last fault.")
        if not self.ready_after_last_fault:
            told.append("No grant was ready after the last fault.")
        if self.effects < self.count:
            told.append(f"Only {self.effects} of {self.count} faults took effect.")
        if self.not_finished:
            told.append(self.not_finished)
        return told

    def write(self, path: Path) -> None:
        """Write the document."""
        path.write_text(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")

    def table(self) -> str:
        """Return the figures as lines for a terminal."""
        lines = [f"{'fault':<40}{'seen':>6}"]
        lines += [f"{name:<40}{seen:>6}" for name, seen in sorted(self.faults.items())]
        lines += [f"{'all faults':<40}{self.effects:>6}", ""]
        plain = (name for name, value in asdict(self).items() if isinstance(value, int | float))
        lines += [f"{name:<40}{getattr(self, name):>6}" for name in plain]
        lines += [f"  {seen} x {why}" for why, seen in sorted(self.explained.items())]
        lines += [f"  {seen} grants {state} at the end" for state, seen in self.states.items()]
        lines += [f"left out: {', '.join(self.left_out) or 'nothing'}"]
        return "\n".join([*lines, *self.findings, *self.shortcomings()])
