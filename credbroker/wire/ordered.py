"""Orders of deliveries as the records that Vault keeps; the rules of `wire.records` hold."""

from __future__ import annotations

from credbroker.domain.deliveries import Announced, Delivery, Ordered, Target
from credbroker.domain.errors import Malformed
from credbroker.domain.names import GrantKey
from credbroker.wire.fields import Fields, packed, write_instant
from credbroker.wire.records import FORMAT, Record, present, record_fields


def write_announced(found: Announced) -> Record:
    """Write an order that waits for consent; of its code there is the hash alone."""
    return present(
        format=FORMAT,
        id=found.id,
        **_ordered_fields(found.ordered),
        announced_by=found.host,
        code_hash=found.code_hash,
        expires_at=write_instant(found.expires_at),
    )


def read_announced(record: object) -> Announced:
    """Read an order that waits for consent; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The record of an announced order")
    return Announced(
        id=fields.text("id"),
        ordered=_read_ordered(fields),
        host=fields.text("announced_by"),
        code_hash=fields.text("code_hash"),
        expires_at=fields.instant("expires_at"),
    )


def write_delivery(delivery: Delivery) -> Record:
    """Write a standing order."""
    return present(
        format=FORMAT,
        id=delivery.id,
        **_ordered_fields(delivery.ordered),
        credkey=delivery.key.credkey,
        line=delivery.line,
        lease=delivery.lease_id,
        code_hash=delivery.code_hash,
        consented_at=write_instant(delivery.consented_at),
        ends_at=write_instant(delivery.ends_at),
    )


def read_delivery(record: object) -> Delivery:
    """Read a standing order; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The record of a standing order")
    ordered = _read_ordered(fields)
    return Delivery(
        id=fields.text("id"),
        ordered=ordered,
        key=GrantKey(ordered.issuer, fields.text("credkey"), ordered.role),
        line=fields.text("line"),
        lease_id=fields.text("lease"),
        code_hash=fields.text("code_hash"),
        consented_at=fields.instant("consented_at"),
        ends_at=fields.instant("ends_at"),
    )


def _ordered_fields(ordered: Ordered) -> dict[str, object]:
    return {
        "group" if ordered.target.is_group else "host": ordered.target.name,
        "uid": ordered.uid,
        "user": ordered.user,
        "issuer": ordered.issuer,
        "role": ordered.role,
        "scopes": packed(ordered.scopes),
        "audiences": packed(ordered.audiences),
        "name": ordered.name or None,
        "replaces_foreign": ordered.replaces_foreign or None,
    }


def _read_ordered(fields: Fields) -> Ordered:
    group = fields.optional("group", fields.text)
    return Ordered(
        target=Target(group, is_group=True) if group else Target(fields.text("host")),
        uid=int(fields.number("uid")),
        user=fields.text("user"),
        issuer=fields.text("issuer"),
        role=fields.text("role"),
        scopes=_texts(fields, "scopes"),
        audiences=_texts(fields, "audiences"),
        name=fields.optional("name", fields.text) or "",
        replaces_foreign=fields.optional("replaces_foreign", fields.flag) or False,
    )


def _texts(fields: Fields, name: str) -> tuple[str, ...]:
    found = fields.packed(name)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise Malformed(f"The record of an order has {name} that are no list of texts.")
    return tuple(found)
