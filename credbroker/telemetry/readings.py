"""Reads bytes in every way a leaked secret may have been written down.

Searching means undoing: whoever looks through these readings for the plain secret also finds it
encoded, in any letter case, at any offset, whole or in part.

- The plainest reading comes first; later ones undo at most `LAYERS` encodings, one inside another.
- A reading may add rubbish, such as words taken for base64, but never hides what it could undo.
- Broken input is read as far as it goes; nothing here raises.

What it does not undo: encryption, archives other than gzip and zlib, and text in UTF-16.
"""

from __future__ import annotations

import binascii
import re
import zlib
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LAYERS = 2
_PERCENT = re.compile(rb"%[0-9A-Fa-f]{2}")
_ESCAPE = re.compile(rb'(?:\\u[0-9A-Fa-f]{4})+|\\x[0-9A-Fa-f]{2}|\\[/"\\bfnrt]')
_CONTROL = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_HEX = re.compile(rb"[0-9A-Fa-f]{24,}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}(?:\r?\n[A-Za-z0-9+/_-]{4,})*")
_ONE_ALPHABET = bytes.maketrans(b"-_", b"+/")
_DEFLATED = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")
_CHUNK = 16384


def readings(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each way to read `content`, the plainest first."""
    waiting = deque([("raw", content, LAYERS)])
    while waiting:
        form, text, layers = waiting.popleft()
        yield form, text
        for name, undo in _UNDO.items() if layers else ():
            if undone := undo(text):
                inner = name if text is content else f"{name} in {form}"
                waiting.append((inner, undone, layers - 1))


def undo_percent(content: bytes) -> bytes:
    """Undo percent-encoding (RFC 3986 section 2.1) in the words that have any."""
    return b"\n".join(unquote_to_bytes(word) for word in content.split() if _PERCENT.search(word))


def undo_escapes(content: bytes) -> bytes:
    r"""Undo JSON's backslash escapes (RFC 8259 section 7) and `\xNN` in the lines that have any."""
    lines = (line for line in content.split(b"\n") if b"\\" in line)
    return b"\n".join(_ESCAPE.sub(_unescape, line) for line in lines if _ESCAPE.search(line))


def undo_hex(content: bytes) -> bytes:
    """Undo every run of at least 24 hexadecimal digits, from its first and its second digit."""
    runs = _HEX.findall(content)
    return b"\n".join(_unhex(run[skip:]) for run in runs for skip in range(2))


def undo_base64(content: bytes) -> bytes:
    """Undo every run of at least 16 base64 or base64url characters, wrapped lines joined.

    Each run is read from its first four characters on in turn, because what stands before a leak
    may be of the same alphabet (RFC 4648 sections 4 and 5).
    """
    runs = [run.translate(_ONE_ALPHABET, b"\r\n") for run in _BASE64.findall(content)]
    return b"\n".join(_unbase64(run[skip:]) for run in runs for skip in range(4))


def inflate(content: bytes) -> bytes:
    """Unpack every gzip member and zlib stream that begins anywhere in `content` (RFC 1950, 1952)."""
    starts = (found.start() for found in _DEFLATED.finditer(content))
    return b"\n".join(filter(None, (_inflate(content, start) for start in starts)))


def _unescape(found: re.Match[bytes]) -> bytes:
    escape = found[0]
    if escape.startswith(b"\\u"):
        units = bytes.fromhex(escape.replace(b"\\u", b"").decode())
        return units.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")
    if escape.startswith(b"\\x"):
        return bytes.fromhex(escape[2:].decode())
    return _CONTROL.get(escape[1:], escape[1:])


def _unhex(run: bytes) -> bytes:
    return binascii.unhexlify(run[: len(run) // 2 * 2])


def _unbase64(run: bytes) -> bytes:
    # A last group of two or three characters still holds one or two bytes of the secret.
    return binascii.a2b_base64(run[: len(run) - (len(run) % 4 == 1)] + b"==")


def _inflate(content: bytes, start: int) -> bytes:
    engine = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)  # 32: either header
    unpacked = []
    with suppress(zlib.error), memoryview(content) as view:
        for at in range(start, len(content), _CHUNK):
            unpacked.append(engine.decompress(view[at : at + _CHUNK]))
            if engine.eof:
                break
    return b"".join(unpacked)


_UNDO: dict[str, Callable[[bytes], bytes]] = {
    "percent-encoded": undo_percent,
    "escaped": undo_escapes,
    "hex": undo_hex,
    "base64": undo_base64,
    "compressed": inflate,
}
