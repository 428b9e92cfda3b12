"""Who acts by a token, and who acted before: the `act` claim (RFC 8693 section 4.1).

It names the newest actor, and within it each one before.
"""

from __future__ import annotations

from typing import Iterator, Mapping


def acting(act: object) -> Iterator[str]:
    """Yield the `sub` of each actor that an `act` claim names, the newest first."""
    while isinstance(act, Mapping):
        name = act.get("sub")
        if isinstance(name, str):
            yield name
        act = act.get("act")
