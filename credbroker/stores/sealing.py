"""Seals what lies on a host's disk, so that only who may read Vault can open it.

HPKE in base mode (RFC 9180): X25519, HKDF-SHA256, AES-256-GCM. Whoever seals needs the public key
alone, and cannot open what was sealed a moment ago. The purpose is bound into every seal.
"""

from __future__ import annotations

import base64

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from credbroker.domain.errors import RecordDamaged
from credbroker.domain.marks import SpoolKey
from credbroker.domain.secret import Secret

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_PURPOSE = b"credbroker spool entry 1"


class Sealer:
    """Seals to one public key."""

    def __init__(self, key: SpoolKey) -> None:
        """Remember the public half alone; raise `RecordDamaged` if it is no X25519 key."""
        try:
            self._public = X25519PublicKey.from_public_bytes(_raw(key.public))
        except ValueError:
            raise _damaged() from None

    def sealed(self, content: bytes) -> bytes:
        """Return `content` so that only the private half opens it; 48 bytes longer."""
        return _SUITE.encrypt(content, self._public, _PURPOSE)


class Opener:
    """Opens what was sealed to one key; for the moment that it takes, and no longer."""

    def __init__(self, key: SpoolKey) -> None:
        """Take the private half; raise `RecordDamaged` if it is no X25519 key."""
        try:
            self._private = X25519PrivateKey.from_private_bytes(_raw(key.private.reveal()))
        except ValueError:
            raise _damaged() from None

    def opened(self, sealed: bytes) -> bytes | None:
        """Return the content; None if it was changed, or sealed to another key or purpose."""
        try:
            return _SUITE.decrypt(sealed, self._private, _PURPOSE)
        except InvalidTag:
            return None


def new_key() -> SpoolKey:
    """Make a key pair, by the operating system's chance."""
    private = X25519PrivateKey.generate()
    return SpoolKey(
        public=_text(private.public_key().public_bytes_raw()),
        private=Secret("spool key", _text(private.private_bytes_raw())),
    )


def _damaged() -> RecordDamaged:
    return RecordDamaged(
        "The spool's key in OpenBao/Vault is damaged.",
        "Restore the record marks/spool-key; what lies in the spools opens with no other key.",
    )


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
