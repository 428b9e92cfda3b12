"""Finds planted secrets in bytes that should hold none.

- A piece of `PIECE` bytes counts as a sighting, in the clear or in any reading of `readings`.
- A sighting says what kind of secret was seen, in which form and where; it never shows the secret.
- Each kind is reported once per place, in the plainest form found there.
- The cost hardly grows with the number of secrets: any piece of twelve bytes holds six that begin
  at a multiple of seven, so one look-up at every seventh byte tells whether to look closer.
"""

from __future__ import annotations

import base64
import gzip
import json
import struct
import zlib
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import quote

from credbroker.telemetry.readings import readings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PIECE = 12
_GRAM = 6
_STRIDE = PIECE - _GRAM + 1
_NAMELESS = "a place whose name holds the secret"


@dataclass(frozen=True, slots=True)
class Sighting:
    """One kind of secret, seen in one form in one place."""

    kind: str
    form: str
    where: str

    def __str__(self) -> str:
        """Say it in a sentence's worth of words."""
        return f"{self.kind}, {self.form}, in {self.where}"


class Search:
    """Looks for a fixed set of secrets."""

    def __init__(self, secrets: Iterable[tuple[str, str]]) -> None:
        """Prepare to look for (kind, value) pairs, as in ("refresh token", "q83v…").

        Raises:
            ValueError: A value is too short to be told from chance.
        """
        self._secrets = tuple(secrets)
        self._kinds: dict[bytes, set[str]] = {}
        for kind, value in self._secrets:
            for piece in _windows(_telling_part(kind, value), PIECE):
                self._kinds.setdefault(piece, set()).add(kind)
        self._grams = {gram for piece in self._kinds for gram in _windows(piece, _GRAM)}

    def find(self, content: bytes, where: str) -> list[Sighting]:
        """Return what is seen in `content`, and in the name of the place itself."""
        in_name = self._find(where.encode(errors="surrogateescape"), _NAMELESS)
        return in_name + self._find(content, _NAMELESS if in_name else where)

    def blind_spots(self) -> list[Sighting]:
        """Return each form in which a planted secret would go unseen; empty when all is well."""
        return [
            Sighting(kind, form, "a rehearsed leak")
            for kind, value in self._secrets
            for form, leak in forms_of(_telling_part(kind, value).decode()).items()
            if all(seen.kind != kind for seen in self.find(leak, "a rehearsed leak"))
        ]

    def _find(self, content: bytes, where: str) -> list[Sighting]:
        found: dict[str, Sighting] = {}
        for form, text in readings(content):
            for kind in self._kinds_in(text):
                found.setdefault(kind, Sighting(kind, form, where))
        return list(found.values())

    def _kinds_in(self, text: bytes) -> set[str]:
        padded = text + bytes(-len(text) % _STRIDE)
        grams = chain.from_iterable(struct.iter_unpack(f"{_GRAM}s{_STRIDE - _GRAM}x", padded))
        if self._grams.isdisjoint(grams):
            return set()
        pieces = self._kinds.keys() & set(self._pieces_around_grams(text))
        return {kind for piece in pieces for kind in self._kinds[piece]}

    def _pieces_around_grams(self, text: bytes) -> Iterator[bytes]:
        for at in range(0, len(text), _STRIDE):
            if text[at : at + _GRAM] in self._grams:
                yield from _windows(text[max(0, at - _STRIDE + 1) : at + PIECE], PIECE)


def forms_of(secret: str) -> dict[str, bytes]:
    """Return leaks of `secret`, by the name of the form, as careless code would write them."""
    plain = secret.encode()
    middle = len(plain) // 2 - PIECE // 2
    piece = plain[middle : middle + PIECE]
    return {
        "raw": b"sent " + plain + b" to them",
        "piece": b"began with " + plain[:PIECE],
        "inner piece": b"." + piece + b".",
        "gzip": b"\x00member:" + gzip.compress(b"line\n" + plain, mtime=0) + b"more",
        "zlib": b"object " + zlib.compress(plain),
        "deflated base64": base64.b64encode(zlib.compress(b"a few words, then " + plain)),
        **_percent_forms(secret),
        **_hex_forms(plain),
        **_base64_forms(plain),
        **_escaped_forms(secret),
    }


def _percent_forms(secret: str) -> dict[str, bytes]:
    every = "".join(f"%{byte:02x}" for byte in secret.encode())
    reserved = quote(secret, safe="")
    return {
        "percent-encoded, reserved": f"?a={reserved}&b=".encode(),
        "percent-encoded, reserved, lower case": f"?a={_lower_escapes(reserved)}&b=".encode(),
        "percent-encoded, every byte": every.upper().encode(),
        "percent-encoded, every byte, lower case": every.encode(),
    }


def _lower_escapes(encoded: str) -> str:
    first, *rest = encoded.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _hex_forms(plain: bytes) -> dict[str, bytes]:
    return {
        "hex": b"0x" + plain.hex().encode(),
        "hex, upper case": plain.hex().upper().encode(),
        "hex after an odd digit": b"f" + plain.hex().encode(),
    }


def _base64_forms(plain: bytes) -> dict[str, bytes]:
    forms = {"base64, wrapped": base64.encodebytes(b"user:" + plain)}
    for offset in range(3):
        framed = b"?" * offset + plain + b"??"
        forms[f"base64, offset {offset}"] = base64.b64encode(framed)
        forms[f"base64url, offset {offset}"] = b"a/" + base64.urlsafe_b64encode(framed).rstrip(b"=")
    return forms


def _escaped_forms(secret: str) -> dict[str, bytes]:
    units = secret.encode("utf-16-be").hex(" ", 2).split()
    quoted = json.dumps(secret)
    return {
        "JSON": quoted.replace("/", "\\/").encode(),
        "JSON, every character": "".join(f"\\u{unit}" for unit in units).encode(),
        "JSON, every character, upper case": "".join(f"\\u{u.upper()}" for u in units).encode(),
        "JSON in JSON": json.dumps({"body": quoted.replace("/", "\\/")}).encode(),
    }


def _windows(text: bytes, size: int) -> Iterator[bytes]:
    return (text[at : at + size] for at in range(len(text) - size + 1))


def _telling_part(kind: str, value: str) -> bytes:
    """Leave out what a JWT shares with others: all but the signature, or but the claims if unsigned.

    Two tokens of one issuer begin alike (RFC 7519), and neither header nor claims let anyone in.
    """
    part = value
    if value.startswith("eyJ") and value.count(".") == 2:
        _, claims, signature = value.split(".")
        part = signature or claims
    if len(part.encode()) < PIECE:
        raise ValueError(f"plant a {kind} of at least {PIECE} bytes; shorter ones occur by chance")
    return part.encode()
