"""Marks and heartbeats as the JSON records that Vault keeps; the rules of `wire.records` hold."""

from __future__ import annotations

from credbroker.domain.errors import Malformed
from credbroker.domain.marks import (
    MOST_KEY_SET_CHARACTERS,
    Heartbeat,
    IssuerCount,
    IssuerMark,
    PublishedKeys,
    RewindMark,
    SpoolKey,
)
from credbroker.domain.rotation import Rule, UnclearRule
from credbroker.domain.secret import Secret
from credbroker.wire.fields import Fields, write_optional_instant
from credbroker.wire.records import FORMAT, Record, present, record_fields


def write_issuer_mark(mark: IssuerMark) -> Record:
    """Write what is known about an issuer."""
    return present(
        format=FORMAT,
        name=mark.name,
        rule=mark.rule.kind.value if mark.rule else None,
        grace_seconds=mark.rule.grace_seconds if mark.rule else None,
        rotates=mark.rotates or None,
        recorded_at=write_optional_instant(mark.recorded_at),
        braked_at=write_optional_instant(mark.braked_at),
        braked_by=mark.braked_by or None,
        bridged_until=write_optional_instant(mark.bridged_until),
    )


def read_issuer_mark(record: object) -> IssuerMark:
    """Read what is known about an issuer; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The issuer's record")
    kind = fields.optional("rule", fields.text)
    try:
        grace = fields.optional("grace_seconds", fields.number) or 0.0
        rule = Rule(UnclearRule(kind), grace) if kind else None
    except ValueError:
        raise Malformed("The issuer's record names a rule this version does not know.") from None
    return IssuerMark(
        name=fields.text("name"),
        rule=rule,
        rotates=fields.optional("rotates", fields.flag) or False,
        recorded_at=fields.optional("recorded_at", fields.instant),
        braked_at=fields.optional("braked_at", fields.instant),
        braked_by=fields.optional("braked_by", fields.text) or "",
        bridged_until=fields.optional("bridged_until", fields.instant),
    )


def write_heartbeat(heartbeat: Heartbeat) -> Record:
    """Write a replica's sign of life."""
    counts = {
        name: present(
            refreshes=count.refreshes,
            dead=count.dead,
            horizon=write_optional_instant(count.horizon),
            failing_seconds=count.failing_seconds or None,
        )
        for name, count in heartbeat.counts.items()
    }
    return present(
        format=FORMAT, replica=heartbeat.replica, beat=heartbeat.beat, counts=counts or None
    )


def read_heartbeat(record: object) -> Heartbeat:
    """Read a replica's sign of life; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The heartbeat")
    counts = fields.raw("counts")
    return Heartbeat(
        replica=fields.text("replica"),
        beat=int(fields.number("beat")),
        counts={str(name): _read_count(one) for name, one in counts.items()}
        if isinstance(counts, dict)
        else {},
    )


def write_rewind(mark: RewindMark) -> Record:
    """Write the counter, and the halt if there is one."""
    return present(
        format=FORMAT,
        counter=mark.counter,
        halted_at=write_optional_instant(mark.halted_at),
        halted_by=mark.halted_by or None,
        sorted_by=list(mark.sorted_by) or None,
    )


def read_rewind(record: object) -> RewindMark:
    """Read the counter and the halt; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The rewind mark")
    return RewindMark(
        counter=int(fields.number("counter")),
        halted_at=fields.optional("halted_at", fields.instant),
        halted_by=fields.optional("halted_by", fields.text) or "",
        sorted_by=tuple(fields.optional("sorted_by", fields.texts) or ()),
    )


def write_spool_key(key: SpoolKey) -> Record:
    """Write the spool's key pair; the one place where its private half becomes text."""
    return present(format=FORMAT, public=key.public, private=key.private.reveal())


def read_spool_key(record: object) -> SpoolKey:
    """Read the spool's key pair; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The spool's key")
    return SpoolKey(fields.text("public"), Secret("spool key", fields.text("private")))


def write_published(keys: PublishedKeys) -> Record:
    """Write an issuer's public keys, the set as one text."""
    return present(format=FORMAT, issuer_url=keys.issuer_url, key_set=keys.key_set)


def read_published(record: object) -> PublishedKeys:
    """Read an issuer's public keys; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The record of an issuer's keys")
    key_set = fields.text("key_set")
    if len(key_set) > MOST_KEY_SET_CHARACTERS:
        raise Malformed("The record of an issuer's keys is too long.")
    return PublishedKeys(fields.text("issuer_url"), key_set)


def _read_count(record: object) -> IssuerCount:
    fields = Fields(record, "The heartbeat")
    return IssuerCount(
        refreshes=int(fields.number("refreshes")),
        dead=int(fields.number("dead")),
        horizon=fields.optional("horizon", fields.instant),
        failing_seconds=fields.optional("failing_seconds", fields.number) or 0.0,
    )
