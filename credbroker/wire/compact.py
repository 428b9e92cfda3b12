"""A compact JWS in its parts, and put together from them (RFC 7515 section 7.1)."""

from __future__ import annotations

import base64
import binascii
from typing import Tuple

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.wire.jwt import LARGEST_BYTES

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def part(content: bytes) -> bytes:
    """Return `content` in base64url without padding (RFC 7515 section 2)."""
    return binascii.b2a_base64(content, newline=False).translate(_URL_SAFE).rstrip(b"=")


def put_together(signed: bytes, signature: bytes) -> Secret:
    """Return the token of what was signed, header and claims with the dot between, as `part` made them."""
    return Secret("access token", (signed + b"." + part(signature)).decode())


def taken_apart(value: Secret) -> Tuple[bytes, bytes, bytes]:
    """Return the header as it is written, what was signed, and the signature.

    Raises `Malformed` for what has no three parts, is longer than `LARGEST_BYTES`, or has a signature
    that is written in another way than `part` writes it.
    """
    text = value.reveal()
    if len(text) > LARGEST_BYTES or not text.isascii() or text.count(".") != 2:
        raise Malformed("This is not a signed token: three parts between dots were expected.")
    signed, _, written = text.encode().rpartition(b".")
    try:
        signature = base64.urlsafe_b64decode(written + b"=" * (-len(written) % 4))
    except binascii.Error:
        signature = b""
    if not signature or part(signature) != written:
        raise Malformed("The token's signature is not base64url.")
    return signed.partition(b".")[0], signed, signature
