"""What can come of using a refresh token (RFC 6749 sections 5 and 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from credbroker.domain.errors import CredbrokerError, GrantLost
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret


@dataclass(frozen=True)
class Renewed:
    """The issuer answered with an access token and perhaps a successor; lifetimes in seconds."""

    access_token: Secret
    refresh_token: Secret | None = None
    id_token: Secret | None = None
    scopes: ScopeSet | None = None
    expires_in: float | None = None
    refresh_expires_in: float | None = None


@dataclass(frozen=True)
class Dead:
    """The issuer said that this refresh token is no longer good."""

    error: GrantLost


@dataclass(frozen=True)
class NotActedOn:
    """The issuer's answer proves that the refresh token was not used up.

    `retry_after_seconds` is how long the issuer asked to be left alone (RFC 9110 section 10.2.3).
    """

    error: CredbrokerError
    retry_after_seconds: float | None = None


@dataclass(frozen=True)
class Unclear:
    """The post went out and nothing proves what became of it."""

    error: CredbrokerError
    retry_after_seconds: float | None = None


Outcome = Union[Renewed, Dead, NotActedOn, Unclear]
