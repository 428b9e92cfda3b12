"""What a command works with: time, chance, the environment, and the two ends of a terminal.

`out` carries the answer and nothing else; everything said to a person goes to `err`. Text that
came from elsewhere is made harmless before it reaches a terminal.
"""

from __future__ import annotations

import io
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Mapping, Optional, TextIO

from credbroker.cli import browser
from credbroker.cli.terminal import is_dumb
from credbroker.client.opening import OpenDoor, open_door
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    import datetime

    from credbroker.client.blocking import BlockingClock
    from credbroker.client.broker import Broker
    from credbroker.client.http11 import Answer, Request
    from credbroker.delivery.lease_file import LeaseFile
    from credbroker.ports import Entropy

_SECONDS_COLUMNS = 12
"""What else stands on a line of progress: one that is too long could not be erased."""


@dataclass(frozen=True)
class Desk:
    """Everything outside a command that it may touch, besides files."""

    clock: BlockingClock
    entropy: Entropy
    environ: Mapping[str, str]
    euid: int
    out: TextIO
    err: TextIO
    columns: int = 80
    open_door: OpenDoor = open_door
    inp: Optional[TextIO] = None
    open_page: browser.Open = browser.open_page

    def broker(self, address: str, ca_file: Optional[str], ca_pem: Optional[str] = None) -> Broker:
        """Return the broker at `address`, without a lease; raise `Malformed`.

        A person at a terminal is told what is waited for, once that takes long.
        """
        from credbroker.cli.progress import progress
        from credbroker.client.broker import Broker

        door = self.open_door(address, self.clock, ca_file, ca_pem)
        room = max(0, self.columns - _SECONDS_COLUMNS)
        what = plain(f"Waiting for the broker at {address},")[:room]

        def send(request: Request) -> Answer:
            with progress(self.err, what):
                return door(request)

        return Broker(door if is_dumb(self.environ) else send, self.clock, self.entropy)

    def broker_of(self, lease: LeaseFile, ca_file: Optional[str] = None) -> Broker:
        """Return the broker of a lease file, asked under its lease."""
        broker = self.broker(lease.broker, ca_file or lease.ca_file, lease.ca_pem)
        return broker.under(lease.lease_token)

    def can_ask(self) -> bool:
        """True if a person sits there and can be asked something."""
        return can_ask(self.inp, self.err)

    def says_yes(self, question: str) -> bool:
        """Ask the person; only a plain yes is one."""
        return says_yes(question, self.inp, self.err)

    def answer(self, text: str) -> None:
        """Print one line of the answer."""
        self.out.write(text + "\n")

    def say(self, text: str) -> None:
        """Tell the person something."""
        self.err.write(text + "\n")
        self.err.flush()


def system_desk() -> Desk:
    """Return the desk of this machine; what its standard output cannot write appears escaped."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    return Desk(
        clock=SystemClock(),
        entropy=SystemEntropy(),
        environ=os.environ,
        euid=os.geteuid(),
        out=sys.stdout,
        err=sys.stderr,
        columns=_columns(sys.stderr),
        inp=sys.stdin,
    )


def _columns(err: TextIO) -> int:
    """Return how wide the terminal is that a person reads; 80 if it is none, or does not tell."""
    try:
        return os.get_terminal_size(err.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def can_ask(inp: Optional[TextIO], err: TextIO) -> bool:
    """True if a person sits at a terminal that reads them and shows them what is asked."""
    return inp is not None and inp.isatty() and err.isatty()


def says_yes(question: str, inp: Optional[TextIO], err: TextIO) -> bool:
    """Ask who sits at the terminal; only a plain yes is one."""
    err.write(question)
    err.flush()
    answer = inp.readline() if inp is not None else ""
    return answer.strip().lower() in {"y", "yes"}


def plain(text: str) -> str:
    """Return `text` without what could move a terminal's cursor or hide something."""
    return "".join(one if one.isprintable() else "?" for one in text)


def at_minute(at: datetime.datetime) -> str:
    """Return a time as people read it, in UTC."""
    return at.strftime("%Y-%m-%d %H:%M UTC")
