"""Seals what of a login travels outside, by one key that all replicas over one Vault share.

AES-256-GCM with a new nonce each time (NIST SP 800-38D); the purpose is bound into every seal. The
secrets it derives are HMAC-SHA256 of purpose and name. Each use has a key of its own. Whoever knows
the key still can make no lease and no grant.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from credbroker.domain.errors import Malformed, RecordDamaged, StoreUnavailable
from credbroker.domain.secret import Secret
from credbroker.ports import RecordStore, StaleVersionError

LOGIN_KEY_SEGMENT: Final = "login-key"
_KEY_BYTES = 32
_NONCE_BYTES = 12


class AesLoginSeal:
    """Seals by one key. Follows `ports.LoginSeal`."""

    def __init__(self, key: Secret) -> None:
        """Take the key, 32 bytes in base64url; raise `RecordDamaged` if it is anything else."""
        try:
            raw = _raw(key.reveal())
        except (ValueError, binascii.Error):
            raw = b""
        if len(raw) != _KEY_BYTES:
            raise RecordDamaged(
                "The key of logins in OpenBao/Vault is damaged.",
                "Restore the record marks/login-key, or remove it while no broker runs.",
            )
        self._cipher = AESGCM(_mac(raw, "seal"))
        self._deriving = _mac(raw, "secret")

    def seal(self, purpose: str, content: bytes) -> str:
        """Return the content encrypted and bound to `purpose`; see `ports.LoginSeal`."""
        nonce = os.urandom(_NONCE_BYTES)
        return _text(nonce + self._cipher.encrypt(nonce, content, purpose.encode()))

    def open(self, purpose: str, sealed: str) -> bytes:
        """Return the content, or raise `Malformed`; see `ports.LoginSeal`."""
        try:
            raw = _raw(sealed)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose.encode())
        except (ValueError, binascii.Error, InvalidTag):
            raise Malformed("This was not sealed by this broker, or it was changed.") from None

    def secret(self, purpose: str, of: str) -> Secret:
        """Return a secret of 43 characters, the same each time; see `ports.LoginSeal`."""
        length = len(purpose.encode())
        return Secret(purpose, _text(_mac(self._deriving, f"{length} {purpose} {of}")))


async def open_login_seal(keys: RecordStore[Secret]) -> AesLoginSeal:
    """Return the seal of the one key in `keys`, made if there is none yet.

    Raises `RecordDamaged`, and `StoreUnavailable` kinds.
    """
    stored = await keys.get(LOGIN_KEY_SEGMENT)
    if stored is None:
        made = Secret("login key", _text(secrets.token_bytes(_KEY_BYTES)))
        # Whether this was taken, or another replica was first: what is there is everybody's.
        with suppress(StaleVersionError, StoreUnavailable):
            await keys.put(LOGIN_KEY_SEGMENT, made, 0)
        stored = await keys.get(LOGIN_KEY_SEGMENT)
    if stored is None:
        raise StoreUnavailable("OpenBao/Vault did not take the key of logins.")
    return AesLoginSeal(stored.value)


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    """Return the bytes of base64url text; raise `ValueError` for any other alphabet."""
    padded = text + "=" * (-len(text) % 4)
    return base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
