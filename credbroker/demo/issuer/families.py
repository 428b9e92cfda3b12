"""Refresh tokens: every value ever issued, the family it belongs to, and which value is alive.

A family has at most one live value. What the use of a dead one does is the issuer's
`RefreshPolicy`. A value shown by another client than its own kills the family, as at IAM.
Pure but for chance, which is passed in; `now` is in seconds since the epoch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from credbroker.demo.issuer.errors import OAuthError
from credbroker.demo.issuer.settings import DeadAnswer, RefreshPolicy

if TYPE_CHECKING:
    from credbroker.demo.issuer.consent import Grant
    from credbroker.demo.issuer.settings import IssuerSettings
    from credbroker.ports import Entropy


@dataclass(slots=True)
class Family:
    """One grant and the refresh token that stands for it now."""

    grant: Grant
    live: str | None = field(default=None, repr=False)
    expires_at: float = math.inf


class RefreshTokens:
    """All refresh tokens of one issuer."""

    def __init__(self, settings: IssuerSettings, entropy: Entropy) -> None:
        """Take lifetime, policy and the way of refusing from `settings`."""
        self._settings = settings
        self._entropy = entropy
        self._family_of: dict[str, Family] = {}

    def issued(self) -> list[str]:
        """Return every value ever given out, oldest first."""
        return list(self._family_of)

    def begin(self, grant: Grant, now: float) -> str:
        """Return the first value of a new family."""
        return self._next(Family(grant), now)

    def present(self, value: str, client_id: str, now: float) -> Family:
        """Return the family of a live value shown by its own client.

        Raises:
            OAuthError: the value is dead, or the client is not its own; what that kills is dead
                when the error is raised.
        """
        family = self._family_of.get(value)
        if family is None or not self.alive(value, now):
            if family and self._settings.refresh_policy is RefreshPolicy.ROTATE_REVOKE_FAMILY:
                family.live = None
            raise self._dead()
        if family.grant.client_id != client_id:
            family.live = None
            raise OAuthError(
                "invalid_client", "Client does not own the presented refresh token", 401
            )
        return family

    def advance(self, family: Family, now: float) -> str:
        """Return the value that stands for the family after a refresh."""
        if self._settings.refresh_policy is RefreshPolicy.REUSE and family.live:
            return family.live
        return self._next(family, now)

    def alive(self, value: str, now: float) -> bool:
        """Tell if a refresh with this value would be accepted."""
        family = self._family_of.get(value)
        return bool(family and family.live == value and now < family.expires_at)

    def find(self, value: str) -> Family | None:
        """Return the family a value belongs or belonged to."""
        return self._family_of.get(value)

    def revoke(self, value: str) -> None:
        """Kill the family of a value; an unknown one changes nothing (RFC 7009 section 2.2)."""
        family = self._family_of.get(value)
        if family:
            family.live = None

    def _next(self, family: Family, now: float) -> str:
        family.live = self._entropy.token(32)
        family.expires_at = now + (self._settings.lifetimes.refresh or math.inf)
        self._family_of[family.live] = family
        return family.live

    def _dead(self) -> OAuthError:
        if self._settings.dead_answer is DeadAnswer.IAM:
            return OAuthError("invalid_token", "Invalid refresh token.", 401)
        return OAuthError("invalid_grant", "The refresh token is invalid, expired or revoked.")
