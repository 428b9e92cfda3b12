"""The demo's figures: as a table for people and as one JSON object for programs.

What the figures prove hangs on how they were measured, so that is kept with them, and what did not
hold is said in words. What was not measured counts as not held.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

LONGEST_GAP_SECONDS = 3.0
"""A job that looked away for longer may have missed a fault in its token file."""

_FIGURES = (
    "samples",
    "invalid_samples",
    "renewals",
    "issuer_refreshes",
    "broker_restarts",
    "outage_seconds",
    "refresh_token_found_outside",
    "seconds",
)


@dataclass(frozen=True, slots=True)
class Report:
    """What the demo measured; times in seconds.

    Beside the figures: the longest the job went without a look at its token file, how often the agent
    asked in vain while the issuer was away, and how the agent ended.
    """

    samples: int
    invalid_samples: int
    renewals: int
    issuer_refreshes: int
    broker_restarts: int
    outage_seconds: float
    refresh_token_found_outside: int
    seconds: float
    longest_gap_seconds: float = math.inf
    asked_in_vain: int = 0
    agent_exit_code: int | None = None
    token_file_gone: bool = False

    @property
    def good(self) -> bool:
        """True if the demo proved what it set out to."""
        return not self.shortcomings()

    def shortcomings(self) -> list[str]:
        """Return what did not hold or was not shown, each as a sentence."""
        held = {
            "The job never looked at its token file.": self.samples > 0,
            "The job found no good token in its file at times.": self.invalid_samples == 0,
            f"The job looked away for more than {LONGEST_GAP_SECONDS:.0f} s.": (
                self.longest_gap_seconds <= LONGEST_GAP_SECONDS
            ),
            "The job saw fewer than four renewals.": self.renewals >= 4,
            "The broker was not killed.": self.broker_restarts >= 1,
            "The issuer was not away, or the agent did not ask meanwhile.": (
                self.outage_seconds > 0 and self.asked_in_vain > 0
            ),
            "The agent did not end well with its job.": self.agent_exit_code == 0,
            "The token file outlived its job.": self.token_file_gone,
            "A refresh token was found where it must not be.": (
                self.refresh_token_found_outside == 0
            ),
        }
        return [sentence for sentence, so in held.items() if not so]

    def as_json(self) -> str:
        """Write the figures as one JSON object."""
        return json.dumps({name: getattr(self, name) for name in _FIGURES}, indent=2) + "\n"

    def rows(self) -> list[tuple[str, str]]:
        """Return the table, row by row."""
        return [
            ("looks at the token file", str(self.samples)),
            ("of these not a good token", str(self.invalid_samples)),
            ("renewals the job saw", str(self.renewals)),
            ("refreshes at the issuer", str(self.issuer_refreshes)),
            ("broker killed and restarted", str(self.broker_restarts)),
            ("issuer away", f"{self.outage_seconds:.0f} s"),
            ("refresh token seen elsewhere", f"{self.refresh_token_found_outside} times"),
            ("all of it took", f"{self.seconds:.0f} s"),
        ]
