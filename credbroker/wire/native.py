"""The native API's messages: one dataclass each.

Server and clients share this file, so the two ends cannot drift apart; the OpenAPI document is made
from the same dataclasses. Scopes and audiences travel as lists of texts, times as RFC 3339 in UTC,
durations as whole seconds. A lease token travels in the `Authorization` header, in an answer's body,
and, where each entry of a batch has its own, in the request's.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import List, Optional

from credbroker.domain.leases import LeaseToken
from credbroker.domain.secret import Secret
from credbroker.wire import asking
from credbroker.wire.message import ACCESS_TOKEN, LEASE_TOKEN, Message, Request

AskToken = asking.AskToken
TokenGiven = asking.TokenGiven

LOGINS = "/api/v1/logins"
LOGIN_POLL = "/api/v1/logins/self/poll"
TOKENS = asking.TOKENS
TOKENS_BATCH = "/api/v1/tokens:batch"
TOKENS_INSPECT = "/api/v1/tokens:inspect"
LEASES = "/api/v1/leases"
LEASE_SELF = "/api/v1/leases/self"
GRANT_SELF = "/api/v1/grants/self"
ISSUERS = "/api/v1/issuers"
CONTAINMENT = "/api/v1/containment"
OPENAPI = "/api/v1/openapi.json"

MOST_IN_A_BATCH = 10_000


@dataclass(frozen=True)
class StartLogin(Request):
    """Ask to log in at an issuer in a role; an absent role means the issuer's first one."""

    issuer: str
    role: Optional[str] = None


@dataclass(frozen=True)
class LoginStarted(Message):
    """What to show the person, and the token that polls: it becomes the lease on success."""

    login_token: Secret = field(metadata=LEASE_TOKEN)
    issuer: str
    role: str
    scopes: List[str]
    user_code: str
    verification_uri: str
    expires_at: datetime.datetime
    interval_seconds: float
    verification_uri_complete: Optional[str] = None


@dataclass(frozen=True)
class LoginState(Message):
    """Whether the login is done; if it is, who logged in and until when the lease lasts."""

    done: bool
    interval_seconds: float
    credkey: Optional[str] = None
    lease_ends_at: Optional[datetime.datetime] = None
    issuer_url: Optional[str] = None


@dataclass(frozen=True)
class AskUnder(Request):
    """Ask for one access token of a batch, under a lease of its own; the rest as in `AskToken`.

    `about` names a local user: who holds the lease must be somebody who may have tokens signed about
    the users of their host.
    """

    lease_token: Secret = field(metadata=LEASE_TOKEN)
    scopes: Optional[List[str]] = None
    audiences: Optional[List[str]] = None
    minimum_seconds: int = 0
    about: Optional[str] = None

    def shown(self) -> LeaseToken:
        """Return the lease that the entry shows. Raises `LeaseUnknown` if it is of another form."""
        return LeaseToken.parse(self.lease_token.reveal())

    @property
    def lease_id(self) -> str:
        """Return the public half of the lease token, whatever its form."""
        return self.lease_token.reveal().partition(".")[0]


@dataclass(frozen=True)
class AskTokens(Request):
    """Ask for up to `MOST_IN_A_BATCH` access tokens, each under its own lease."""

    entries: List[AskUnder]


@dataclass(frozen=True)
class Problem(Message):
    """An error as `wire.problem` tells it: the stable word, a sentence, what to do."""

    error: str
    message: str
    remedy: Optional[str] = None
    request_id: Optional[str] = None


@dataclass(frozen=True)
class TokenOrProblem(Message):
    """What became of one entry: exactly one of token and problem is there.

    `lease_id` is the public half of the entry's lease token: who mixes entries up is found out by it.
    """

    given: Optional[TokenGiven] = None
    problem: Optional[Problem] = None
    lease_id: Optional[str] = None


@dataclass(frozen=True)
class TokenLine(TokenOrProblem):
    """What became of entry `n`, counted from 0: a line of the answer to who takes it in lines."""

    n: int = 0


@dataclass(frozen=True)
class TokensGiven(Message):
    """The answer to a batch, entry by entry in the order in which they were asked."""

    entries: List[TokenOrProblem]


