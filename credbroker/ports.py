"""What the broker needs from outside, as Protocols: the only sockets in its wall.

Each port has a contract suite in `tests/contract` that every implementation passes, the fakes
included. Adapters in `stores`, `issuers`, `telemetry` and `host` satisfy these by shape; none
imports another.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from credbroker.domain.attenuation import Right
from credbroker.domain.device import DeviceStart, PollOutcome
from credbroker.domain.rotation import Outcome, UnclearRule
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
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


class Issuer(Protocol):
    """One configured token provider."""

    @property
    def url(self) -> str:
        """The exact issuer string, as it stands in tokens."""

    @property
    def client_id(self) -> str:
        """The broker's client there. A refresh token is never sent under another one."""

    @property
    def unclear_rule(self) -> UnclearRule:
        """What a refresh without a clear answer means at this issuer."""

    @property
    def claim_seconds(self) -> float:
        """How long one refresh, its storing included, may take at the most."""

    async def start_device_login(self, scopes: ScopeSet) -> DeviceStart:
        """Begin a device login (RFC 8628 section 3.1). Raises `IssuerUnreachable` and its like."""

    async def poll_device_login(self, device_code: Secret) -> PollOutcome:
        """Ask once whether the person has confirmed (RFC 8628 section 3.4)."""

    async def verify_identity(self, id_token: Secret) -> Mapping[str, object]:
        """Return the claims of an ID token after checking signature, issuer, audience and times.

        OpenID Connect Core section 3.1.3.7. Raises `IssuerMisbehaved` if anything is off.
        """

    async def refresh(
        self, refresh_token: Secret, right: Right, before_first_byte: BeforeFirstByte
    ) -> Outcome:
        """Use a refresh token for the access token that `right` describes (RFC 6749 section 6).

        Goes out on a connection opened for it. An error raised by `before_first_byte`, or before
        it, passes through and means that nothing was sent; so does `IssuerUnreachable` whenever it
        is raised. Otherwise the outcome is returned.
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


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back: status, headers with lower-case names, and at most 1 MiB of body."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class NotSentError(Exception):
    """No connection came about or it did not last, and the other side has seen no byte."""


class NoAnswerError(Exception):
    """The request went out, wholly or in part, and no complete answer came back."""


class HttpDoor(Protocol):
    """The one door for outgoing HTTP: no redirects followed, no proxy taken from the environment."""

    async def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, seconds: float
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
