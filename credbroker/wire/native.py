"""The native API's messages: one dataclass each, with how it is written and read.

Server and clients share this file, so the two ends cannot drift apart; the OpenAPI document is made
from the same dataclasses. Scopes and audiences travel as lists of texts, times as RFC 3339 in UTC,
durations as whole seconds, lease tokens only ever in the `Authorization` header or an answer body.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import List, Optional

from credbroker.domain.secret import Secret
from credbroker.wire.fields import (
    Fields,
    parse_object,
    write_instant,
    write_object,
    write_optional_instant,
)

LOGINS = "/api/v1/logins"
LOGIN_POLL = "/api/v1/logins/self/poll"
TOKENS = "/api/v1/tokens"
LEASES = "/api/v1/leases"
LEASE_SELF = "/api/v1/leases/self"
GRANT_SELF = "/api/v1/grants/self"
ISSUERS = "/api/v1/issuers"
OPENAPI = "/api/v1/openapi.json"


@dataclass(frozen=True)
class StartLogin:
    """Ask to log in at an issuer in a role; an absent role means the issuer's first one."""

    issuer: str
    role: Optional[str] = None

    def write(self) -> bytes:
        """Write the request body."""
        return write_object({"issuer": self.issuer, "role": self.role})

    @classmethod
    def read(cls, body: bytes) -> StartLogin:
        """Read the request body; raise `Malformed`."""
        fields = parse_object(body, "The request").only({"issuer", "role"})
        return cls(fields.text("issuer"), fields.optional("role", fields.text))


@dataclass(frozen=True)
class LoginStarted:
    """What to show the person, and the token that polls: it becomes the lease on success."""

    login_token: Secret
    issuer: str
    role: str
    scopes: List[str]
    user_code: str
    verification_uri: str
    expires_at: datetime.datetime
    interval_seconds: float
    verification_uri_complete: Optional[str] = None

    def write(self) -> bytes:
        """Write the answer body."""
        return write_object(
            {
                "login_token": self.login_token.reveal(),
                "issuer": self.issuer,
                "role": self.role,
                "scopes": self.scopes,
                "user_code": self.user_code,
                "verification_uri": self.verification_uri,
                "verification_uri_complete": self.verification_uri_complete,
                "expires_at": write_instant(self.expires_at),
                "interval_seconds": self.interval_seconds,
            }
        )

    @classmethod
    def read(cls, body: bytes) -> LoginStarted:
        """Read the answer body; raise `Malformed`."""
        fields = parse_object(body, "The broker's answer")
        return cls(
            login_token=Secret("lease token", fields.text("login_token")),
            issuer=fields.text("issuer"),
            role=fields.text("role"),
            scopes=fields.texts("scopes"),
            user_code=fields.text("user_code"),
            verification_uri=fields.text("verification_uri"),
            verification_uri_complete=fields.optional("verification_uri_complete", fields.text),
            expires_at=fields.instant("expires_at"),
            interval_seconds=fields.number("interval_seconds"),
        )


@dataclass(frozen=True)
class LoginState:
    """Whether the login is done; if it is, who logged in and until when the lease lasts."""

    done: bool
    interval_seconds: float
    credkey: Optional[str] = None
    lease_ends_at: Optional[datetime.datetime] = None
    issuer_url: Optional[str] = None

    def write(self) -> bytes:
        """Write the answer body."""
        return write_object(
            {
                "done": self.done,
                "interval_seconds": self.interval_seconds,
                "credkey": self.credkey,
                "lease_ends_at": write_optional_instant(self.lease_ends_at),
                "issuer_url": self.issuer_url,
            }
        )

    @classmethod
    def read(cls, body: bytes) -> LoginState:
        """Read the answer body; raise `Malformed`."""
        fields = parse_object(body, "The broker's answer")
        return cls(
            done=fields.flag("done"),
            interval_seconds=fields.number("interval_seconds"),
            credkey=fields.optional("credkey", fields.text),
            lease_ends_at=fields.optional("lease_ends_at", fields.instant),
            issuer_url=fields.optional("issuer_url", fields.text),
        )


@dataclass(frozen=True)
class AskToken:
    """Ask for an access token; absent scopes or audiences mean all that the lease allows."""

    scopes: Optional[List[str]] = None
    audiences: Optional[List[str]] = None
    minimum_seconds: int = 0

    def write(self) -> bytes:
        """Write the request body."""
        return write_object(
            {
                "scopes": self.scopes,
                "audiences": self.audiences,
                "minimum_seconds": self.minimum_seconds,
            }
        )

    @classmethod
    def read(cls, body: bytes) -> AskToken:
        """Read the request body; raise `Malformed`."""
        known = {"scopes", "audiences", "minimum_seconds"}
        fields = parse_object(body or b"{}", "The request").only(known)
        return cls(
            scopes=fields.optional("scopes", fields.texts),
            audiences=fields.optional("audiences", fields.texts),
            minimum_seconds=int(fields.optional("minimum_seconds", fields.number) or 0),
        )


