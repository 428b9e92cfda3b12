"""Keys that are made here are whole, and what is damaged is told; `tests/contract` has the rest."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import import_key

from credbroker.domain.errors import Misconfigured, RecordDamaged
from credbroker.domain.secret import Secret
from credbroker.domain.signing_keys import ALGORITHMS
from credbroker.issuers.signers import AT_ONCE, IN_A_THREAD, LocalSigner, OwnKeysmith, RemoteSigner
from tests.fakes.clock import turns

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa


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


class HeldPool(ThreadPoolExecutor):
    """Begins nothing before the test lets it; notes how much was given to it at a time."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)
        self.given: list[int] = []
        self.open = threading.Event()
        super().submit(self.open.wait)

    def submit(self, fn: Any, /, *words: Any, **named: Any) -> Any:
        self.given.append(len(words[0]))
        return super().submit(fn, *words, **named)


@pytest.fixture
def pool() -> Iterator[HeldPool]:
    """One thread, held up."""
    made = HeldPool()
    yield made
    made.open.set()
    made.shutdown()


class SlowKey:
    """Signs as RSA does, at once; of "broken" it says so."""

    def sign(self, data: bytes, *_: Any) -> bytes:
        if data == b"broken":
            raise ValueError("no key at all")
        return b"signed " + data


@pytest.fixture
def slow(pool: HeldPool, monkeypatch: pytest.MonkeyPatch) -> LocalSigner:
    """A signer of RS256 in one thread, without the work."""
    monkeypatch.setattr("credbroker.issuers.signers._signing", lambda key: key.sign)
    return LocalSigner(cast("rsa.RSAPrivateKey", SlowKey()), pool, 1)


def _begin(signer: LocalSigner, *content: bytes) -> asyncio.Task[list[bytes]]:
    return asyncio.get_running_loop().create_task(signer.sign(content))


async def test_what_waits_for_a_thread_goes_there_together(
    slow: LocalSigner, pool: HeldPool
) -> None:
    """The first at once, the next as what lies ready; of the rest so many at a time, each to its caller."""
    asked = [_begin(slow, str(n).encode()) for n in range(2 * IN_A_THREAD + 2)]
    await turns(1)
    assert pool.given == [1, 1]
    pool.open.set()
    assert await asyncio.gather(*asked) == [[b"signed %d" % n] for n in range(len(asked))]
    assert pool.given == [1, 1, IN_A_THREAD, IN_A_THREAD]


async def test_a_batch_goes_over_as_a_whole_and_takes_others_along_only_if_it_is_small(
    slow: LocalSigner, pool: HeldPool
) -> None:
    """Each gets its own, in its order."""
    large, small = [b"a"] * 3 * IN_A_THREAD, [b"b", b"c"]
    several = [_begin(slow, *one) for one in (large, small, [b"d"], large, [b"e"])]
    await turns(1)
    pool.open.set()
    signed = [[b"signed " + one for one in each] for each in (large, small, [b"d"], large, [b"e"])]
    assert await asyncio.gather(*several) == signed
    assert pool.given == [len(large), len(small), 1, len(large), 1]


async def test_several_threads_share_a_batch(pool: HeldPool, slow: LocalSigner) -> None:
    """Which comes back whole."""
    slow._threads = 3
    batch = _begin(slow, *[b"a"] * 7 * IN_A_THREAD)
    await turns(1)
    assert pool.given == [19, 19, 18]
    pool.open.set()
    assert await batch == [b"signed a"] * 7 * IN_A_THREAD


async def test_who_goes_takes_nobody_along(slow: LocalSigner, pool: HeldPool) -> None:
    """And what nobody waits for is not signed, but for what lies with the threads."""
    asked = [_begin(slow, str(n).encode()) for n in range(4)]
    await turns(1)
    for n in (1, 2):
        asked[n].cancel()
    await turns(1)
    pool.open.set()
    assert (await asked[0], await asked[3]) == ([b"signed 0"], [b"signed 3"])
    assert asked[1].cancelled()
    assert asked[2].cancelled()
    assert pool.given == [1, 1, 1]


async def test_a_fault_is_told_to_all_who_were_there(slow: LocalSigner, pool: HeldPool) -> None:
    """Whoever comes before or after is served."""
    asked = [_begin(slow, one) for one in (b"first", b"second", b"broken", b"beside")]
    await turns(1)
    pool.open.set()
    *before, broken, beside = await asyncio.gather(*asked, return_exceptions=True)
    assert before == [[b"signed first"], [b"signed second"]]
    assert (type(broken), type(beside)) == (ValueError, ValueError)
    assert await slow.sign([b"next"]) == [b"signed next"]


async def test_nobody_waits_for_threads_that_are_gone(slow: LocalSigner, pool: HeldPool) -> None:
    """What they had is signed; who waited when they ended is told, as is who comes later."""
    asked = [_begin(slow, *[b"a"] * IN_A_THREAD) for _ in range(4)]
    await turns(1)
    pool.shutdown(wait=False)
    pool.open.set()
    first, second, *others = await asyncio.gather(*asked, return_exceptions=True)
    assert first == second == [b"signed a"] * IN_A_THREAD
    assert [type(one) for one in others] == [RuntimeError, RuntimeError]
    with pytest.raises(RuntimeError):
        await slow.sign([b"later"])


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
