"""Checks signatures that an ssh agent made, as clients of HTVault pass them on.

Such a client drops the name of the algorithm and asks the agent for none, so the key's kind alone
decides: RSA is PKCS #1 v1.5 with SHA-1 (RFC 4253 section 6.6), ECDSA goes by its curve (RFC 5656
section 6.2.1). Whatever the library refuses to verify is not verified.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from credbroker.domain.errors import Malformed
from credbroker.domain.ssh_keys import SshKey, read_parts

_CURVE_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256,
    "secp384r1": hashes.SHA384,
    "secp521r1": hashes.SHA512,
}


class AgentSignatures:
    """Verifies by the cryptography library. Follows `ports.SshSignatures`."""

    def verify(self, key: SshKey, signature: bytes, signed: bytes) -> bool:
        """Return whether the key signed this; see `ports.SshSignatures.verify`."""
        try:
            _check(key, signature, signed)
        except (InvalidSignature, UnsupportedAlgorithm, InternalError, Malformed, ValueError):
            return False
        return True


def _check(key: SshKey, signature: bytes, signed: bytes) -> None:
    public = load_ssh_public_key(key.line().encode())
    if isinstance(public, Ed25519PublicKey):
        public.verify(signature, signed)
    elif isinstance(public, EllipticCurvePublicKey):
        digest = _CURVE_HASHES[public.curve.name]()
        public.verify(_as_der(signature), signed, ECDSA(digest))
    elif isinstance(public, RSAPublicKey):
        public.verify(signature, signed, PKCS1v15(), hashes.SHA1())  # noqa: S303 - see above
    else:
        raise UnsupportedAlgorithm(f"keys of the kind {key.kind}")


def _as_der(signature: bytes) -> bytes:
    """Turn the two numbers of an SSH ECDSA signature into the form that the library reads."""
    numbers = [int.from_bytes(part, "big", signed=True) for part in read_parts(signature)]
    if len(numbers) != 2:
        raise InvalidSignature
    return encode_dss_signature(*numbers)
