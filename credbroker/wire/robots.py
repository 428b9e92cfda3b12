"""A person's robots as the record that Vault keeps; the rules of `wire.records` hold."""

from __future__ import annotations

from credbroker.domain.robots import Robots
from credbroker.wire.records import FORMAT, Record, present, record_fields


def write_robots(robots: Robots) -> Record:
    """Write a person's robots."""
    return present(
        format=FORMAT,
        issuer=robots.issuer,
        credkey=robots.credkey,
        places=[{"credkey": credkey, "role": role} for credkey, role in robots.places],
    )


def read_robots(record: object) -> Robots:
    """Read a person's robots; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The record of robots")
    places = tuple((one.text("credkey"), one.text("role")) for one in fields.objects("places"))
    return Robots(fields.text("issuer"), fields.text("credkey"), places)
