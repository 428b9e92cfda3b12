"""What an agent tells of itself, on standard error."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Mapping, Optional, TextIO

from credbroker.wire.fields import write_instant

if TYPE_CHECKING:
    import datetime

    from credbroker.client.blocking import BlockingClock

_LONGEST_FIELD = 1000


@dataclass(frozen=True)
class Log:
    """Writes one line per event: time, event, and fields as name=value.

    A line that cannot be written is lost and nothing else: a full disk must not cost a job its token.
    `out` is None for a program that was started without standard error.
    """

    clock: BlockingClock
    out: Optional[TextIO]

    def say(self, event: str, **fields: object) -> None:
        """Write one event; fields that are None are left out."""
        if self.out is None:
            return
        put(self.out, line_of(self.clock.now(), "credbroker-agent", event, fields))


def line_of(at: datetime.datetime, program: str, event: str, fields: Mapping[str, object]) -> str:
    """Return an event as one line, with its line end; fields that are None are left out."""
    words = [f"{name}={_quoted(one)}" for name, one in fields.items() if one is not None]
    return " ".join([write_instant(at), f"{program}:", event, *words]) + "\n"


def put(out: TextIO, line: str) -> None:
    """Write a line; one that cannot be written is lost."""
    with contextlib.suppress(OSError, ValueError):
        out.write(line)
        out.flush()


def _quoted(value: object) -> str:
    """Return a field as it stands in a line: cut, since a server that means harm may have said it."""
    text = str(value)[:_LONGEST_FIELD]
    return json.dumps(text) if not text.isprintable() or " " in text or '"' in text else text
