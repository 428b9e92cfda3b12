"""Looks whether the audit trail is as it was written: each line vouches for the one before it.

- A line that was changed, put in or cut out is named by file and number. The last line of all is
  vouched for by none yet: `Chain.ends_with`, noted elsewhere, shows later that nothing before it is gone.
- Half a line at a file's end is no fault: a broker is writing it, or died over it.
- A file may go on where another ends; one that goes on after lines that nobody has is a fault.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from credbroker.domain.errors import LocalFileUnfit
from credbroker.telemetry.audit import FIRST_LINK
from credbroker.telemetry.trail_files import raw_lines

MOST_FAULTS = 1000
"""Of one file; after so many nobody reads on."""


class _Line(msgspec.Struct):
    time: str
    event: str
    previous: str


_DECODER = msgspec.json.Decoder(_Line)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a line of a file; lines count from 1."""

    file: Path
    line: int
    sentence: str

    def __str__(self) -> str:
        """Return it as compilers name a place, so that editors find it."""
        return f"{self.file}:{self.line}: {self.sentence}"


@dataclass(slots=True)
class Chain:
    """What a file of the trail holds, as far as it was read.

    `begins_after` is what its first line says of the line before it, `ends_with` the SHA-256 of its last
    whole one; None for a file without lines, or not read to its end. `is_cut_short` if half a line follows.
    """

    file: Path
    lines: int = 0
    begins_after: str | None = None
    ends_with: str | None = None
    is_cut_short: bool = False
    faults: list[Fault] = field(default_factory=list)


def read_chain(file: Path) -> Chain:
    """Return what a file holds and what is wrong with it. Raises `LocalFileUnfit` if it has no such thing."""
    chain = Chain(file)
    try:
        for fault in _faults(chain):
            chain.faults.append(fault)
            if len(chain.faults) >= MOST_FAULTS:
                chain.ends_with = None
                break
    except LocalFileUnfit as error:
        if not chain.lines:
            raise
        chain.faults.append(Fault(file, chain.lines + 1, error.sentence))
    return chain


def loose_ends(chains: Sequence[Chain]) -> list[Fault]:
    """Return what is wrong between the files: where one begins after lines that are in none of them."""
    ends = {chain.ends_with for chain in chains}
    goes_on: dict[str, Path] = {}
    found = []
    for chain in chains:
        after = chain.begins_after
        if after is None or after == FIRST_LINK:
            continue
        if after not in ends:
            found.append(
                Fault(chain.file, 1, "it goes on after lines that are in none of these files")
            )
        elif after in goes_on:
            found.append(
                Fault(chain.file, 1, f"it goes on after the same line as {goes_on[after]}")
            )
        goes_on.setdefault(after, chain.file)
    return found


def _faults(chain: Chain) -> Iterator[Fault]:
    """Read on to the end of the file, and yield what is wrong as it is met."""
    before_last: str | None = None
    for line in raw_lines(chain.file):
        if not line.endswith(b"\n"):
            chain.is_cut_short = True
            continue
        if chain.is_cut_short:  # more came, so it was no half line but one that was too long
            chain.is_cut_short = False
            yield Fault(chain.file, chain.lines + 1, "this line is longer than any of the trail")
        chain.lines += 1
        previous = _previous(line)
        if previous is None:
            yield Fault(chain.file, chain.lines, "this is no line of the trail")
        elif chain.lines == 1:
            chain.begins_after = previous
        elif previous != chain.ends_with:
            yield _gap(chain, was_put_in=previous == before_last)
        before_last, chain.ends_with = chain.ends_with, hashlib.sha256(line[:-1]).hexdigest()


def _gap(chain: Chain, *, was_put_in: bool) -> Fault:
    here, before = chain.lines, chain.lines - 1
    if was_put_in:
        return Fault(
            chain.file, before, f"this line was put in: line {here} follows line {before - 1}"
        )
    return Fault(
        chain.file,
        here,
        f"this line does not follow line {before}: that was changed, or lines between are missing",
    )


def _previous(line: bytes) -> str | None:
    try:
        return _DECODER.decode(line).previous
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
