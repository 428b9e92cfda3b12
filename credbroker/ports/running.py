"""What every deed runs on: time, chance, the trail, and the points at which a test may stop it."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping, Sequence
from typing import Protocol


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


class Audit(Protocol):
    """The trail of who got what."""

    async def record(self, event: str, /, **fields: object) -> None:
        """Write one line; it is on disk when this returns. Raises `AuditUnavailable`."""

    async def record_all(
        self, event: str, lines: Sequence[Mapping[str, object]], /, **common: object
    ) -> None:
        """Write one line for each of `lines`, with what is `common` to all of them in each.

        They are on disk when this returns. Raises `AuditUnavailable`: then some may be, and none of
        what they tell of is given out.
        """
