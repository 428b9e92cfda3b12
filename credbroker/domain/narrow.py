"""Narrow tokens that all replicas share, kept beside the grant that they are for.

- One is for exactly one right of one line of logins: after a logout nobody is given it any more.
- It counts until its token expires.
- A grant has a few places for them, whatever jobs ask for over the years; rights that meet in one
  place displace each other, which costs another token and gives nobody a wrong one.
"""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass

from credbroker.domain.attenuation import Right
from credbroker.domain.names import GrantKey
from credbroker.domain.secret import Secret

PLACES = 64


@dataclass(frozen=True)
class NarrowToken:
    """An access token for `right`, as one replica got it; unchecked for whoever reads it."""

    line: str
    right: Right
    value: Secret
    obtained_at: datetime.datetime
    expires_at: datetime.datetime

    def serves(self, line: str, right: Right, now: datetime.datetime) -> bool:
        """True if this is for that right of that line, and still alive."""
        return self.line == line and self.right == right and now < self.expires_at


def place_of(key: GrantKey, right: Right) -> str:
    """Return the path segment of the place for tokens of this right: the grant's, and a number.

    The order in which the right names its scopes and audiences does not matter.
    """
    digest = hashlib.sha256()
    for part in (*sorted(right.scopes.texts()), "", *sorted(set(right.audiences))):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return f"{key.segment()}-{digest.digest()[0] % PLACES:02}"
