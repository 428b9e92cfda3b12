"""What the broker needs from outside, as Protocols: the only sockets in its wall.

Each port has a contract suite in `tests/contract` that every implementation passes, the fakes
included. Adapters in `stores`, `issuers`, `telemetry` and `host` satisfy these by shape; none
imports another.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from credbroker.domain.attenuation import Right
from credbroker.domain.device import DeviceStart, LoginOutcome, PollOutcome
from credbroker.domain.grants import Grant
from credbroker.domain.outcomes import Outcome
from credbroker.domain.policy import Asked
from credbroker.domain.rotation import Rule
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.ssh_keys import SshKey
from credbroker.domain.tokens import AccessToken

T = TypeVar("T")

BeforeFirstByte = Callable[[], Awaitable[None]]
"""Run once the connection stands and before anything is sent; an error from it stops the send."""


class Clock(Protocol):
    """Time. `now` is for people and tokens; `elapsed` is for deadlines."""

    def now(self) -> datetime.datetime:
        """Return the wall-clock time, aware, in UTC."""

    def elapsed(self) -> float:
        """Return seconds since boot; counts time asleep, never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait, letting other tasks run."""


class Entropy(Protocol):
    """Chance."""

    def token(self, size: int) -> str:
        """Return `size` random bytes as unpadded base64url text."""

    def fraction(self) -> float:
        """Return a number in [0, 1)."""


class Waypoint(enum.Enum):
    """A named point on the way of a refresh or a login."""

    CONNECTED = "connected"
    """The connection to the issuer stands; nothing is claimed."""
    CLAIMED = "claimed"
    """The claim is stored; no byte has gone out."""
    ANSWERED = "answered"
    """The issuer's answer is read; nothing of it is kept anywhere yet."""
    SPOOLED = "spooled"
    """The successor lies in the spool and not yet in Vault."""
    STORED = "stored"
    """What followed from the answer is stored; nobody has the access token yet."""
    SETTLING = "settling"
    """A claim that somebody left behind is about to be marked."""
    HANDING_IN = "handing_in"
    """A spooled successor is about to be stored."""
    LOGIN_ANSWERED = "login_answered"
    """The issuer has answered a login; the grant is not stored yet."""
    LOGIN_STORED = "login_stored"
    """A new login's grant is stored; its lease is not."""


class Waypoints(Protocol):
    """Where a test may stop or kill this process; the product's own does nothing."""

    async def reach(self, point: Waypoint) -> None:
        """Say that this point is reached."""


@dataclass(frozen=True, slots=True)
class Stored(Generic[T]):
    """A record as the store has it; `age_seconds` since it was written, by the store's clock."""

    value: T
    version: int
    age_seconds: float


class StaleVersionError(Exception):
    """A write named a version that is no longer the newest; nothing was written."""


class RecordStore(Protocol[T]):
    """Records of one kind, each under one path segment, written by check-and-set only."""

    async def get(self, segment: str) -> Stored[T] | None:
        """Return the record, or None if none was ever written.

        Reads what the active node has. Raises `StoreUnavailable`, `StoreMisconfigured`.
        """

    async def put(self, segment: str, value: T, expected_version: int) -> int:
        """Write if the newest version is `expected_version` (0 = none yet); return the new one.

        The record is durable when this returns. Raises `StaleVersionError`; `StoreUnclear` if the
        write may or may not have happened; `StoreUnavailable` if it certainly did not.
        """

    async def segments(self, after: str = "", limit: int = 5000) -> list[str]:
        """Return the segments that have records, in order, from the first one past `after`.

        At most `limit`, or all where the store knows no pages; an empty list says that there are
        no more. Raises `StoreUnavailable`, `StoreMisconfigured`.
        """


class Spool(Protocol):
    """Where successors lie, sealed, that Vault could not take yet.

    Sealed to a public key whose private half is in Vault alone, so what lies here is of use to
    nobody without Vault. Room is set aside beforehand: a full disk does not matter.
    """

    async def keep(self, grant: Grant) -> str:
        """Seal a record; it is on disk when this returns its entry's name. Raises `SpoolFull`."""

    async def drop(self, entry: str) -> None:
        """Wipe an entry whose record, or a later one, is in Vault."""

    async def left(self) -> Mapping[str, Grant]:
        """Open what an earlier or another process of this host left behind, by entry name.

        Asks Vault for the private key only if there is anything. Entries that a living process
        still works on are not in it. Raises `StoreUnavailable` kinds.
        """


