"""What the agent does next: fetch, wait, or give up. Pure rules of elapsed time.

All times are seconds since boot, which count suspended time and never jump, so neither a moved wall
clock nor a machine that slept makes a renewal late or a loop spin. One refusal does not end what
worked before: only the end of the lease does. Between two attempts there is
always at least `LEAST_PAUSE_SECONDS`, whatever lifetimes and wishes the broker states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Union

from credbroker.domain.errors import CredbrokerError, LeaseEnded
from credbroker.domain.retry import backoff_seconds, is_final

LEAST_PAUSE_SECONDS = 1.0
_USUAL_LEAST_PAUSE_SECONDS = 5.0
# While a token still lives, pauses shrink towards its end, but not below this.
_LAST_TRIES_SECONDS = 10.0
_LATEST_FRACTION = 0.9


@dataclass(frozen=True)
class Held:
    """A delivered token: fetched at, to be renewed at, expiring at, in seconds since boot."""

    fetched_at: float
    renew_at: float
    expires_at: float


@dataclass(frozen=True)
class Failed:
    """The attempts since the last success: how many failed, when the last one ended, and how.

    `lease_over` is True if the lease's own time was over by then.
    """

    times: int
    at: float
    error: CredbrokerError
    lease_over: bool = False


@dataclass(frozen=True)
class Renew:
    """Ask the broker for a token now."""


@dataclass(frozen=True)
class Sleep:
    """Wait this many seconds, then ask again what to do."""

    seconds: float


@dataclass(frozen=True)
class Stop:
    """Asking can never succeed again; `error` says why."""

    error: CredbrokerError


Step = Union[Renew, Sleep, Stop]


def next_step(now: float, held: Optional[Held], failed: Optional[Failed], spread: float) -> Step:
    """Say what to do at `now`.

    Args:
        now: Seconds since boot.
        held: The token in the file, None before the first.
        failed: What went wrong since then, None if nothing did.
        spread: A number in [0, 1), the same until the next attempt, that keeps agents apart.
    """
    if failed is not None and _is_hopeless(held, failed):
        return Stop(failed.error)
    due = due_at(held, failed, spread)
    return Renew() if due is None or now >= due else Sleep(due - now)


def _is_hopeless(held: Optional[Held], failed: Failed) -> bool:
    if isinstance(failed.error, LeaseEnded):
        return True
    return is_final(failed.error) and (held is None or failed.lease_over)


def due_at(held: Optional[Held], failed: Optional[Failed], spread: float) -> Optional[float]:
    """Return when the next attempt is due, in seconds since boot; None before the first.

    `spread` is a number in [0, 1), the same until that attempt.
    """
    if failed is not None:
        return failed.at + _pause_after_failure(held, failed, spread)
    return None if held is None else _renewal(held, spread)


def _renewal(held: Held, spread: float) -> float:
    """Follow the broker's wish, between a least pause and a tenth of the life before its end."""
    life = max(0.0, held.expires_at - held.fetched_at)
    least = max(LEAST_PAUSE_SECONDS, min(_USUAL_LEAST_PAUSE_SECONDS, life / 2))
    latest = life * (_LATEST_FRACTION - 0.1 * spread)
    wished = held.renew_at - held.fetched_at
    return held.fetched_at + max(least, min(wished, latest))


def _pause_after_failure(held: Optional[Held], failed: Failed, spread: float) -> float:
    """Back off, but while the token lives come back often enough to save it."""
    pause = max(LEAST_PAUSE_SECONDS, backoff_seconds(failed.times, spread))
    left = held.expires_at - failed.at if held is not None else 0.0
    return min(pause, max(_LAST_TRIES_SECONDS, left / 2)) if left > 0 else pause
