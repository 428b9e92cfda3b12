"""Refresh tokens: every value ever issued, the family it belongs to, and which value is alive.

A family has one live value, and for the length of the grace the one before it is taken too. What
the use of a dead one does is the issuer's `RefreshPolicy`. A value shown by another client than its
own kills the family, as at IAM. The books can be copied and put back, as a database can; which
values were given out is remembered over that. Pure but for chance, which is passed in; `now` is in
seconds since the epoch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from credbroker.demo.issuer.errors import OAuthError
from credbroker.demo.issuer.settings import DeadAnswer, RefreshPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credbroker.demo.issuer.consent import Grant
    from credbroker.demo.issuer.settings import IssuerSettings
    from credbroker.ports import Entropy

_REVOKING = {RefreshPolicy.ROTATE_REVOKE_FAMILY, RefreshPolicy.GRACE}


@dataclass(frozen=True, slots=True)
class Family:
    """One grant and the refresh token that stands for it now."""

    number: int
    grant: Grant
    live: str | None = field(default=None, repr=False)
    previous: str | None = field(default=None, repr=False)
    """The value before the live one."""
    rotated_at: float = -math.inf
    expires_at: float = math.inf


@dataclass(frozen=True, slots=True)
class Books:
    """A copy of what an issuer knew of refresh tokens at one moment."""

    families: tuple[Family, ...] = field(repr=False)
    number_of: Mapping[str, int] = field(repr=False)


class RefreshTokens:
    """All refresh tokens of one issuer; `policy` may be changed at any time."""

    def __init__(self, settings: IssuerSettings, entropy: Entropy) -> None:
        """Take lifetime, grace, first policy and the way of refusing from `settings`."""
        self.policy = settings.refresh_policy
        self._settings = settings
        self._entropy = entropy
        self._families: list[Family] = []
        self._number_of: dict[str, int] = {}
        self._issued: list[str] = []

    def issued(self) -> list[str]:
        """Return every value ever given out, oldest first."""
        return list(self._issued)

    def begin(self, grant: Grant, now: float) -> str:
        """Return the first value of a new family."""
        family = Family(len(self._families), grant)
        self._families.append(family)
        return self._next(family, now)

    def present(self, value: str, client_id: str, now: float) -> Family:
        """Return the family of a live value shown by its own client.

        Raises:
            OAuthError: the value is dead, or the client is not its own; what that kills is dead
                when the error is raised.
        """
        family = self.find(value)
        if family is None or not self.alive(value, now):
            if self.policy in _REVOKING:
                self.revoke(value)
            raise self._dead()
        if family.grant.client_id != client_id:
            self.revoke(value)
            raise OAuthError(
                "invalid_client", "Client does not own the presented refresh token", 401
            )
        return family

    def advance(self, value: str, now: float) -> str:
        """Return what stands for a family after a refresh with this value, which is alive."""
        family = self._families[self._number_of[value]]
        again = value != family.live or self.policy is RefreshPolicy.REUSE
        return family.live if again and family.live else self._next(family, now)

    def alive(self, value: str, now: float) -> bool:
        """Tell if a refresh with this value would be accepted."""
        family = self.find(value)
        if family is None or family.live is None or now >= family.expires_at:
            return False
        return value == family.live or (value == family.previous and self._in_grace(family, now))

    def find(self, value: str) -> Family | None:
        """Return the family a value belongs or belonged to."""
        number = self._number_of.get(value)
        return None if number is None else self._families[number]

    def revoke(self, value: str) -> None:
        """Kill the family of a value; an unknown one changes nothing (RFC 7009 section 2.2)."""
        family = self.find(value)
        if family:
            self._families[family.number] = replace(family, live=None)

    def copy(self) -> Books:
        """Return what is known now, as a value."""
        return Books(tuple(self._families), dict(self._number_of))

    def put_back(self, books: Books) -> None:
        """Know what was known when `books` were copied, and nothing else."""
        self._families, self._number_of = list(books.families), dict(books.number_of)

    def _in_grace(self, family: Family, now: float) -> bool:
        in_time = now < family.rotated_at + self._settings.grace_seconds
        return self.policy is RefreshPolicy.GRACE and in_time

    def _next(self, family: Family, now: float) -> str:
        value = self._entropy.token(32)
        self._families[family.number] = replace(
            family,
            live=value,
            previous=family.live,
            rotated_at=now,
            expires_at=now + (self._settings.lifetimes.refresh or math.inf),
        )
        self._number_of[value] = family.number
        self._issued.append(value)
        return value

    def _dead(self) -> OAuthError:
        if self._settings.dead_answer is DeadAnswer.IAM:
            return OAuthError("invalid_token", "Invalid refresh token.", 401)
        return OAuthError("invalid_grant", "The refresh token is invalid, expired or revoked.")
