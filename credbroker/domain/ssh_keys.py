"""Ssh keys that may stand for a person: read from their public halves, recorded for one identity.

Taken are kinds of key whose bare signature says all that is needed to check it: Ed25519 (RFC 8709),
ECDSA on the NIST curves (RFC 5656) and RSA (RFC 4253 section 6.6) of 2048 bits or more.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
from dataclasses import dataclass, field, replace
from typing import Mapping, Sequence

from credbroker.domain.errors import Malformed, NotFound
from credbroker.domain.names import GrantKey

MOST_KEYS = 32
LEAST_RSA_BITS = 2048
# More only costs whoever has to check the signature.
MOST_RSA_BITS = 16384
_LONGEST_BLOB = 4096
ED25519 = "ssh-ed25519"
RSA = "ssh-rsa"
ECDSA_COORDINATE_BYTES: Mapping[str, int] = {
    "ecdsa-sha2-nistp256": 32,
    "ecdsa-sha2-nistp384": 48,
    "ecdsa-sha2-nistp521": 66,
}


@dataclass(frozen=True)
class SshKey:
    """The public half of an ssh key: its kind, such as `ssh-ed25519`, and its blob."""

    kind: str
    blob: bytes

    @classmethod
    def parse(cls, line: str) -> SshKey:
        """Read `<kind> <base64 blob> [comment]`; raise `Malformed`, in words, if it is unfit."""
        kind, text, *_ = [*line.split(None, 2), "", ""]
        if kind not in {ED25519, RSA, *ECDSA_COORDINATE_BYTES}:
            raise Malformed(_why_unfit(kind), _REMEDY)
        try:
            blob = base64.b64decode(text, validate=True)
        except ValueError:
            raise _damaged() from None
        if len(blob) > _LONGEST_BLOB:
            raise _damaged()
        named, *numbers = read_parts(blob) or [b""]
        if named != kind.encode():
            raise _damaged()
        _check_numbers(kind, numbers)
        return cls(kind, blob)

    def line(self) -> str:
        """Return the key as `parse` reads it, without a comment."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    def fingerprint(self) -> str:
        """Return the key's name for people, as ssh-keygen and ssh-add show it: `SHA256:…`."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode()
        return f"SHA256:{digest.rstrip('=')}"


@dataclass(frozen=True)
class SshKeys:
    """The ssh keys that open one identity's grants: those that it registered itself.

    Bound to who registered them (`iss` and `sub`), so that they open nothing for somebody whom the
    issuer later gives the same credkey.
    """

    issuer: str
    credkey: str
    issuer_url: str
    subject: str
    keys: tuple[SshKey, ...]
    registered_at: datetime.datetime

    def without(self, fingerprint: str) -> SshKeys:
        """Return the record without one key; raise `NotFound` if it is not there."""
        left = tuple(key for key in self.keys if key.fingerprint() != fingerprint)
        if left == self.keys:
            raise NotFound(
                "No ssh key with this fingerprint is registered.",
                "List the registered ones with a GET of the same address.",
            )
        return replace(self, keys=left)


@dataclass(frozen=True)
class SshProof:
    """What a client shows to log in: for which grant, by which key, and the nonce that it signed."""

    grant: GrantKey
    key: SshKey
    nonce: str = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True)
class SeenNonce:
    """Says that a nonce was used; `id` tells this very use from another's."""

    id: str
    seen_at: datetime.datetime


def place_of(issuer: str, credkey: str) -> str:
    """Return the path segment of an identity's ssh keys: that of a grant in no role."""
    return GrantKey(issuer, credkey, "").segment()


def choose(lines: Sequence[str]) -> tuple[tuple[SshKey, ...], list[str]]:
    """Return the keys that are fit, each once, and a sentence for each that is left out.

    An agent holds what its owner put there: one unfit key must not keep out the others. Raises
    `Malformed` if none is fit, or if there are more than `MOST_KEYS`.
    """
    if not 0 < len(lines) <= MOST_KEYS:
        raise Malformed(f"Between 1 and {MOST_KEYS} ssh keys can be registered.", _REMEDY)
    fit: dict[SshKey, None] = {}
    left_out = []
    for number, line in enumerate(lines, 1):
        try:
            fit[SshKey.parse(line)] = None
        except Malformed as error:
            left_out.append(f"Key {number}: {error.sentence}")
    if not fit:
        raise Malformed(f"No ssh key is fit to log in with. {left_out[0]}", _REMEDY)
    return tuple(fit), left_out


def read_parts(blob: bytes) -> list[bytes]:
    """Split what RFC 4251 section 5 calls strings, one behind the other; raise `Malformed`."""
    parts, at = [], 0
    while at < len(blob):
        start = at + 4
        end = start + int.from_bytes(blob[at:start], "big")
        if end > len(blob):
            raise _damaged()
        parts.append(blob[start:end])
        at = end
    return parts


def _check_numbers(kind: str, numbers: Sequence[bytes]) -> None:
    """Raise `Malformed` unless these are a public key of this kind, by their number and lengths."""
    sizes = [len(number) for number in numbers]
    if kind == ED25519:
        sound = sizes == [32]
    elif kind == RSA:
        sound = len(sizes) == 2
    else:  # the curve's name and a point that is not compressed (SEC 1 section 2.3.3)
        curve = kind.rpartition("-")[2].encode()
        point_bytes = 1 + 2 * ECDSA_COORDINATE_BYTES[kind]
        sound = sizes == [len(curve), point_bytes] and numbers[0] == curve
    if not sound:
        raise _damaged()
    if kind == RSA:
        _check_modulus(int.from_bytes(numbers[1], "big", signed=True))


def _check_modulus(modulus: int) -> None:
    if modulus <= 0 or not LEAST_RSA_BITS <= modulus.bit_length() <= MOST_RSA_BITS:
        raise Malformed(
            f"An RSA key needs between {LEAST_RSA_BITS} and {MOST_RSA_BITS} bits.", _REMEDY
        )


def _why_unfit(kind: str) -> str:
    if kind.startswith("sk-"):
        return "A FIDO key cannot be used: its signature does not reach the broker whole."
    if kind == "ssh-dss":
        return "DSA keys are too weak."
    if "-cert-" in kind:
        return "A certificate is not a key."
    return "This kind of ssh key is not known here."


def _damaged() -> Malformed:
    return Malformed("The ssh key, or what was signed with it, is damaged.", _REMEDY)


_REMEDY = "Use an Ed25519, ECDSA or RSA key, the last of 2048 bits or more."
