"""The issuer's diary: every request at an OAuth endpoint, in the order of arrival.

An entry is written before any fault can strike, so a request whose answer was lost is in it too.
Refresh tokens appear by their SHA-256 alone, access tokens by their `jti`. Looking up a value costs
the same however long the diary is; it survives whatever is done to the issuer's books.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping

    from credbroker.demo.issuer.faults import Endpoint

NOT_ACTED = "not acted"
OK = "ok"


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
    successor_sha256: str = ""
    """Hex digits of the refresh token in the answer; empty when there was none."""
    decided_at: datetime.datetime | None = None
    """When the issuer did it or refused, which a fault may have put off."""
    jti: str = ""
    """The `jti` of the access token in the answer; empty when there was none."""
    request_id: str = ""
    """The `X-Request-Id` that it came with."""


class Journal:
    """All entries, oldest first."""

    def __init__(self) -> None:
        """Begin empty."""
        self.entries: list[Entry] = []
        self._of_value: dict[str, list[Entry]] = {}
        self._of_jti: dict[str, Entry] = {}
        self._refreshes = 0

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
        if presented:
            self._of_value.setdefault(entry.refresh_sha256, []).append(entry)
        return entry

    def acted(self, entry: Entry, answer: Mapping[str, Any]) -> None:
        """Write down that the request was done, and which tokens the answer holds."""
        entry.outcome = OK
        if entry.refresh_sha256:
            self._refreshes += 1
        if "refresh_token" in answer:
            entry.successor_sha256 = sha256_hex(answer["refresh_token"])
        if "access_token" in answer:
            entry.jti = _jti(answer["access_token"])
            self._of_jti[entry.jti] = entry

    def count_refreshes(self) -> int:
        """Return how many refreshes the issuer acted on, answered or not."""
        return self._refreshes

    def posts_of(self, refresh_token: str) -> list[Entry]:
        """Return every refresh request that carried this value, acted on or not."""
        return list(self._of_value.get(sha256_hex(refresh_token), ()))

    def posts(self) -> Mapping[str, list[Entry]]:
        """Return every refresh request, by the SHA-256 of the value that it carried."""
        return self._of_value

    def of_jti(self, jti: str) -> Entry | None:
        """Return the request whose answer held the access token with this `jti`."""
        return self._of_jti.get(jti)


def sha256_hex(value: str) -> str:
    """Return the SHA-256 of a text as hex digits."""
    return hashlib.sha256(value.encode()).hexdigest()


def _jti(access_token: str) -> str:
    """Read the claim without a look at the signature, which a fault may have spoiled."""
    claims = access_token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["jti"])