class LoginSeal(Protocol):
    """Seals what of a login travels through the hands of clients and browsers.

    Every replica over one Vault opens what another sealed; nobody else can. What it derives or opens
    makes no lease and no grant by itself.
    """

    def seal(self, purpose: str, content: bytes) -> str:
        """Return the content encrypted and bound to `purpose`, as base64url text."""

    def open(self, purpose: str, sealed: str) -> bytes:
        """Return the content. Raises `Malformed` if it was changed, or sealed for another purpose."""

    def secret(self, purpose: str, of: str) -> Secret:
        """Return a secret of 43 characters that belongs to `purpose` and `of`, the same each time."""


class KerberosAcceptor(Protocol):
    """Checks Kerberos tickets for one keytab."""

    async def accept(self, token: bytes) -> str:
        """Return the principal, with realm, that a client's GSS token proves (RFC 4121, RFC 4178).

        Raises `LoginDenied`, also for one shown before, `Malformed` for none, `LocalFileUnfit`.
        """


class SshSignatures(Protocol):
    """Tells whether an ssh key signed something."""

    def verify(self, key: SshKey, signature: bytes, signed: bytes) -> bool:
        """Return whether `signature`, without its leading name, is the key's, as far as known here."""


class LocalMint(Protocol):
    """Signs tokens for people here, where services trust our own key.

    A `proof` is the verified token that came with the last refresh at the person's own issuer.
    """

    @property
    def url(self) -> str:
        """The exact issuer string of the tokens."""

    def most(self, proof: AccessToken, asked: Asked, about: str | None = None) -> Right:
        """Return the most that may be signed for the proof's person at the audiences asked for.

        With `about` it is what they may have signed about a user of their own host.

        Without any it is for those that are theirs by name: never for none. Raises `ScopeRefused`
        and `AudienceRefused` if it is nothing.
        """

    async def mint(
        self, grant: Grant, right: Right, proof: AccessToken, about: str | None = None
    ) -> AccessToken:
        """Return a token about the grant's person, or a user of theirs.

        Raises as `most` does, and `Unavailable` kinds.
        """


class Bridge(Protocol):
    """Signs tokens for people while their own issuer is out."""

    async def token(self, grant: Grant, right: Right) -> AccessToken | None:
        """Return a token for this right, or None if nothing may be signed for the grant now.

        `grant` is as the store has it. Raises `Unavailable` kinds.
        """


class HostMarks(Protocol):
    """What this host remembers, on disk, of how far Vault had come; see `broker.custody.rewinding`."""

    @property
    def counter(self) -> int:
        """The highest counter ever seen in Vault; 0 if none was."""

    def generation(self, segment: str) -> int:
        """Return the highest generation ever seen of the grant in `segment`; 0 if none was."""

    def generations(self) -> Mapping[str, int]:
        """Return every generation remembered, by segment."""

    async def remember(self, counter: int, generations: Mapping[str, int]) -> None:
        """Raise what is remembered, never lower it; on disk when this returns."""


