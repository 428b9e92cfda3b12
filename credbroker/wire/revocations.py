"""Revocations as the JSON records that Vault keeps; the rules of `wire.records` hold."""

from __future__ import annotations

from credbroker.domain.errors import Malformed
from credbroker.domain.revocations import Kind, Mark, Revocations
from credbroker.wire.fields import Fields, read_instant, write_instant
from credbroker.wire.records import FORMAT, Record, record_fields

_WHAT = "The record of revocations"


def write_revocations(revocations: Revocations) -> Record:
    """Write the marks of one kind; each as the pair of its times, as there may be thousands."""
    marks = {
        name: [write_instant(mark.before), write_instant(mark.kept_until)]
        for name, mark in revocations.marks.items()
    }
    return {"format": FORMAT, "kind": revocations.kind.value, "marks": marks}


def read_revocations(record: object) -> Revocations:
    """Read the marks of one kind; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, _WHAT)
    try:
        kind = Kind(fields.text("kind"))
    except ValueError:
        raise Malformed(f"{_WHAT} is of a kind this version does not know.") from None
    found, pairs = fields.raw("marks"), fields.object("marks")
    return Revocations(kind, {str(name): _mark(pairs, name) for name in found})


def _mark(pairs: Fields, name: str) -> Mark:
    times = pairs.texts(name)
    if len(times) != 2:
        raise Malformed(f"{_WHAT} has a mark that is not a pair of times.")
    return Mark(*(read_instant(time, _WHAT) for time in times))
