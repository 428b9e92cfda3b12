"""The issuer's diary: every request at an OAuth endpoint, in the order of arrival.

An entry is written before any fault can strike, so a request whose answer was lost is in it too.
Refresh tokens appear by their SHA-256 alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping

    from credbroker.demo.issuer.faults import Endpoint

NOT_ACTED = "not acted"


@dataclass(slots=True)
class Entry:
    """One request and what became of it."""

    at: datetime.datetime
    endpoint: Endpoint
    grant_type: str
    client_id: str
    refresh_sha256: str
    """Hex digits; empty when no refresh token was presented."""
    scope: str
    outcome: str = NOT_ACTED
    """What the issuer did: `ok`, an OAuth error code, or `not acted`."""
    faults: tuple[str, ...] = ()
    """The faults the request met, by the names of their kinds."""


class Journal:
    """All entries, oldest first."""

    def __init__(self) -> None:
        """Begin empty."""
        self.entries: list[Entry] = []

    def open(
        self, at: datetime.datetime, endpoint: Endpoint, client_id: str, form: Mapping[str, str]
    ) -> Entry:
        """Write the entry of a request that has just arrived."""
        presented = form.get("refresh_token", "")
        entry = Entry(
            at,
            endpoint,
            form.get("grant_type", ""),
            client_id,
            sha256_hex(presented) if presented else "",
            form.get("scope", ""),
        )
        self.entries.append(entry)
        return entry

    def count_refreshes(self) -> int:
        """Return how many refreshes the issuer acted on, answered or not."""
        return sum(1 for one in self.entries if one.refresh_sha256 and one.outcome == "ok")

    def posts_of(self, refresh_token: str) -> list[Entry]:
        """Return every refresh request that carried this value, acted on or not."""
        wanted = sha256_hex(refresh_token)
        return [one for one in self.entries if one.refresh_sha256 == wanted]


def sha256_hex(value: str) -> str:
    """Return the SHA-256 of a text as hex digits."""
    return hashlib.sha256(value.encode()).hexdigest()
