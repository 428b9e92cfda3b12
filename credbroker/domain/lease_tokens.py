"""A lease as its holder has it, by itself: what reads a lease file loads nothing else of leases."""

from __future__ import annotations

import re
from dataclasses import dataclass

from credbroker.domain.errors import LeaseUnknown
from credbroker.domain.secret import Secret

_TOKEN = re.compile(r"cb_([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})\Z")


@dataclass(frozen=True)
class LeaseToken:
    """A lease as its holder has it: `cb_<id>.<secret>`, 16 and 32 bytes as base64url.

    The secret is random. The id is, too, or it says on which line the lease is; see `id_on`.
    """

    id: str
    secret: Secret

    @classmethod
    def parse(cls, text: str) -> LeaseToken:
        """Read a presented lease token; raise `LeaseUnknown` if it has another form."""
        match = _TOKEN.match(text)
        if match is None:
            raise LeaseUnknown("No lease was shown, or it is not one of this broker's.")
        return cls(match.group(1), Secret("lease", match.group(2)))

    def text(self) -> Secret:
        """Return the token as it travels, still wrapped."""
        return self.secret.extended("lease token", f"cb_{self.id}.")

    def secret_hash(self) -> str:
        """Return the hex SHA-256 of the secret half: all that is ever stored."""
        return self.secret.digest()
