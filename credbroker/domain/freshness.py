"""When a token is fresh enough, and when to fetch the next: pure rules of time.

A token's life runs from when it was obtained, by the reader's own clock, to its `exp`; an issuer's
clock that is off cannot make a renewal come late or a loop spin.
"""

from __future__ import annotations

import datetime
import enum

from credbroker.domain.tokens import AccessToken

# A life of nothing must not become a loop without pause.
_LEAST_PAUSE_SECONDS = 1.0


class Freshness(enum.Enum):
    """How good a held token is for this request."""

    GOOD = "good"
    """Serve it."""
    USABLE = "usable"
    """Fetch a new one; serve this one if that fails."""
    NOTHING = "nothing"
    """Fetch a new one, or fail."""


def due_at(token: AccessToken, fraction: float) -> datetime.datetime:
    """Return when the token should be replaced: after `fraction` (0 to 1) of its life."""
    life = (token.expires_at - token.obtained_at).total_seconds()
    return token.obtained_at + datetime.timedelta(
        seconds=max(_LEAST_PAUSE_SECONDS, life * fraction)
    )


def pick(
    token: AccessToken | None, floor_seconds: float, fraction: float, now: datetime.datetime
) -> Freshness:
    """Judge a held token for a caller that needs at least `floor_seconds` of life."""
    if token is None or token.seconds_left(now) <= max(0.0, floor_seconds):
        return Freshness.NOTHING
    return Freshness.GOOD if now < due_at(token, fraction) else Freshness.USABLE


def renew_at(
    token: AccessToken, fraction: float, spread: float, now: datetime.datetime
) -> datetime.datetime:
    """Tell a caller when to come back: once the token is due, later by up to a tenth of its life.

    `spread` in [0, 1) keeps callers apart. A token already past due is asked for again after a
    tenth of what is left, so that callers wait out an outage without a stampede.
    """
    due = due_at(token, fraction)
    life = (token.expires_at - token.obtained_at).total_seconds()
    if due <= now:
        left = max(0.0, token.seconds_left(now))
        pause = max(_LEAST_PAUSE_SECONDS, left * 0.1 * (0.5 + spread))
        return now + datetime.timedelta(seconds=pause)
    return due + datetime.timedelta(seconds=life * 0.1 * spread)
