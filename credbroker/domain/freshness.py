"""When a token is fresh enough, and when to fetch the next: pure rules of time.

A token's life runs from when it was obtained, by the reader's own clock, to its `exp`; an issuer's
clock that is off cannot make a renewal come late or a loop spin. A token that was obtained "in the
future" shows that the reader's own clock was set back: its `exp` says little, so it is due at once.
"""

from __future__ import annotations

import datetime
import enum

from credbroker.domain.tokens import AccessToken

# A life of nothing must not become a loop without pause.
_LEAST_PAUSE_SECONDS = 1.0
# Clocks are set back by moments all the time; more than this is a jump.
_SET_BACK = datetime.timedelta(seconds=60)


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
    return Freshness.USABLE if _is_due(token, fraction, now) else Freshness.GOOD


def renew_at(
    token: AccessToken, fraction: float, spread: float, now: datetime.datetime
) -> datetime.datetime:
    """Tell a caller when to come back: once the token is due, later by up to a tenth of its life.

    `spread` in [0, 1) keeps callers apart, and leaves half of what is left after the due time. A
    token already past due is asked for again after a tenth of what is left, so that callers wait
    out an outage without a stampede.
    """
    due = due_at(token, fraction)
    life = (token.expires_at - token.obtained_at).total_seconds()
    if _is_due(token, fraction, now):
        left = max(0.0, min(life, token.seconds_left(now)))
        pause = max(_LEAST_PAUSE_SECONDS, left * 0.1 * (0.5 + spread))
        return now + datetime.timedelta(seconds=pause)
    room = max(0.0, min(life * 0.1, (token.expires_at - due).total_seconds() * 0.5))
    return due + datetime.timedelta(seconds=room * spread)


def _is_due(token: AccessToken, fraction: float, now: datetime.datetime) -> bool:
    return now >= due_at(token, fraction) or now < token.obtained_at - _SET_BACK