@dataclass(frozen=True)
class AskInspect(Request):
    """Ask whether an access token is its issuer's; of the issuers that this broker knows."""

    access_token: Secret = field(metadata=ACCESS_TOKEN)


@dataclass(frozen=True)
class Inspected(Message):
    """Whether a token is its issuer's, and why: by the issuer's keys, whatever the token may do."""

    verified: bool
    why: str


@dataclass(frozen=True)
class AskLease(Request):
    """Ask for a job's own narrow lease, to last `lifetime_seconds`.

    With `starts` the job may start so often with the secret that it gets, and each request for a
    token names the next secret; absent, one secret is good until the lease ends.
    """

    job: str
    scopes: List[str]
    audiences: List[str]
    lifetime_seconds: int
    starts: Optional[int] = None


@dataclass(frozen=True)
class LeaseGiven(Message):
    """A new lease: its token is shown here once and never again."""

    lease_token: Secret = field(metadata=LEASE_TOKEN)
    lease_id: str
    job: str
    ends_at: datetime.datetime


@dataclass(frozen=True)
class JobStart(Message):
    """A job started with its first secret, at that time, from that address."""

    at: datetime.datetime
    address: str


@dataclass(frozen=True)
class LeaseStatus(Message):
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
    log_in_before: Optional[datetime.datetime] = None
    """When the grant ends, once it is to be seen that no refresh will make it last longer."""
    trouble: Optional[str] = None
    """Why nothing new is fetched from the issuer now, in sentences."""
    tokens_last_until: Optional[datetime.datetime] = None
    """While there is trouble: when the first token of the issuer's expires that is in use."""
    narrowing: Optional[str] = None
    """What narrower tokens cost, in a sentence, where each takes a use of the refresh token."""
    starts: Optional[List[JobStart]] = None
    """Where the secret of a job's lease is used once: when the job was started."""
    most_starts: Optional[int] = None
    """And how often it may be, in all."""
    last_error: Optional[str] = None
    """Why the grant cannot be used as it is, in a sentence; absent while it can."""
    remedy: Optional[str] = None
    """And what mends that."""


@dataclass(frozen=True)
class LoggedOut(Message):
    """The grant is gone; access tokens already given out last until `valid_until`."""

    revoked: bool
    """False if the issuer offers no way to revoke; the refresh token is forgotten all the same."""
    valid_until: Optional[datetime.datetime] = None


@dataclass(frozen=True)
class IssuerOffered(Message):
    """One issuer this broker serves, and the roles one can log in with, the default first."""

    name: str
    roles: List[str]


@dataclass(frozen=True)
class IssuersOffered(Message):
    """All issuers this broker serves."""

    issuers: List[IssuerOffered]


@dataclass(frozen=True)
class AskContainment(Request):
    """Ask, as an operator, to end what bears a name: a lease, person, job, host or issuer.

    Of what this broker signs itself it is a client, or one token.

    Over is what was made before `before`, by default until now. With `dry_run` nothing is done.
    """

    kind: str
    name: str
    reason: str
    before: Optional[datetime.datetime] = None
    dry_run: bool = False


@dataclass(frozen=True)
class ContainmentDone(Message):
    """What was made before `before` is over at every replica by `holds_by`; so many leases were hit.

    `people` are some of those whose leases they are. Unless `all_counted` there may be more.
    """

    kind: str
    name: str
    before: datetime.datetime
    holds_by: datetime.datetime
    dry_run: bool
    leases: int
    jobs: int
    people: List[str]
    all_counted: bool


@dataclass(frozen=True)
class Contained(Message):
    """Something that is contained: what was made before `before` is over; remembered until then."""

    kind: str
    name: str
    before: datetime.datetime
    remembered_until: datetime.datetime


@dataclass(frozen=True)
class ContainedNow(Message):
    """All that is contained."""

    contained: List[Contained]


def write_line(n: int, answer: TokenOrProblem) -> str:
    """Write the line for entry `n` of a batch, with its newline."""
    line = TokenLine(answer.given, answer.problem, answer.lease_id, n)
    return line.write().decode() + "\n"
