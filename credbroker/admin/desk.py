"""What an operator's command works with beside the settings: time, chance, and a terminal's two ends.

`out` carries the answer and nothing else; everything said on the way goes to `err`. Text that came
from elsewhere is made harmless before it reaches a terminal.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TextIO

from credbroker.cli.desk import can_ask, plain, says_yes
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.ports import Clock, Entropy


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything outside a command that it may touch, besides what the settings name."""

    clock: Clock
    entropy: Entropy
    out: TextIO
    err: TextIO
    inp: TextIO | None = None

    def answer(self, text: str) -> None:
        """Print one line of the answer."""
        self.out.write(plain(text) + "\n")

    def say(self, text: str) -> None:
        """Tell the operator something at once."""
        self.err.write(plain(text) + "\n")
        self.err.flush()

    def can_ask(self) -> bool:
        """True if an operator sits there and can be asked something."""
        return can_ask(self.inp, self.err)

    def says_yes(self, question: str) -> bool:
        """Ask the operator; only a plain yes is one."""
        return says_yes(plain(question), self.inp, self.err)


def system_desk() -> Desk:
    """Return the desk of this machine."""
    return Desk(SystemClock(), SystemEntropy(), sys.stdout, sys.stderr, sys.stdin)
