"""Keys that are made here are whole, and what is damaged is told; `tests/contract` has the rest."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import import_key

from credbroker.domain.errors import Misconfigured, RecordDamaged
from credbroker.domain.secret import Secret
from credbroker.domain.signing_keys import ALGORITHMS
from credbroker.issuers.signers import (
    AT_ONCE,
    RSA_AT_ONCE,
    LocalSigner,
    OwnKeysmith,
    RemoteSigner,
)
from tests.fakes.clock import turns


@pytest.fixture
def smith() -> Iterator[OwnKeysmith]:
    """One that keeps its keys here and has two threads."""
    made = OwnKeysmith(threads=2)
    yield made
    made.close()


class Elsewhere:
    """A place for keys that answers what a test says."""

    def __init__(self, public: str = "") -> None:
        self.public = public

    async def make(self, algorithm: str) -> tuple[str, str]:
        return f"key-{algorithm}", self.public

    async def sign(self, name: str, many: Sequence[bytes]) -> list[bytes]:
        return [name.encode() + one for one in many]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_key_is_named_by_its_thumbprint_and_shows_no_private_half(
    smith: OwnKeysmith, algorithm: str
) -> None:
    """RFC 7638 section 3; the public half is a JWK that any library reads."""
    halves = await smith.make(algorithm)
    jwk = json.loads(halves.public)
    names = ("e", "kty", "n") if algorithm == "RS256" else ("crv", "kty", "x", "y")
    assert sorted(jwk) == sorted(names)
    plain = json.dumps({name: jwk[name] for name in sorted(names)}, separators=(",", ":"))
    assert import_key(jwk).thumbprint() == halves.key_id
    assert len(halves.key_id) == len(hashlib.sha256(plain.encode()).digest()) * 4 // 3 + 1
    assert "PRIVATE" not in repr(halves)


async def test_many_signatures_come_in_order_whoever_else_signs(smith: OwnKeysmith) -> None:
    """Whatever the number, and at once."""
    halves = await smith.make("ES256")
    signer = smith.signer(halves)
    for count in (0, 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE + 1):
        contents = [str(n).encode() for n in range(count)]
        several = await asyncio.gather(signer.sign(contents), signer.sign(contents))
        for signatures in several:
            assert len(signatures) == count
            found = zip(contents, signatures, strict=True)
            assert all(smith.verify(halves, one, signature) for one, signature in found)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_of_nothing_there_are_no_signatures(smith: OwnKeysmith, algorithm: str) -> None:
    """And no fault."""
    assert await smith.signer(await smith.make(algorithm)).sign([]) == []


async def test_es256_needs_no_thread_and_gives_others_their_turn() -> None:
    """A few at a time: the library would hold Python's lock in a thread as well."""
    smith = OwnKeysmith()
    smith.close()
    signer = LocalSigner(ec.generate_private_key(ec.SECP256R1()), smith._pool, 1)
    signing = asyncio.ensure_future(signer.sign([b"a"] * (3 * AT_ONCE + 1)))
    await turns(2)
    assert not signing.done()
    assert {len(one) for one in await signing} == {64}


async def test_a_few_rs256_signatures_need_no_thread_and_many_do() -> None:
    """Passing Python's lock to and fro for each single token would take longer."""
    smith = OwnKeysmith()
    halves = await smith.make("RS256")
    signer = smith.signer(halves)
    smith.close()
    signed = await signer.sign([b"a"] * RSA_AT_ONCE)
    assert all(smith.verify(halves, b"a", one) for one in signed)
    with pytest.raises(RuntimeError):
        await signer.sign([b"a"] * (RSA_AT_ONCE + 1))


@pytest.mark.parametrize("private", [None, "", "no key", "-----BEGIN PRIVATE KEY-----\n"])
async def test_a_damaged_private_half_is_told(smith: OwnKeysmith, private: str | None) -> None:
    """When its signer is asked for, and not at the first token."""
    halves = await smith.make("ES256")
    damaged = replace(halves, private=Secret("signing key", private) if private else None)
    with pytest.raises(RecordDamaged):
        smith.signer(damaged)


async def test_a_private_half_of_another_pair_is_told(smith: OwnKeysmith) -> None:
    """Nobody could verify what it signs; nor does one of another curve sign anything."""
    halves, other = await smith.make("ES256"), await smith.make("ES256")
    pem = ec.generate_private_key(ec.SECP384R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for private in (other.private, Secret("signing key", pem.decode())):
        with pytest.raises(RecordDamaged):
            smith.signer(replace(halves, private=private))


async def test_a_key_of_another_kind_than_its_algorithm_signs_nothing(smith: OwnKeysmith) -> None:
    """Nor does it verify anything."""
    halves = await smith.make("ES256")
    with pytest.raises(RecordDamaged):
        smith.signer(replace(halves, algorithm="RS256"))
    for public in ("{}", '{"kty":"EC"}', '{"kty":"oct","k":"AA"}'):
        with pytest.raises(RecordDamaged):
            smith.verify(replace(halves, public=public), b"a", b"b" * 64)


async def test_a_key_goes_on_being_used_where_it_was_made(smith: OwnKeysmith) -> None:
    """Whatever the settings say of new ones; one that nobody can reach is told."""
    here = await smith.make("ES256")
    remote = OwnKeysmith(remote=Elsewhere())
    assert isinstance(remote.signer(here), LocalSigner)
    there = replace(here, private=None, remote="key-1")
    assert isinstance(remote.signer(there), RemoteSigner)
    assert await remote.signer(there).sign([b"a"]) == [b"key-1a"]
    with pytest.raises(Misconfigured, match="transit"):
        smith.signer(there)
    remote.close()


@pytest.mark.parametrize("public", ["", "no PEM"])
async def test_a_public_half_that_cannot_be_read_makes_no_key(public: str) -> None:
    """Whoever made it."""
    remote = OwnKeysmith(remote=Elsewhere(public))
    with pytest.raises(RecordDamaged):
        await remote.make("ES256")
    remote.close()
