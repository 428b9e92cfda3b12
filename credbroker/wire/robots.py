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
    if not isinstance(places, list) or not all(map(_is_place, places)):
        raise Malformed("The record of robots has places that are not pairs of names.")
    pairs = tuple((credkey, role) for credkey, role in places)
    return Robots(fields.text("issuer"), fields.text("credkey"), pairs)


def _is_place(pair: object) -> bool:
    is_pair = isinstance(pair, list) and len(pair) == 2
    return is_pair and all(isinstance(name, str) and name for name in pair)
