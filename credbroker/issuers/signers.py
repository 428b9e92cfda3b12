"""Makes the broker's own signing keys and signs with them (RFC 7518 sections 3.3 and 3.4).

The private half is held here, or lies in a transit engine and never leaves it. A few signatures at a
time are made where they are asked for, and others have their turn in between. Larger lots go to threads
with RSA, which use further cores; for less, passing Python's lock to and fro would cost more than that
brings. For ES256 the library keeps the lock, so threads would only take time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from hashlib import sha256
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from credbroker.domain.errors import Misconfigured, RecordDamaged
from credbroker.domain.secret import Secret
from credbroker.domain.signing_keys import KeyHalves

RSA_BITS = 2048
# So many signatures take two milliseconds: with ES256, and with RS256.
AT_ONCE, RSA_AT_ONCE = 64, 4
_EC_BYTES = 32
_SHA256 = hashes.SHA256()
_ES256 = ec.ECDSA(_SHA256)
_HASHED_ES256 = ec.ECDSA(Prehashed(_SHA256))
_RS256 = padding.PKCS1v15()

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class RemoteKeys(Protocol):
    """Keys that never leave the place where they lie; see `stores.transit`."""

    async def make(self, algorithm: str) -> tuple[str, str]:
        """Return the name of a new key and its public half (PEM). Raises `StoreUnavailable` kinds."""

    async def sign(self, name: str, many: Sequence[bytes]) -> list[bytes]:
        """Return the JWS signature of each. Raises `StoreUnavailable` kinds."""


class OwnKeysmith:
    """Makes the broker's keys and works with them. Follows `broker.issuing.keyring.Keysmith`."""

    def __init__(self, threads: int = 1, remote: RemoteKeys | None = None) -> None:
        """Sign in so many `threads` at the most; make keys in `remote`, or else here.

        A key goes on being used where it was made.
        """
        self._threads = threads
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="signing")
        self._remote = remote

    async def make(self, algorithm: str) -> KeyHalves:
        """Return a new pair. Raises `StoreUnavailable` kinds where it is to lie elsewhere."""
        if self._remote is None:
            return await asyncio.get_running_loop().run_in_executor(self._pool, _made, algorithm)
        name, public = await self._remote.make(algorithm)
        try:
            key = serialization.load_pem_public_key(public.encode())
        except (ValueError, UnsupportedAlgorithm):
            raise RecordDamaged("OpenBao/Vault made a key that cannot be read.") from None
        return _halves(algorithm, key, remote=name)

    def signer(self, halves: KeyHalves) -> LocalSigner | RemoteSigner:
        """Return what signs with this pair.

        Raises `RecordDamaged` if its private half is none of it, `Misconfigured` if out of reach.
        """
        if not halves.remote:
            return LocalSigner(_private(halves), self._pool, self._threads)
        if self._remote is None:
            raise Misconfigured(
                "A signing key in use lies in a transit engine, and the settings name none.",
                "Set `keys.transit` of this community again.",
            )
        return RemoteSigner(self._remote, halves.remote)

    def verify(self, halves: KeyHalves, signed: bytes, signature: bytes) -> bool:
        """Return whether the pair made this signature, told here by its public half."""
        key = _public(halves.algorithm, halves.public)
        try:
            if isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, signed, _RS256, _SHA256)
            else:
                key.verify(_der(signature), signed, _ES256)
        except InvalidSignature:
            return False
        return True

    def close(self) -> None:
        """Let go of the threads, once what is being signed is done."""
        self._pool.shutdown()


