"""What proves who somebody is."""

from __future__ import annotations

from typing import Protocol

from credbroker.domain.secret import Secret
from credbroker.domain.ssh_keys import SshKey


class LoginSeal(Protocol):
    """Seals what of a login travels through the hands of clients and browsers.

    Every replica over one Vault opens what another sealed; nobody else can. What it derives or opens
    makes no lease and no grant by itself.
    """

    def seal(self, purpose: str, content: bytes) -> str:
        """Return the content encrypted and bound to `purpose`, as base64url text."""

    def open(self, purpose: str, sealed: str) -> bytes:
        """Return the content. Raises `Malformed` if it was changed, or sealed for another purpose."""

    def secret(self, purpose: str, of: str) -> Secret:
        """Return a secret of 43 characters that belongs to `purpose` and `of`, the same each time."""


class KerberosAcceptor(Protocol):
    """Checks Kerberos tickets for one keytab."""

    async def accept(self, token: bytes) -> str:
        """Return the principal, with realm, that a client's GSS token proves (RFC 4121, RFC 4178).

        Raises `LoginDenied`, also for one shown before, `Malformed` for none, `LocalFileUnfit`.
        """


class SshSignatures(Protocol):
    """Tells whether an ssh key signed something."""

    def verify(self, key: SshKey, signature: bytes, signed: bytes) -> bool:
        """Return whether `signature`, without its leading name, is the key's, as far as known here."""
