"""Revocations as the JSON records that Vault keeps; the rules of `wire.records` hold."""

from __future__ import annotations

import datetime

from credbroker.domain.errors import Malformed
from credbroker.domain.revocations import Kind, Mark, Revocations
from credbroker.wire.fields import packed
from credbroker.wire.records import FORMAT, Record, record_fields

_WHAT = "The record of revocations"


def write_revocations(revocations: Revocations) -> Record:
    """Write the marks of one kind, each as the pair of its times in seconds since 1970."""
    marks = {
        name: [int(mark.before.timestamp()), int(mark.kept_until.timestamp())]
        for name, mark in revocations.marks.items()
    }
    return {"format": FORMAT, "kind": revocations.kind.value, "marks": packed(marks)}


def read_revocations(record: object) -> Revocations:
    """Read the marks of one kind; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, _WHAT)
    try:
        kind = Kind(fields.text("kind"))
    except ValueError:
        raise Malformed(f"{_WHAT} is of a kind this version does not know.") from None
    try:
        marks = fields.packed("marks")
        return Revocations(kind, {name: _mark(*times) for name, times in marks.items()})
    except (AttributeError, OSError, OverflowError, TypeError, ValueError):
        raise Malformed(f"{_WHAT} has marks that are not pairs of times.") from None


def _mark(before: int, kept_until: int) -> Mark:
    return Mark(_instant(before), _instant(kept_until))


def _instant(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
