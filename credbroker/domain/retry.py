"""What to do after an error: stop, or wait and try again, and how long."""

from __future__ import annotations

from credbroker.domain.errors import CredbrokerError, Refused

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0


def is_final(error: CredbrokerError) -> bool:
    """True if who holds no token yet should give up: the request, or the lease, is at fault.

    A lost or paused grant is not final: once the person has mended it, the same lease works again.
    Neither is any refusal, but that the lease has ended, for who was given a token before: what
    worked once was changed by somebody, who may change it back.
    """
    return isinstance(error, Refused)


def backoff_seconds(failures: int, spread: float) -> float:
    """Return the pause after `failures` failures in a row (1 = the first), in seconds.

    Doubles from 1 s to 5 min; `spread` in [0, 1) takes off up to half, to keep waiters apart.
    """
    full = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(max(failures - 1, 0), 16))
    return full * (1.0 - 0.5 * spread)


def roughly(seconds: float) -> str:
    """Return a wait in words for people: 10 s at the least, and minutes from 2 of them on."""
    if seconds < 120:
        return f"about {max(seconds, 10.0):.0f} s"
    return f"about {seconds / 60:.0f} min"
