"""Which exit code says which kind of failure; scripts rely on these.

0 done · 1 something unforeseen · 2 usage or settings · 3 not reachable now, try later · 4 a login is
needed, or was refused or not confirmed in time · 5 refused · 6 no token, or login, lasts long
enough · 130 stopped by ^C
"""

from __future__ import annotations

from credbroker.domain.errors import (
    CredbrokerError,
    GrantLost,
    LeaseEnded,
    LeaseUnknown,
    Malformed,
    Misconfigured,
    NotFound,
    Refused,
    TooSoonExpired,
    Unavailable,
)

FAILED = 1
USAGE = 2
UNREACHABLE = 3
LOGIN_NEEDED = 4
REFUSED = 5
TOO_SOON_EXPIRED = 6
INTERRUPTED = 130

# The first row that fits counts, so a leaf comes before its family.
EXITS = (
    (Malformed, USAGE),
    (NotFound, USAGE),
    (Misconfigured, USAGE),
    (Unavailable, UNREACHABLE),
    (GrantLost, LOGIN_NEEDED),
    (LeaseEnded, LOGIN_NEEDED),
    (LeaseUnknown, LOGIN_NEEDED),
    (TooSoonExpired, TOO_SOON_EXPIRED),
    (Refused, REFUSED),
)


def exit_code(error: CredbrokerError) -> int:
    """Return the exit code that tells a script what kind of failure `error` is."""
    return next((code for kind, code in EXITS if isinstance(error, kind)), FAILED)
