"""When a token that somebody works with is renewed, purely: early, again and again, never in a rush.

- The first try comes while a quarter of its life is left, and at least as much as was asked for.
- A try that fails is followed by the next, soon and then each minute, also after the token has ended.
- However short tokens live, and however little is left of one, there is a least time between two tries.
- A clock that is wrong makes no token older than the server has just said, nor younger than new.
"""

from __future__ import annotations

from dataclasses import dataclass

LEAST_SECONDS = 5.0
MOST_SECONDS = 60.0
"""The longest wait after a try that failed."""

_SHARE = 4


@dataclass(frozen=True)
class Renewal:
    """The next try: in how many seconds, and for how long the new token must live, in seconds."""

    in_seconds: float
    minimum_seconds: int


def after_success(
    left_seconds: float,
    lifetime_seconds: float,
    asked_seconds: int,
    promised_seconds: int = 0,
) -> Renewal:
    """Plan from a token that was just had.

    Args:
        left_seconds: How long it still lives by this machine's clock.
        lifetime_seconds: How long it lives in all.
        asked_seconds: What every token must live for at least.
        promised_seconds: How long this one still lives at least by the server's clock.
    """
    early = max(float(asked_seconds), lifetime_seconds / _SHARE)
    left = min(left_seconds, lifetime_seconds)
    if left < promised_seconds:
        wait = promised_seconds / _SHARE
    else:
        wait = left - early if left > early else left / _SHARE
    return Renewal(max(LEAST_SECONDS, wait), int(early) + 1)


def after_failure(before: Renewal, failures: int) -> Renewal:
    """Plan after so many tries in a row that failed, of which there is one at least."""
    wait = min(MOST_SECONDS, LEAST_SECONDS * 2 ** min(failures - 1, 10))
    return Renewal(wait, before.minimum_seconds)
