"""How fast the campaign goes, in seconds, and how large it is.

The times are chosen so that a claim lasts 4 s: what is longer than a claim is then soon over.
"""

from __future__ import annotations

from dataclasses import dataclass

REFRESH_SECONDS = 2.0
STORE_SECONDS = 1.0
MARGIN_SECONDS = 1.0
CLAIM_SECONDS = REFRESH_SECONDS + STORE_SECONDS + MARGIN_SECONDS
SPOOLS_FIRST_SECONDS = 3.0
PAUSED_SECONDS = 3.0
GRACE_SECONDS = 15.0
BROKERS = ("north", "south", "far")
"""Two that share a host and its folder of spools, and one with a host of its own."""
HOSTS = {"north": "here", "south": "here", "far": "there"}
ASK, ONCE_MORE, GRACE, RETRY_SAFE = "ask", "once_more", "grace", "retry_safe"
RULES = (ASK, ONCE_MORE, GRACE, RETRY_SAFE)
"""What an issuer allows after a refresh without a clear answer."""


@dataclass(frozen=True)
class Pace:
    """One campaign's size."""

    nodes: int
    people: int
    """Per issuer."""
    access_seconds: int
    callers_per_grant: int
    sandboxes: int
    down_seconds: float
    """How long all nodes are away."""
    backup_seconds: float
    """How far back a backup reaches."""
    most_seconds: float
    """After this the campaign ends, whatever was left."""
    rules: tuple[str, ...] = RULES
    """There is one issuer for each."""


SHORT = Pace(1, 4, 10, 3, 1, 5.0, 4.0, 90.0)
FULL = Pace(3, 30, 30, 2, 4, 75.0, 15.0, 3300.0)
