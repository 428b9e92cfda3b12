"""Names: of issuers, roles and grants; and how a grant is found without its name on any path.

A grant's place in Vault is one segment, the SHA-256 of its three names, so nothing that anybody
typed reaches a path, a policy match or Vault's audit log.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from functools import cached_property

from credbroker.domain.errors import Malformed

_SHORT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_CREDKEY_LIMIT = 255


def check_short_name(kind: str, name: str) -> str:
    """Return `name` if it can name an issuer or a role; raise `Malformed` naming `kind` if not."""
    if not _SHORT_NAME.match(name):
        raise Malformed(
            f"The {kind} name must be 1 to 64 letters, digits, dots, dashes or underscores."
        )
    return name


def check_credkey(credkey: str) -> str:
    """Return `credkey` if it is 1 to 255 printable characters; raise `Malformed` if not."""
    if not 0 < len(credkey) <= _CREDKEY_LIMIT or not credkey.isprintable():
        raise Malformed("The identity key must be 1 to 255 printable characters.")
    return credkey


@dataclass(frozen=True)
class GrantKey:
    """Names one grant: who (credkey), by which issuer, in which role."""

    issuer: str
    credkey: str
    role: str

    def segment(self) -> str:
        """Return the one path segment that holds this grant.

        base64url(SHA-256(issuer, credkey, role)), each length-prefixed so that no two different
        triples give the same bytes.
        """
        return self._segment

    @cached_property
    def _segment(self) -> str:
        import hashlib  # who only checks a name starts quicker without it

        digest = hashlib.sha256()
        for part in (self.issuer, self.credkey, self.role):
            encoded = part.encode()
            digest.update(len(encoded).to_bytes(4, "big") + encoded)
        return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
