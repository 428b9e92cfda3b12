"""A host is believed what its own key has signed, by one algorithm, and nothing else."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from joserfc import jwt
from joserfc.jwk import ECKey

from credbroker.domain.errors import Malformed, NotAllowed
from credbroker.domain.secret import Secret
from credbroker.issuers.host_signatures import HostSignatures

SIGNATURES = HostSignatures()
KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
CLAIMS = {"iss": "lx1.example.org", "jti": "j"}


def public(key: Any) -> str:
    """Return the public half as PEM."""
    encoded: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode()


def private(key: Any) -> bytes:
    """Return the private half as PEM."""
    encoded: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return encoded


def signed(key: Any = KEY, algorithm: str = "ES256", claims: Any = None) -> Secret:
    """Return an assertion."""
    by = ECKey.import_key(private(key))
    text = jwt.encode({"alg": algorithm}, claims or CLAIMS, by, algorithms=[algorithm])
    return Secret("host assertion", text)


def test_what_the_key_signed_is_believed() -> None:
    """Its claims come back."""
    assert SIGNATURES.signed_by(SIGNATURES.read_key(public(KEY)), signed()) == CLAIMS


def part(content: object) -> str:
    """Return one part of a token."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def confused() -> Secret:
    """Return what is signed by HMAC with the public key as its secret."""
    text = f"{part({'alg': 'HS256'})}.{part(CLAIMS)}"
    mac = hmac.digest(public(KEY).encode(), text.encode(), "sha256")
    return Secret("host assertion", f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}")


def own_key_inside() -> Secret:
    """Return what brings the key along that it is signed with."""
    by = ECKey.import_key(private(OTHER))
    header = {"alg": "ES256", "jwk": by.as_dict(private=False)}
    return Secret("host assertion", jwt.encode(header, CLAIMS, by))


@pytest.mark.parametrize(
    "assertion",
    [
        lambda: signed(OTHER),
        lambda: Secret("host assertion", f"{part({'alg': 'none'})}.{part(CLAIMS)}."),
        lambda: Secret("host assertion", f"{part({'alg': 'ES256'})}.{part(CLAIMS)}.{part('x')}"),
        lambda: Secret("host assertion", signed().reveal()[:-8]),
        lambda: Secret("host assertion", "a.b.c"),
        lambda: Secret("host assertion", "\u00fc"),
        confused,
        own_key_inside,
    ],
)
def test_anything_else_is_not(assertion: Any) -> None:
    """Neither another key's, nor another algorithm's, whatever the header says."""
    shown = assertion()
    with pytest.raises(NotAllowed) as caught:
        SIGNATURES.signed_by(public(KEY), shown)
    assert shown.reveal() not in str(caught.value)


def test_a_key_has_one_form() -> None:
    """However it was written."""
    written = public(KEY)
    assert SIGNATURES.read_key(written.replace("\n", "\r\n")) == written


@pytest.mark.parametrize(
    "pem",
    [
        "", "-----BEGIN PUBLIC KEY-----", "x" * 60_000,
        public(ec.generate_private_key(ec.SECP384R1())),
        public(ed25519.Ed25519PrivateKey.generate()),
        public(rsa.generate_private_key(65537, 2048)),
        private(KEY).decode(),
    ],
    ids=["empty", "cut", "long", "p384", "ed25519", "rsa", "private"],
)  # fmt: skip
def test_another_kind_of_key_is_refused(pem: str) -> None:
    """A private one above all, without being said back."""
    with pytest.raises(Malformed) as caught:
        SIGNATURES.read_key(pem)
    assert "PRIVATE" not in str(caught.value)
