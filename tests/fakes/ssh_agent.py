"""Ssh keys that sign as an agent does for a client of HTVault: by no algorithm that was asked for.

What comes out is the inner signature, without the leading name of its algorithm.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

    PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CURVES: dict[str, tuple[ec.EllipticCurve, HashAlgorithm]] = {
    "nistp256": (ec.SECP256R1(), SHA256()),
    "nistp384": (ec.SECP384R1(), SHA384()),
    "nistp521": (ec.SECP521R1(), SHA512()),
}


@dataclass(frozen=True)
class AgentKey:
    """One key of an agent."""

    private: PrivateKey

    @property
    def line(self) -> str:
        """The public half as the client sends it."""
        encoded = self.private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        return f"{encoded.decode()} key1"

    def sign(self, signed: bytes) -> bytes:
        """Return the inner signature, as an agent makes it with flags 0."""
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(signed)
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            digest = next(
                hashed for curve, hashed in CURVES.values() if curve.name == self.private.curve.name
            )
            return numbers(*decode_dss_signature(self.private.sign(signed, ec.ECDSA(digest))))
        return self.private.sign(signed, PKCS1v15(), SHA1())


def string(content: bytes) -> bytes:
    """Write a string as RFC 4251 section 5 does."""
    return len(content).to_bytes(4, "big") + content


def numbers(*found: int) -> bytes:
    """Write whole numbers as RFC 4251 section 5 does, one behind the other."""
    return b"".join(
        string(one.to_bytes(one.bit_length() // 8 + 1, "big", signed=True) if one else b"")
        for one in found
    )


def ed25519_key() -> AgentKey:
    """Make an Ed25519 key."""
    return AgentKey(ed25519.Ed25519PrivateKey.generate())


def ecdsa_key(curve: str = "nistp256") -> AgentKey:
    """Make a key on one of `CURVES`."""
    return AgentKey(ec.generate_private_key(CURVES[curve][0]))


@functools.cache
def rsa_key(bits: int = 2048) -> AgentKey:
    """Make an RSA key, the same each time: that takes long."""
    return AgentKey(rsa.generate_private_key(65537, bits))
