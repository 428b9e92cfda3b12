"""A device login that waits for its person (RFC 8628)."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from typing import Union

from credbroker.domain.errors import CredbrokerError
from credbroker.domain.outcomes import Renewed
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret

DEFAULT_INTERVAL_SECONDS = 5.0
SLOW_DOWN_SECONDS = 5.0
DEFAULT_LIFETIME_SECONDS = 600.0


@dataclass(frozen=True)
class DeviceStart:
    """The issuer's answer to the start of a device login; lifetimes in seconds."""

    device_code: Secret
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_in: float
    interval_seconds: float


@dataclass(frozen=True)
class StillPending:
    """The person has not confirmed yet; `slower` if the issuer asked for a longer interval."""

    slower: bool = False


@dataclass(frozen=True)
class LoginOver:
    """The login can no longer succeed."""

    error: CredbrokerError


LoginOutcome = Union[Renewed, LoginOver]
PollOutcome = Union[LoginOutcome, StillPending]


@dataclass(frozen=True)
class PendingLogin:
    """The record of a login that waits. Its id and secret become the lease once it succeeds."""

    id: str
    secret_hash: str
    issuer: str
    role: str
    scopes: ScopeSet
    device_code: Secret | None
    interval_seconds: float
    started_at: datetime.datetime
    expires_at: datetime.datetime
    origin: str
    """The address that asked, for the audit trail."""
    note: str = ""
    """Why it is over, in one sentence; empty while it waits."""


def slower(login: PendingLogin) -> PendingLogin:
    """Return the login with the longer interval that `slow_down` asks for (RFC 8628 3.5)."""
    return replace(login, interval_seconds=login.interval_seconds + SLOW_DOWN_SECONDS)


def over(login: PendingLogin, sentence: str) -> PendingLogin:
    """Return the login as finished, without its device code."""
    return replace(login, device_code=None, note=sentence)
