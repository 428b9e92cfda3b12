"""A person's robots as the record that Vault keeps; the rules of `wire.records` hold."""

from __future__ import annotations

from credbroker.domain.errors import Malformed
from credbroker.domain.robots import Robots
from credbroker.wire.fields import packed
from credbroker.wire.records import FORMAT, Record, present, record_fields


def write_robots(robots: Robots) -> Record:
    """Write a person's robots."""
    return present(
        format=FORMAT,
        issuer=robots.issuer,
        credkey=robots.credkey,
        places=packed(robots.places),
    )


def read_robots(record: object) -> Robots:
    """Read a person's robots; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The record of robots")
    places = fields.packed("places")
    if not isinstance(places, list):
        raise Malformed("The record of robots has places that are no list.")
    return Robots(fields.text("issuer"), fields.text("credkey"), tuple(map(_place, places)))


def _place(pair: object) -> tuple[str, str]:
    if isinstance(pair, list) and len(pair) == 2:
        credkey, role = pair
        if isinstance(credkey, str) and isinstance(role, str) and credkey and role:
            return credkey, role
    raise Malformed("The record of robots has places that are not pairs of names.")
