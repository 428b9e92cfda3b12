"""Refresh tokens that we give to services, for their own tokens and those they exchange.

- One is `<id>.<generation>.<secret>`, of characters that may stand in a URL. The id follows from the
  token that was exchanged and from what was asked for, so that a repeated exchange finds the same one.
- Records keep hashes of secrets alone, and bind one to client, subject, scopes, audiences and end.
- Where a client rotates, the one before the current counts for `GRACE_SECONDS` after it was replaced,
  and gives the same successor again: an answer may have got lost. Shown later, it ends all of them
  (RFC 9700 section 4.14.2).
"""

from __future__ import annotations

import base64
import datetime
import enum
import hashlib
import hmac
import re
from dataclasses import dataclass, replace
from typing import Mapping, Optional, Sequence, Tuple

from credbroker.domain.attenuation import Right
from credbroker.domain.errors import TokenRefused
from credbroker.domain.secret import Secret

GRACE_SECONDS = 120.0

_SHOWN = re.compile(r"([A-Za-z0-9_-]{22})\.([1-9][0-9]{0,8})\.([A-Za-z0-9_-]{43})\Z")


@dataclass(frozen=True)
class RefreshText:
    """A refresh token of ours as its holder has it."""

    id: str
    generation: int
    secret: Secret

    @classmethod
    def parse(cls, text: str) -> Optional[RefreshText]:
        """Read a presented one; None for anything else, such as an access token."""
        match = _SHOWN.match(text)
        if match is None:
            return None
        secret = Secret("issued refresh token", match.group(3))
        return cls(match.group(1), int(match.group(2)), secret)

    def text(self) -> Secret:
        """Return it as it travels, still wrapped."""
        return self.secret.extended("issued refresh token", f"{self.id}.{self.generation}.")


class Use(enum.Enum):
    """What showing a refresh token comes to."""

    CURRENT = "current"
    AGAIN = "again"
    """The one before the current, soon after that was made."""
    REPLAY = "replay"
    """One that was replaced, too late: somebody else may have it."""


@dataclass(frozen=True)
class IssuedRefresh:
    """What is kept of one refresh token and its successors. Times are UTC.

    `actor` is the `act` claim of its access tokens, `holder` the client that it was given to, and
    `granted_to` the client that the exchanged token had been given to. `write_id` tells whose request
    began it.
    """

    id: str
    community: str
    holder: str
    subject: str
    granted_to: str
    subject_jti: str
    right: Right
    groups: Tuple[str, ...]
    actor: Optional[Mapping[str, object]]
    created_at: datetime.datetime
    ends_at: datetime.datetime
    generation: int
    secret_hash: str
    write_id: str
    previous_hash: str = ""
    ended_at: Optional[datetime.datetime] = None

    def check_alive(self, now: datetime.datetime) -> None:
        """Raise `TokenRefused` if it was ended or its time is over."""
        if self.ended_at is not None:
            raise TokenRefused("This refresh token was ended.")
        if now >= self.ends_at:
            raise TokenRefused("This refresh token has run out.")

    def is_current(self, shown: RefreshText) -> bool:
        """True if this is the one to show now."""
        if shown.generation != self.generation:
            return False
        return hmac.compare_digest(shown.secret.digest(), self.secret_hash)

    def use(self, shown: RefreshText, replaced_seconds: float) -> Use:
        """Return what showing it comes to, `replaced_seconds` after the last one was replaced.

        Raises `TokenRefused` for a secret that never was this one's, as far as the record can tell.
        """
        if self.is_current(shown):
            return Use.CURRENT
        known = shown.generation == self.generation - 1
        if known and hmac.compare_digest(shown.secret.digest(), self.previous_hash):
            return Use.AGAIN if replaced_seconds < GRACE_SECONDS else Use.REPLAY
        raise TokenRefused("This refresh token is not known here.")

    def rotated(self, secret_hash: str) -> IssuedRefresh:
        """Return the record with a successor of this hash."""
        return replace(
            self,
            generation=self.generation + 1,
            secret_hash=secret_hash,
            previous_hash=self.secret_hash,
        )

    def ended(self, now: datetime.datetime) -> IssuedRefresh:
        """Return the record as it is once it counts no more; the first end stays."""
        return self if self.ended_at is not None else replace(self, ended_at=now)


def id_of(
    community: str, holder: str, subject_jti: str, right: Right, groups: Sequence[str] = ()
) -> str:
    """Return the id, 22 characters, of what this client gets for that token and right.

    The order in which scopes and audiences are named does not matter; that of the groups does, of
    which the first is a token's own.
    """
    scopes, audiences = sorted(right.scopes.texts()), sorted(set(right.audiences))
    counts = (str(len(scopes)), str(len(audiences)))
    digest = hashlib.sha256()
    for part in (community, holder, subject_jti, *counts, *scopes, *audiences, *groups):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return base64.urlsafe_b64encode(digest.digest()[:16]).rstrip(b"=").decode()
