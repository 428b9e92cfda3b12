"""What was told, and what people chose, as the records that Vault keeps; the rules of `wire.records` hold."""

from __future__ import annotations

from typing import Any

from credbroker.domain.errors import Malformed
from credbroker.domain.notices import By, Cause, Choice, Told, ToldRecord
from credbroker.wire.fields import packed, read_instant, write_instant
from credbroker.wire.records import FORMAT, Record, present, record_fields

_WHAT = "The record of notices"


def write_told(record: ToldRecord) -> Record:
    """Write what was told of one grant or issuer."""
    told = [
        [cause.value, channel, one.mark, write_instant(one.at), one.sure]
        for (cause, channel), one in record.told.items()
    ]
    return present(format=FORMAT, write_id=record.write_id, told=packed(told))


def read_told(record: object) -> ToldRecord:
    """Read what was told; raise `Malformed` if the record is damaged.

    A cause that this version does not know is left out.
    """
    fields = record_fields(record, _WHAT)
    told = fields.packed("told")
    if not isinstance(told, list):
        raise Malformed(f"{_WHAT} is no list.")
    known = (one for one in map(_read_one, told) if one is not None)
    return ToldRecord(fields.text("write_id"), dict(known))


def write_choice(choice: Choice) -> Record:
    """Write what a person has chosen."""
    return present(format=FORMAT, issuer=choice.issuer, subject=choice.subject, mail=choice.mail)


def read_choice(record: object) -> Choice:
    """Read what a person has chosen; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The record of a choice")
    return Choice(fields.text("issuer"), fields.text("subject"), fields.flag("mail"))


def _read_one(entry: Any) -> tuple[By, Told] | None:
    if not isinstance(entry, list) or len(entry) != 5:
        raise Malformed(f"{_WHAT} has an entry that cannot be read.")
    cause, channel, mark, at, sure = entry
    texts = all(isinstance(one, str) for one in (cause, channel, at))
    if not texts or type(mark) is not int or type(sure) is not bool:
        raise Malformed(f"{_WHAT} has an entry that cannot be read.")
    if cause not in _CAUSES:
        return None
    return (Cause(cause), channel), Told(mark, read_instant(at, _WHAT), sure)


_CAUSES = {one.value for one in Cause}
