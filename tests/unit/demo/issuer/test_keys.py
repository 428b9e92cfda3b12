"""Signing keys and their rotation."""

from __future__ import annotations

import pytest
from joserfc import jws, jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet

from credbroker.demo.issuer.keys import ALGORITHMS, SigningKeys
from credbroker.demo.issuer.settings import Algorithm


def kids(keys: SigningKeys) -> list[str]:
    """Return the key ids the JWKS shows."""
    return [key["kid"] for key in keys.jwks()["keys"]]


def published(keys: SigningKeys) -> KeySet:
    """Return what a relying party makes of the JWKS."""
    return KeySet.import_key_set({"keys": keys.jwks()["keys"]})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_verifies_by_the_published_key_it_names(
    keys: SigningKeys, algorithm: Algorithm
) -> None:
    """The header holds `alg` and `kid` alone, and the JWKS holds no private part."""
    text = keys.sign({"sub": "alice"}, algorithm)
    token = jwt.decode(text, published(keys), algorithms=[algorithm])
    assert token.claims == {"sub": "alice"}
    assert set(token.header) == {"alg", "kid"}
    assert all("d" not in key for key in keys.jwks()["keys"])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_forged_token_names_our_key_and_fails(keys: SigningKeys, algorithm: Algorithm) -> None:
    """Only the signature gives it away."""
    text = keys.forge({"sub": "alice"}, algorithm)
    assert jws.extract_compact(text.encode()).protected["kid"] in kids(keys)
    with pytest.raises(BadSignatureError):
        jwt.decode(text, published(keys), algorithms=[algorithm])
    assert keys.read(text) is None


def test_a_key_may_be_published_before_it_is_used() -> None:
    """Prepared, then used, then dropped; the old one stays readable until dropped."""
    keys = SigningKeys()
    before = keys.sign({}, "ES256")
    old = jws.extract_compact(before.encode()).protected["kid"]
    coming = keys.prepare("ES256")
    assert coming in kids(keys)
    assert jws.extract_compact(keys.sign({}, "ES256").encode()).protected["kid"] == old
    assert keys.rotate("ES256") == coming
    assert jws.extract_compact(keys.sign({}, "ES256").encode()).protected["kid"] == coming
    assert keys.read(before) == {}
    keys.drop_retired()
    assert old not in kids(keys)
    assert keys.read(before) is None


def test_a_key_may_come_without_warning() -> None:
    """Rotation without preparation shows and uses the new key at once."""
    keys = SigningKeys()
    known = set(kids(keys))
    new = keys.rotate("ES256")
    assert new not in known
    assert set(kids(keys)) == known | {new}


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_token_of_ours_reads_as_nothing(keys: SigningKeys, text: str) -> None:
    """Neither noise nor an unsigned token."""
    assert keys.read(text) is None