@dataclass(frozen=True)
class TokenGiven:
    """An access token, and when to come back for the next one."""

    access_token: Secret
    issuer: str
    issuer_url: str
    scopes: List[str]
    audiences: List[str]
    jti: str
    expires_at: datetime.datetime
    renew_at: datetime.datetime
    token_type: str = "Bearer"  # noqa: S105 - the name of a kind, no secret
    """The one type there is (RFC 6750)."""

    def write(self) -> bytes:
        """Write the answer body."""
        return write_object(
            {
                "access_token": self.access_token.reveal(),
                "token_type": self.token_type,
                "issuer": self.issuer,
                "issuer_url": self.issuer_url,
                "scopes": self.scopes,
                "audiences": self.audiences,
                "jti": self.jti,
                "expires_at": write_instant(self.expires_at),
                "renew_at": write_instant(self.renew_at),
            }
        )

    @classmethod
    def read(cls, body: bytes) -> TokenGiven:
        """Read the answer body; raise `Malformed`."""
        fields = parse_object(body, "The broker's answer")
        return cls(
            access_token=Secret("access token", fields.text("access_token")),
            issuer=fields.text("issuer"),
            issuer_url=fields.text("issuer_url"),
            scopes=fields.texts("scopes"),
            audiences=fields.texts("audiences"),
            jti=fields.text("jti"),
            expires_at=fields.instant("expires_at"),
            renew_at=fields.instant("renew_at"),
        )


@dataclass(frozen=True)
class AskLease:
    """Ask for a job's own narrow lease, to last `lifetime_seconds`."""

    job: str
    scopes: List[str]
    audiences: List[str]
    lifetime_seconds: int

    def write(self) -> bytes:
        """Write the request body."""
        return write_object(
            {
                "job": self.job,
                "scopes": self.scopes,
                "audiences": self.audiences,
                "lifetime_seconds": self.lifetime_seconds,
            }
        )

    @classmethod
    def read(cls, body: bytes) -> AskLease:
        """Read the request body; raise `Malformed`."""
        known = {"job", "scopes", "audiences", "lifetime_seconds"}
        fields = parse_object(body, "The request").only(known)
        return cls(
            job=fields.text("job"),
            scopes=fields.texts("scopes"),
            audiences=fields.texts("audiences"),
            lifetime_seconds=int(fields.number("lifetime_seconds")),
        )


@dataclass(frozen=True)
class LeaseGiven:
    """A new lease: its token is shown here once and never again."""

    lease_token: Secret
    lease_id: str
    job: str
    ends_at: datetime.datetime

    def write(self) -> bytes:
        """Write the answer body."""
        return write_object(
            {
                "lease_token": self.lease_token.reveal(),
                "lease_id": self.lease_id,
                "job": self.job,
                "ends_at": write_instant(self.ends_at),
            }
        )

    @classmethod
    def read(cls, body: bytes) -> LeaseGiven:
        """Read the answer body; raise `Malformed`."""
        fields = parse_object(body, "The broker's answer")
        return cls(
            lease_token=Secret("lease token", fields.text("lease_token")),
            lease_id=fields.text("lease_id"),
            job=fields.text("job"),
            ends_at=fields.instant("ends_at"),
        )


@dataclass(frozen=True)
class LeaseStatus:
    """How a lease and the grant behind it stand. `grant_state` is one of the words of the glossary."""

    issuer: str
    role: str
    credkey: str
    scopes: List[str]
    lease_ends_at: datetime.datetime
    grant_state: str
    last_refresh_at: datetime.datetime
    job: Optional[str] = None
    grant_ends_at: Optional[datetime.datetime] = None

    def write(self) -> bytes:
        """Write the answer body."""
        return write_object(
            {
                "issuer": self.issuer,
                "role": self.role,
                "credkey": self.credkey,
                "scopes": self.scopes,
                "lease_ends_at": write_instant(self.lease_ends_at),
                "grant_state": self.grant_state,
                "last_refresh_at": write_instant(self.last_refresh_at),
                "job": self.job,
                "grant_ends_at": write_optional_instant(self.grant_ends_at),
            }
        )

    @classmethod
    def read(cls, body: bytes) -> LeaseStatus:
        """Read the answer body; raise `Malformed`."""
        fields = parse_object(body, "The broker's answer")
        return cls(
            issuer=fields.text("issuer"),
            role=fields.text("role"),
            credkey=fields.text("credkey"),
            scopes=fields.texts("scopes"),
            lease_ends_at=fields.instant("lease_ends_at"),
            grant_state=fields.text("grant_state"),
            last_refresh_at=fields.instant("last_refresh_at"),
            job=fields.optional("job", fields.text),
            grant_ends_at=fields.optional("grant_ends_at", fields.instant),
        )


@dataclass(frozen=True)
class LoggedOut:
    """The grant is revoked and gone; access tokens already given out last until `valid_until`."""

    valid_until: Optional[datetime.datetime] = None
    revoked: bool = True
    """False if the issuer offers no way to revoke; the refresh token is forgotten all the same."""

    def write(self) -> bytes:
        """Write the answer body."""
        return write_object(
            {"valid_until": write_optional_instant(self.valid_until), "revoked": self.revoked}
        )

    @classmethod
    def read(cls, body: bytes) -> LoggedOut:
        """Read the answer body; raise `Malformed`."""
        fields = parse_object(body, "The broker's answer")
        return cls(fields.optional("valid_until", fields.instant), fields.flag("revoked"))


@dataclass(frozen=True)
class IssuerOffered:
    """One issuer this broker serves, and the roles one can log in with, the default first."""

    name: str
    roles: List[str]


@dataclass(frozen=True)
class IssuersOffered:
    """All issuers this broker serves."""

    issuers: List[IssuerOffered]

    def write(self) -> bytes:
        """Write the answer body."""
        return write_object({"issuers": [vars(issuer) for issuer in self.issuers]})

    @classmethod
    def read(cls, body: bytes) -> IssuersOffered:
        """Read the answer body; raise `Malformed`."""
        fields: Fields = parse_object(body, "The broker's answer")
        return cls(
            [
                IssuerOffered(one.text("name"), one.texts("roles"))
                for one in fields.objects("issuers")
            ]
        )
