"""What to do after an error: wait and try again, stop, or have the person log in."""

from __future__ import annotations

import enum

from credbroker.domain.errors import (
    CredbrokerError,
    GrantLost,
    LeaseEnded,
    LeaseUnknown,
    Unavailable,
)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0


class Next(enum.Enum):
    """The next step of somebody who keeps a token fresh."""

    WAIT = "wait"
    """Nobody did wrong: keep what there is and try again later."""
    LOGIN = "login"
    """Only the person can mend it."""
    STOP = "stop"
    """The same request will never succeed."""


def after(error: CredbrokerError) -> Next:
    """Say what follows from `error`, by its family."""
    if isinstance(error, Unavailable):
        return Next.WAIT
    if isinstance(error, (GrantLost, LeaseEnded, LeaseUnknown)):
        return Next.LOGIN
    return Next.STOP


def backoff_seconds(failures: int, spread: float) -> float:
    """Return the pause after `failures` failures in a row (1 = the first), in seconds.

    Doubles from 1 s to 5 min; `spread` in [0, 1) takes off up to half, to keep waiters apart.
    """
    full = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(max(failures - 1, 0), 16))
    return full * (1.0 - 0.5 * spread)
