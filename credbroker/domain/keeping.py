"""What a keeper does for a grant that nobody asks about: a pure rule of the record and its age.

- A refresh token is used before it idles out, not all at the same hour.
- What nobody used for long is warned of, a day at the least, and then let go.
- What is lost is kept for a while, in case the issuer was wrong; a claim left behind is settled.
- However short lifetimes are, a grant is looked at every 5 minutes at the most, and because other
  replicas change records too, every 6 hours at the least.
- Ages are Vault's where the record has them. A clock that jumps makes a keeper early by its jump at
  the most; how long nobody used a grant is counted in Vault's seconds alone.
"""

from __future__ import annotations

import datetime
import enum
import zlib
from dataclasses import dataclass
from typing import Optional

from credbroker.domain.grants import Grant, GrantState

DAY_SECONDS = 86400.0
LEAST_PAUSE_SECONDS = 300.0
LONGEST_PAUSE_SECONDS = 6 * 3600.0

PROBE_CREDKEY = "credbroker-probe"
"""The credkey of an operator's throw-away grant, which is there to be tried and never dormant."""


@dataclass(frozen=True)
class KeepingRules:
    """When a grant is taken care of; all in seconds."""

    idle_refresh_seconds: float = 7 * DAY_SECONDS
    """A refresh token of unknown lifetime is used this often."""
    dormant_seconds: float = 90 * DAY_SECONDS
    """What nobody used for so long is let go."""
    warn_seconds: float = 7 * DAY_SECONDS
    """So long before that, and before a person's grant expires, it is warned."""
    lost_seconds: float = 7 * DAY_SECONDS
    """So long a lost grant is kept."""
    claim_seconds: float = 300.0
    """A claim of this age is worth a look whether it was left behind."""


class DeedKind(enum.Enum):
    """What is to be done for a grant now."""

    REST = "rest"
    REFRESH = "refresh"
    SETTLE = "settle"
    WARN = "warn"
    LET_GO = "let_go"


@dataclass(frozen=True)
class Deed:
    """What to do now, and in how many seconds to look again, unless something happens before."""

    kind: DeedKind
    again_seconds: float


def next_deed(
    grant: Grant,
    age_seconds: float,
    now: datetime.datetime,
    rules: KeepingRules,
    warned_seconds: Optional[float] = None,
) -> Deed:
    """Say what a grant needs. The record is `age_seconds` old, by Vault's clock.

    `warned_seconds` ago it was last warned that this grant is about to be let go, None if never.
    """
    age = max(0.0, age_seconds)
    if grant.state in _RESTING and grant.refresh_token is not None:
        return _for_resting(grant, age, now, rules, warned_seconds)
    if grant.state is GrantState.CLAIMED:
        return _when(rules.claim_seconds - age, DeedKind.SETTLE, grant)
    if grant.state is GrantState.LOST:
        return _when(rules.lost_seconds - age, DeedKind.LET_GO, grant)
    return _rest(LONGEST_PAUSE_SECONDS, grant)


def expiry_warning(
    grant: Grant, now: datetime.datetime, within_seconds: float = KeepingRules.warn_seconds
) -> Optional[float]:
    """Return in how many days the person must log in again, or None if that is not to be seen.

    An issuer may rotate without extending. So it is warned when the last refresh was made within
    `within_seconds` of the announced end and still left it there, or when the keeper's refresh, due
    after two thirds of the time at the latest, evidently did not come about. Where refresh tokens
    live shorter than `within_seconds` by nature, it has to be set smaller.
    """
    if grant.refresh_expires_at is None or grant.state not in _ALIVE:
        return None
    left = (grant.refresh_expires_at - now).total_seconds()
    life = (grant.refresh_expires_at - grant.refreshed_at).total_seconds()
    if life <= 0:
        return None  # it was refreshed after its announced end: the announcement was wrong
    if life < within_seconds or left < min(within_seconds, life / 4):
        return max(0.0, left / DAY_SECONDS)
    return None


_ALIVE = (GrantState.READY, GrantState.CLAIMED, GrantState.PAUSED)
_RESTING = (GrantState.READY, GrantState.PAUSED, GrantState.IN_DOUBT)


def unused_seconds(grant: Grant, age_seconds: float) -> float:
    """Return how long nobody has used the grant, at the least; its record is `age_seconds` old.

    Both are Vault's seconds: no replica's clock has a say, now or when the record was written.
    """
    return grant.unused_seconds + max(0.0, age_seconds)


def _for_resting(
    grant: Grant,
    age: float,
    now: datetime.datetime,
    rules: KeepingRules,
    warned_seconds: Optional[float],
) -> Deed:
    idles = _refresh_in_seconds(grant, age, now, rules)
    if grant.key.credkey == PROBE_CREDKEY:
        return _refresh_when(idles, grant)
    left = rules.dormant_seconds - unused_seconds(grant, age)
    quiet = DAY_SECONDS if warned_seconds is None else warned_seconds
    warned_enough = warned_seconds is not None and quiet >= DAY_SECONDS
    if left <= 0 and warned_enough:
        return Deed(DeedKind.LET_GO, LONGEST_PAUSE_SECONDS)
    if idles <= 0:
        return _refresh_when(idles, grant)
    if left > rules.warn_seconds:
        return _rest(min(idles, left - rules.warn_seconds), grant)
    if quiet < DAY_SECONDS:
        return _rest(min(idles, DAY_SECONDS - quiet), grant)
    return Deed(DeedKind.WARN, _rest(idles, grant).again_seconds)


def _refresh_in_seconds(
    grant: Grant, age: float, now: datetime.datetime, rules: KeepingRules
) -> float:
    """What is paused or in doubt only a caller tries again."""
    if grant.state is not GrantState.READY:
        return LONGEST_PAUSE_SECONDS
    return _idle_refresh_seconds(grant, rules) - _idle_seconds(grant, age, now)


def _idle_seconds(grant: Grant, age: float, now: datetime.datetime) -> float:
    """A record written anew after a refresh that failed is younger than its refresh token."""
    return max(age, (now - grant.refreshed_at).total_seconds())


def _idle_refresh_seconds(grant: Grant, rules: KeepingRules) -> float:
    """Two thirds of the refresh token's life if that is known; less by up to a quarter for each."""
    every = rules.idle_refresh_seconds
    if grant.refresh_expires_at is not None:
        life = (grant.refresh_expires_at - grant.refreshed_at).total_seconds()
        every = life * 2 / 3 if life > 0 else every
    return every * (1.0 - _spread(grant) / 4)


def _refresh_when(seconds: float, grant: Grant) -> Deed:
    """Each try that fails makes the pause before the next one longer, by half of what it is late."""
    if seconds > 0:
        return _rest(seconds, grant)
    again = min(max(LEAST_PAUSE_SECONDS, -seconds / 2), LONGEST_PAUSE_SECONDS)
    return Deed(DeedKind.REFRESH, again)


def _when(seconds: float, kind: DeedKind, grant: Grant) -> Deed:
    if seconds > 0:
        return _rest(seconds, grant)
    again = LEAST_PAUSE_SECONDS if kind is DeedKind.SETTLE else LONGEST_PAUSE_SECONDS
    return Deed(kind, again)


def _rest(seconds: float, grant: Grant) -> Deed:
    longest = LONGEST_PAUSE_SECONDS * (1.0 - _spread(grant) / 2)
    return Deed(DeedKind.REST, min(max(LEAST_PAUSE_SECONDS, seconds), longest))


def _spread(grant: Grant) -> float:
    """A number in [0, 1) that is another after each write: chance, from the write's random id."""
    return zlib.crc32(grant.write_id.encode()) / 2**32
