"""What a JWT says, without judging whether it may be believed (RFC 7519).

Signatures are `issuers.keys`' business. A client that only holds a token reads its form, times,
scopes and audience here and leaves belief to the broker.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import functools
import re
from typing import Any

from credbroker.domain.errors import Malformed
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken
from credbroker.wire.fields import Fields, parse_object

LARGEST_BYTES = 16 * 1024

# RFC 7515 section 2: without padding. Decoding alone would pass over what is none of these.
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+\Z")


def peek(value: Secret) -> tuple[Fields, Fields]:
    """Return header and claims, unverified; raise `Malformed` if this is not a compact JWS."""
    text = value.reveal()
    parts = text.split(".")
    if len(text) > LARGEST_BYTES or len(parts) != 3 or not all(parts):
        raise Malformed("This is not a signed token: three parts between dots were expected.")
    if not _BASE64URL.match(parts[2]) or len(parts[2]) % 4 == 1:
        raise Malformed("The token's signature is not base64url.")
    return _header(parts[0]), _part(parts[1], "The token's claims")


@functools.lru_cache(maxsize=256)
def _header(text: str) -> Fields:
    """Read a header, which all tokens of a key share."""
    return _part(text, "The token's header")


def _part(text: str, what: str) -> Fields:
    return parse_object(decoded(text, what), what)


def decoded(text: str, what: str) -> bytes:
    """Return what base64url `text` holds; raise `Malformed`, naming `what`, if it is none."""
    try:
        if _BASE64URL.match(text):
            return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        pass  # of a length that no bytes have
    raise Malformed(f"{what} is not base64url.")


def read_access_token(
    value: Secret, now: datetime.datetime, *, any_profile: bool = False
) -> AccessToken:
    """Read an access token's claims by the WLCG profile; raise `Malformed` for a wrong form.

    Required: `iss`, `sub`, `exp`, `iat`, `jti`, the header's `kid`, and `wlcg.ver` unless tokens of
    `any_profile` will do. Some issuers write a single entitlement, as a single audience, as a text.
    """
    header, claims = peek(value)
    return access_token(value, header, claims, now, any_profile=any_profile)


def access_token(
    value: Secret,
    header: Fields,
    claims: Fields,
    now: datetime.datetime,
    *,
    any_profile: bool = False,
) -> AccessToken:
    """Return the access token that `peek` has read; as `read_access_token`."""
    issued_at = moment(claims, "iat")
    return AccessToken(
        value=value,
        issuer_url=claims.text("iss"),
        subject=claims.text("sub"),
        scopes=ScopeSet.parse(claims.optional("scope", claims.text) or ""),
        audiences=_texts(claims.raw("aud"), "aud"),
        groups=_texts(claims.raw("wlcg.groups"), "wlcg.groups"),
        version=_version(claims, any_profile=any_profile),
        jti=claims.text("jti"),
        key_id=header.text("kid"),
        issued_at=issued_at,
        not_before=moment(claims, "nbf") if "nbf" in claims else issued_at,
        expires_at=moment(claims, "exp"),
        obtained_at=now,
        entitlements=_texts(claims.raw("eduperson_entitlement"), "eduperson_entitlement"),
    )


def _version(claims: Fields, *, any_profile: bool) -> str:
    if any_profile:
        return claims.optional("wlcg.ver", claims.text) or ""
    return claims.text("wlcg.ver")


def moment(claims: Fields, name: str) -> datetime.datetime:
    """Return a time that is claimed (RFC 7519 section 2, NumericDate); raise `Malformed`."""
    try:
        return datetime.datetime.fromtimestamp(claims.number(name), datetime.timezone.utc)
    except (OverflowError, OSError, ValueError):
        raise Malformed(f"The token's {name} is not a time.") from None


def _texts(value: Any, name: str) -> tuple[str, ...]:
    if value is None:
        return ()
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise Malformed(f"The token's {name} must be a text or a list of texts.")
    return tuple(found)
