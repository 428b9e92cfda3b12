"""The native API's messages that ask for one token: all that a job needs, and loaded without the rest.

What `wire.native` says of messages holds here.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import List, Optional

from credbroker.domain.secret import Secret
from credbroker.wire.message import ACCESS_TOKEN, Message, Request

TOKENS = "/api/v1/tokens"


@dataclass(frozen=True)
class AskToken(Request):
    """Ask for an access token; absent scopes or audiences mean all that the lease allows.

    Under the lease of a job with `starts`, `next_hash` names the secret that is shown the next time:
    its SHA-256 in hex. The same shown secret with the same `next_hash` is the same request. A next
    secret is 43 characters of base64url: first 16 hex digits of the SHA-256 of `mark of ` and the
    first secret, by which it is recognised when it is over; all others are chance.
    """

    scopes: Optional[List[str]] = None
    audiences: Optional[List[str]] = None
    minimum_seconds: int = 0
    next_hash: Optional[str] = None

    @classmethod
    def read(cls, body: bytes) -> AskToken:
        """Read the request body; an empty one asks for all that the lease allows."""
        return super().read(body or b"{}")


@dataclass(frozen=True)
class TokenGiven(Message):
    """An access token, and when to come back for the next one."""

    access_token: Secret = field(metadata=ACCESS_TOKEN)
    issuer: str
    issuer_url: str
    scopes: List[str]
    audiences: List[str]
    jti: str
    expires_at: datetime.datetime
    renew_at: datetime.datetime
    token_type: str = "Bearer"  # noqa: S105 - the name of a kind, no secret
    """The one type there is (RFC 6750)."""
    next_taken: Optional[bool] = None
    """Where a next secret was named: whether that is the one to show from now on."""
