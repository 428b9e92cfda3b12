"""What clients of an issuer of ours send to its endpoints, and what those answer.

Forms are read as RFC 6749 appendix B has them, and as the grid's services write them: spaces, `:` and
`/` may stand as they are. A parameter without a value counts as left out, and none may come twice
(section 3.2), but those that name an audience (RFC 8693 section 2.1, RFC 8707 section 2).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import Iterator, Mapping, Optional, Tuple
from urllib.parse import quote, unquote_plus, unquote_to_bytes

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken
from credbroker.wire.exchange import ACCESS_TOKEN_TYPE, EXCHANGE_GRANT

CLIENT_GRANT = "client_credentials"
REFRESH_GRANT = "refresh_token"
REFRESH_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:refresh_token"  # noqa: S105 - a kind's name
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
MOST_PARAMETERS = 64

_AUDIENCES = frozenset({"audience", "aud", "resource"})
# RFC 6749 section 5.2: what a description may hold.
_NOT_IN_DESCRIPTION = re.compile(r"[^\x20\x21\x23-\x5B\x5D-\x7E]")
_write = json.JSONEncoder(separators=(",", ":")).encode
_quoted = json.encoder.encode_basestring_ascii
# What comes with each exchange, and would be decoded each time.
_USUAL = {
    quote(one, safe="").encode(): one
    for one in (EXCHANGE_GRANT, ACCESS_TOKEN_TYPE, REFRESH_TOKEN_TYPE, JWT_TYPE)
}
_REMEDY = "Send each parameter once, as a form (application/x-www-form-urlencoded)."


@dataclass(frozen=True)
class Form:
    """The parameters of a request, each once; `audiences` is all that name one, in their order."""

    parameters: Mapping[str, str] = field(repr=False)
    audiences: tuple[str, ...] = ()

    @classmethod
    def read(cls, body: bytes) -> Form:
        """Read a body; raise `Malformed`, without a word of it, for what is no form."""
        parameters: dict[str, str] = {}
        audiences: list[str] = []
        for name, value in _pairs(body):
            if name in _AUDIENCES:
                audiences += value.split()
            elif name in parameters:
                raise Malformed("A parameter stands in the request twice.", _REMEDY)
            else:
                parameters[name] = value
        return cls(parameters, tuple(dict.fromkeys(audiences)))

    def get(self, name: str) -> Optional[str]:
        """Return a parameter's value; None if it was left out."""
        return self.parameters.get(name)

    def needed(self, name: str) -> str:
        """Return a parameter's value; raise `Malformed` if it was left out."""
        value = self.parameters.get(name)
        if value is None:
            raise Malformed(f"The parameter {name} is missing.", _REMEDY)
        return value

    def secret(self, name: str, kind: str) -> Secret:
        """Return what must be shown to nobody; raise `Malformed` if it was left out."""
        return Secret(kind, self.needed(name))


def _pairs(body: bytes) -> Iterator[Tuple[str, str]]:
    """Yield the parameters that have a value."""
    parts = body.replace(b"+", b" ").split(b"&", MOST_PARAMETERS)
    for part in parts[:MOST_PARAMETERS]:
        name, _, value = part.partition(b"=")
        if value:
            yield _decoded(name), _decoded(value)
    if len(parts) > MOST_PARAMETERS:
        raise Malformed("The request has too many parameters.", _REMEDY)


def _decoded(raw: bytes) -> str:
    if raw in _USUAL:
        return _USUAL[raw]
    try:
        return (unquote_to_bytes(raw) if b"%" in raw else raw).decode()
    except UnicodeDecodeError:
        raise Malformed("The request is no form that can be read.", _REMEDY) from None


@dataclass(frozen=True)
class Login:
    """The id and secret that a client shows, as they came and as they read when decoded."""

    ids: tuple[str, ...]
    secrets: tuple[str, ...] = field(repr=False)


def basic_login(text: str) -> Login:
    """Read what follows `Basic` in a header (RFC 7617 section 2); raise `Malformed` for no such thing.

    RFC 6749 section 2.3.1 has clients encode both halves as a form does; most do not.
    """
    try:
        shown = base64.b64decode(text.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise Malformed("The client's id and secret cannot be read from the header.") from None
    name, colon, secret = shown.partition(":")
    if not colon:
        raise Malformed("The header names a client id without a secret.")
    return Login(_readings(name), _readings(secret))


def _readings(text: str) -> tuple[str, ...]:
    decoded = unquote_plus(text) if "%" in text or "+" in text else text
    return (text,) if decoded == text else (text, decoded)


def write_granted(
    token: AccessToken,
    seconds_left: int,
    *,
    refresh_token: Optional[Secret] = None,
    issued_type: Optional[str] = None,
) -> bytes:
    """Write a token endpoint's success (RFC 6749 section 5.1; RFC 8693 section 2.2.1)."""
    said = (
        f'{{"access_token":{_quoted(token.value.reveal())},"token_type":"Bearer"'
        f',"expires_in":{seconds_left},"scope":{_quoted(str(token.scopes))}'
    )
    if refresh_token is not None:
        said += f',"refresh_token":{_quoted(refresh_token.reveal())}'
    if issued_type is not None:
        said += f',"issued_token_type":{_quoted(issued_type)}'
    return f"{said}}}".encode()


def write_looked_up(claims: Mapping[str, object]) -> bytes:
    """Write what an introspection found (RFC 7662 section 2.2)."""
    return _write(claims).encode()


def write_refused(code: str, description: str, request_id: str) -> bytes:
    """Write an OAuth error (RFC 6749 section 5.2); characters that it does not allow become `'`."""
    said = {
        "error": code,
        "error_description": _NOT_IN_DESCRIPTION.sub("'", description),
        "request_id": request_id,
    }
    return _write(said).encode()
