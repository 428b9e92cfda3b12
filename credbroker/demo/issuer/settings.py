"""What a development issuer is set up with: clients, people, lifetimes, its rule for rotation.

All lifetimes are in seconds. Secrets and passwords never show in a `repr`.
"""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass, field
from typing import Literal

ANY_AUDIENCE = "https://wlcg.cern.ch/jwt/v1/any"
"""The audience of a token for which nobody asked an audience (WLCG profile 1.3, section on `aud`)."""

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
"""The grant type of RFC 8628."""

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a kind's name
"""The grant type of RFC 8693."""

Algorithm = Literal["RS256", "ES256"]

ALL_GRANTS = (DEVICE_CODE, "authorization_code", "refresh_token", "client_credentials")
"""What a client may use; `TOKEN_EXCHANGE` is given to some clients only, as at IAM."""

USUAL_SCOPES = (
    "openid",
    "profile",
    "email",
    "offline_access",
    "wlcg",
    "wlcg.groups",
    "storage.read:/",
    "storage.create:/",
    "storage.modify:/",
    "storage.stage:/",
    "storage.poll:/",
    "compute.read",
    "compute.create",
    "compute.modify",
    "compute.cancel",
)


class RefreshPolicy(enum.Enum):
    """What a refresh does to the refresh token."""

    REUSE = "reuse"
    """The same value comes back; its end does not move."""
    ROTATE = "rotate"
    """A new value with a full life; the old one is dead at once and its reuse hurts nothing else."""
    ROTATE_REVOKE_FAMILY = "rotate_revoke_family"
    """As `ROTATE`, and the reuse of an old value kills every later one (RFC 9700 section 4.14.2)."""
    GRACE = "grace"
    """As `ROTATE_REVOKE_FAMILY`, but the value before the live one gives it again for a time."""


class DeadAnswer(enum.Enum):
    """How a dead refresh token is refused."""

    IAM = "iam"
    """401 `invalid_token`."""
    STANDARD = "standard"
    """400 `invalid_grant` (RFC 6749 section 5.2)."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long things live, in seconds."""

    access: int = 3600
    refresh: int = 30 * 86400
    """0 means for ever, as at IAM."""
    identity: int = 600
    device_code: int = 600
    code: int = 60


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can sign in."""

    name: str
    password: str = field(repr=False)
    groups: tuple[str, ...] = ()
    """Default groups, in the order `wlcg.groups` lists them."""
    optional_groups: tuple[str, ...] = ()
    """Groups that come only when asked for by name."""
    sub: str = ""
    mail: str = ""
    """A verified address, told where the scope `email` is granted."""

    @property
    def subject(self) -> str:
        """Return the `sub` claim: the one configured, else a UUID that follows from the name."""
        return self.sub or str(uuid.uuid5(uuid.NAMESPACE_URL, self.name))


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client; without a secret it is a public one."""

    client_id: str
    secret: str | None = field(default=None, repr=False)
    redirect_uris: tuple[str, ...] = ()
    scopes: tuple[str, ...] = USUAL_SCOPES
    """What it may ask for: these items and, for storage, the paths below them."""
    grants: tuple[str, ...] = ALL_GRANTS
    algorithm: Algorithm | None = None
    """Signs this client's tokens; None takes the issuer's."""


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """One issuer."""

    clients: tuple[Client, ...]
    people: tuple[Person, ...]
    url: str | None = None
    """The issuer string; None makes it `scheme://host:port/` once the port is known."""
    lifetimes: Lifetimes = Lifetimes()
    refresh_policy: RefreshPolicy = RefreshPolicy.ROTATE
    grace_seconds: float = 60.0
    """How long after rotating the old value is still taken, under `RefreshPolicy.GRACE`."""
    dead_answer: DeadAnswer = DeadAnswer.IAM
    algorithm: Algorithm = "RS256"
    interval: int | None = None
    """Seconds between device polls as told to the client; None leaves it out, as IAM does."""
    enforce_interval: bool = False
    """Answer `slow_down` to who polls faster than `interval` (5 s if None), RFC 8628 section 3.5."""
    report_denial: bool = False
    """Tell a polling client `access_denied` when the person refuses; IAM lets it wait."""
