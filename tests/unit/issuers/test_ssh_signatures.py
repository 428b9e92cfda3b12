"""A signature of an ssh agent counts if the key made it over these very bytes, and else never."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.ssh_keys import ED25519, SshKey, read_parts
from credbroker.issuers.ssh_signatures import AgentSignatures
from tests.fakes.ssh_agent import (
    CURVES,
    AgentKey,
    ecdsa_key,
    ed25519_key,
    numbers,
    rsa_key,
    string,
)

NONCE = b"a nonce, as it was given"
KEYS = {"ed25519": ed25519_key(), "rsa": rsa_key(), **{name: ecdsa_key(name) for name in CURVES}}
SIGNATURES = AgentSignatures()
one_key = pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)


def verified(key: AgentKey, signature: bytes, signed: bytes = NONCE) -> bool:
    """Return whether the signature counts as the key's."""
    return SIGNATURES.verify(SshKey.parse(key.line), signature, signed)


@one_key
def test_what_a_key_has_signed_counts(key: AgentKey) -> None:
    """Over exactly these bytes, with nothing before them."""
    assert verified(key, key.sign(NONCE))


@one_key
def test_other_bytes_or_another_key_do_not_count(key: AgentKey) -> None:
    """Nor does a signature with a flipped bit, or none."""
    signature = key.sign(NONCE)
    changed = signature[:-1] + bytes([signature[-1] ^ 1])
    assert not verified(key, signature, b"x" + NONCE)
    assert not verified(key, changed)
    assert not verified(key, b"")
    for other in KEYS.values():
        assert other is key or not verified(other, signature)


def test_the_whole_signature_of_an_agent_is_not_the_inner_one() -> None:
    """Clients drop the leading name; a signature that still has it is another one."""
    key = KEYS["ed25519"]
    assert not verified(key, string(ED25519.encode()) + string(key.sign(NONCE)))


def test_an_ecdsa_signature_of_less_or_more_than_two_numbers_does_not_count() -> None:
    """Nor do numbers below zero, or of no size that fits the curve."""
    key = KEYS["nistp256"]
    signature = key.sign(NONCE)
    one, two = read_parts(signature)
    wrongs = [
        string(one), signature + string(b""), signature[:-1], string(two) + string(one),
        numbers(-5, 7), numbers(0, 0), numbers(1 << 600, 5),
    ]  # fmt: skip
    assert not any(verified(key, wrong) for wrong in wrongs)


def test_an_rsa_signature_by_another_digest_does_not_count() -> None:
    """The client loses the algorithm's name, so there is one meaning only."""
    private = KEYS["rsa"].private
    assert isinstance(private, rsa.RSAPrivateKey)
    assert not verified(KEYS["rsa"], private.sign(NONCE, PKCS1v15(), SHA256()))


@pytest.mark.parametrize("error", [UnsupportedAlgorithm("no SHA-1"), InternalError("no", [])])
def test_a_library_without_sha_1_verifies_no_rsa_signature(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a system's policy forbids it; the other kinds of key still work."""

    def refuse() -> None:
        raise error

    monkeypatch.setattr("credbroker.issuers.ssh_signatures.hashes.SHA1", refuse)
    ed25519 = KEYS["ed25519"]
    assert not verified(KEYS["rsa"], b"s" * 256)
    assert verified(ed25519, ed25519.sign(NONCE))


def test_a_point_off_the_curve_is_no_key() -> None:
    """It has the right form, which is all that registering looks at."""
    blob = string(b"ecdsa-sha2-nistp256") + string(b"nistp256") + string(b"\x04" + b"\x07" * 64)
    key = SshKey("ecdsa-sha2-nistp256", blob)
    assert SshKey.parse(key.line()) == key
    assert not SIGNATURES.verify(key, numbers(5, 7), NONCE)


@given(st.sampled_from(sorted(KEYS)), st.binary(max_size=300))
def test_rubbish_is_no_signature_and_nothing_fails(name: str, rubbish: bytes) -> None:
    """Of whatever kind the key is."""
    assert not verified(KEYS[name], rubbish)
