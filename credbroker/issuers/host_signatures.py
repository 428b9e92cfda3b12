"""Believes what a host has signed with the key that it joined with.

Keys are EC P-256 and signatures ES256 (RFC 7518 section 3.4): the header chooses nothing. What the
claims mean is for `domain.hosts` to judge.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from credbroker.domain.errors import Malformed, NotAllowed
from credbroker.domain.secret import Secret


class HostSignatures:
    """Reads hosts' keys and checks what they signed. Follows `broker.deliveries.hosting`."""

    def read_key(self, pem: str) -> str:
        """Return a public key in its one form, PEM; raise `Malformed` unless it is an EC P-256 key."""
        try:
            key = load_pem_public_key(pem.encode())
        except (ValueError, UnsupportedAlgorithm):
            raise Malformed("The host's public key must be PEM (RFC 5480).") from None
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
            raise Malformed("The host's public key must be an EC key on the curve P-256.")
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def signed_by(self, pem: str, assertion: Secret) -> Mapping[str, object]:
        """Return the claims of a JWT that the key has signed; raise `NotAllowed` if it has not."""
        text = assertion.reveal()
        try:
            key = ECKey.import_key(pem)
            claims = json.loads(jws.deserialize_compact(text, key, algorithms=["ES256"]).payload)
        except (JoseError, ValueError, RecursionError):
            raise NotAllowed(
                "The host's key has not signed this assertion.",
                "If the host has a new key, join it again: credbroker admin host-join NAME",
            ) from None
        if not isinstance(claims, dict):
            raise NotAllowed("The host's assertion holds no claims.")
        return claims