class LocalSigner:
    """Signs with a key that is held here. Follows `broker.issuing.keyring.Signer`."""

    def __init__(self, key: PrivateKey, pool: ThreadPoolExecutor, threads: int) -> None:
        """Sign with `key`, in `threads` of `pool` where that is quicker."""
        self._pool = pool
        self._threads = threads
        self._is_quick = isinstance(key, ec.EllipticCurvePrivateKey)
        self._one = _signing(key)

    async def sign(self, many: Sequence[bytes]) -> list[bytes]:
        """Return the JWS signature of each, in the same order."""
        if self._is_quick or len(many) <= RSA_AT_ONCE:
            return await self._in_turns(many)
        loop = asyncio.get_running_loop()
        step = -(-len(many) // self._threads) or 1
        parts = [
            loop.run_in_executor(self._pool, self._some, many[start : start + step])
            for start in range(0, len(many), step)
        ]
        return [one for some in await asyncio.gather(*parts) for one in some]

    async def _in_turns(self, many: Sequence[bytes]) -> list[bytes]:
        made = self._some(many[:AT_ONCE])
        for start in range(AT_ONCE, len(many), AT_ONCE):
            await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, for others
            made += self._some(many[start : start + AT_ONCE])
        return made

    def _some(self, many: Sequence[bytes]) -> list[bytes]:
        return [self._one(one) for one in many]


class RemoteSigner:
    """Has a key sign where it lies. Follows `broker.issuing.keyring.Signer`."""

    def __init__(self, remote: RemoteKeys, name: str) -> None:
        """Have `remote` sign with the key of this name."""
        self._remote, self._name = remote, name

    async def sign(self, many: Sequence[bytes]) -> list[bytes]:
        """Return the JWS signature of each; see `RemoteKeys.sign`."""
        return await self._remote.sign(self._name, many)


def _der(signature: bytes) -> bytes:
    if len(signature) != 2 * _EC_BYTES:
        raise InvalidSignature
    first, second = signature[:_EC_BYTES], signature[_EC_BYTES:]
    return encode_dss_signature(int.from_bytes(first, "big"), int.from_bytes(second, "big"))


def _signing(key: PrivateKey) -> Callable[[bytes], bytes]:
    if isinstance(key, rsa.RSAPrivateKey):
        return lambda content: key.sign(content, _RS256, _SHA256)

    def raw(content: bytes) -> bytes:
        # hashlib is there with it in half the time.
        first, second = decode_dss_signature(key.sign(sha256(content).digest(), _HASHED_ES256))
        return first.to_bytes(_EC_BYTES, "big") + second.to_bytes(_EC_BYTES, "big")

    return raw


def _made(algorithm: str) -> KeyHalves:
    key: PrivateKey
    if algorithm == "RS256":
        key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    else:
        key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return _halves(algorithm, key.public_key(), private=Secret("signing key", pem.decode()))


def _halves(
    algorithm: str, key: object, *, private: Secret | None = None, remote: str = ""
) -> KeyHalves:
    if not isinstance(key, _KINDS[algorithm]):
        raise RecordDamaged(f"A key for {algorithm} is of another kind.")
    kind = RSAKey if algorithm == "RS256" else ECKey
    public = kind.import_key(
        key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return KeyHalves(
        key_id=public.thumbprint(),
        algorithm=algorithm,
        public=json.dumps(public.as_dict(private=False), sort_keys=True, separators=(",", ":")),
        private=private,
        remote=remote,
    )


_KINDS: dict[str, type[rsa.RSAPublicKey | ec.EllipticCurvePublicKey]] = {
    "RS256": rsa.RSAPublicKey,
    "ES256": ec.EllipticCurvePublicKey,
}


def _private(halves: KeyHalves) -> PrivateKey:
    try:
        pem = halves.private.reveal().encode() if halves.private is not None else b""
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise RecordDamaged("A signing key in OpenBao/Vault cannot be read.")
    if _halves(halves.algorithm, key.public_key()).key_id != halves.key_id:
        raise RecordDamaged("The halves of a signing key in OpenBao/Vault are of two keys.")
    return key


@lru_cache(maxsize=64)
def _public(algorithm: str, jwk: str) -> PublicKey:
    kind = RSAKey if algorithm == "RS256" else ECKey
    try:
        key = kind.import_key(json.loads(jwk)).public_key
    except (JoseError, ValueError, TypeError, KeyError):
        key = None
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise RecordDamaged("The public half of a signing key in OpenBao/Vault cannot be read.")
    return key