class Issuer(Protocol):
    """One configured token provider."""

    @property
    def url(self) -> str:
        """The exact issuer string, as it stands in tokens."""

    @property
    def client_id(self) -> str:
        """The broker's client there. A refresh token is never sent under another one."""

    @property
    def rule(self) -> Rule | None:
        """What an operator has set for a refresh without a clear answer; None if nothing."""

    @property
    def refresh_seconds(self) -> float:
        """How long the answer to a refresh is waited for."""

    @property
    def revoke_replaced(self) -> bool:
        """Whether a new login has the refresh token it replaces revoked.

        False for issuers that tie a person's logins together, so that revoking one ends the other.
        """

    async def check_there(self) -> None:
        """Return if the issuer answers, or has within the last seconds; asks little, waits little.

        Raises `IssuerUnreachable` and its like.
        """

    async def start_device_login(self, scopes: ScopeSet) -> DeviceStart:
        """Begin a device login (RFC 8628 section 3.1). Raises `IssuerUnreachable` and its like."""

    async def poll_device_login(self, device_code: Secret) -> PollOutcome:
        """Ask once whether the person has confirmed (RFC 8628 section 3.4)."""

    async def authorization_url(
        self, scopes: ScopeSet, redirect_uri: str, *, state: str, nonce: str, challenge: str
    ) -> str:
        """Return where a browser goes to log in (RFC 6749 section 4.1.1, RFC 7636 section 4.3).

        `challenge` is the S256 challenge of a verifier. Raises `IssuerUnreachable` and its like.
        """

    async def redeem(self, code: Secret, verifier: Secret, redirect_uri: str) -> LoginOutcome:
        """Use an authorization code, once (RFC 6749 section 4.1.3, RFC 7636 section 4.5).

        Raises `Unavailable` kinds for answers that say nothing about the login.
        """

    async def verify_identity(self, id_token: Secret) -> Mapping[str, object]:
        """Return the claims of an ID token after checking signature, issuer, audience and times.

        OpenID Connect Core section 3.1.3.7. Raises `IssuerMisbehaved` if anything is off.
        """

    async def refresh(
        self,
        refresh_token: Secret,
        right: Right,
        before_first_byte: BeforeFirstByte,
        *,
        seconds: float,
    ) -> Outcome:
        """Use a refresh token for the access token that `right` describes (RFC 6749 section 6).

        The answer is waited for `seconds` from the first byte on.
        Goes out on a connection opened for it. An error raised by `before_first_byte`, or before
        it, passes through and means that nothing was sent; so does `IssuerUnreachable` whenever it
        is raised. Otherwise the outcome is returned.
        """

    async def probe(self) -> None:
        """Return if the issuer is there and takes our client, without using anybody's grant.

        Keys are fetched and a made-up refresh token is posted, which a sound issuer refuses.
        Raises `IssuerUnreachable`, `IssuerFailed`, `ClientRejected`.
        """

    @property
    def exchanges(self) -> bool:
        """Whether narrower tokens are got by token exchange here."""

    async def exchange(self, subject_token: Secret, right: Right) -> Outcome:
        """Swap an access token for the one that `right` describes (RFC 8693 section 2).

        Uses nothing up, whatever comes of it: never `Unclear`. `Dead` means that the subject token
        is no longer taken. Raises `IssuerUnreachable` if there is no answer.
        """

    async def verify_access_token(self, value: Secret) -> AccessToken:
        """Check an access token's signature and read its claims. Raises `IssuerMisbehaved`."""

    async def revoke(self, refresh_token: Secret) -> None:
        """Have the issuer revoke a refresh token (RFC 7009).

        Raises `NoRevocation` if it offers no way, `IssuerUnreachable` if it does not answer.
        """


class Audit(Protocol):
    """The trail of who got what."""

    async def record(self, event: str, /, **fields: object) -> None:
        """Write one line; it is on disk when this returns. Raises `AuditUnavailable`."""

    async def record_all(
        self, event: str, lines: Sequence[Mapping[str, object]], /, **common: object
    ) -> None:
        """Write one line for each of `lines`, with what is `common` to all of them in each.

        They are on disk when this returns. Raises `AuditUnavailable`: then some may be, and none of what they tell of is given out.
        """


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back: status, headers with lower-case names, and the body."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class NotSentError(Exception):
    """No connection came about or it did not last, and the other side has seen no byte."""


class NoAnswerError(Exception):
    """The request went out, wholly or in part, and no complete answer came back."""


class HttpDoor(Protocol):
    """The one door for outgoing HTTP: no redirects followed, no proxy taken from the environment.

    A body of more than 1 MiB is no answer, unless the caller of `get` expects more.
    """

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float,
        most_bytes: int = 1 << 20,
    ) -> HttpAnswer:
        """Fetch `url` within `seconds`. Raises `NotSentError` or `NoAnswerError`."""

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        seconds: float,
        before_first_byte: BeforeFirstByte | None = None,
    ) -> HttpAnswer:
        """Send `body` once, never again by itself. Raises `NotSentError` or `NoAnswerError`.

        With `before_first_byte` the request goes out on a connection opened for it.
        """

    async def pass_on(
        self,
        method: str,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        seconds: float,
    ) -> HttpAnswer:
        """Send on what somebody else asks; `url` goes out as it is written, byte for byte.

        An empty body is none. Raises `NotSentError` or `NoAnswerError`.
        """


@dataclass(frozen=True, slots=True)
class PassedOn:
    """A request that shows a vault token which another server gave out.

    `address` is its path and query, percent-encoded as they came.
    """

    method: str
    address: str
    vault_token: Secret
    body: bytes = field(default=b"", repr=False)


class LegacyVault(Protocol):
    """The HTVault that served an issuer's people before this broker."""

    @property
    def url(self) -> str:
        """Its base address; two issuers that had the same one have the same HTVault."""

    async def ask(self, passed_on: PassedOn, *, seconds: float) -> HttpAnswer:
        """Return its answer to the request, sent unchanged. Raises `LegacyUnavailable`."""
