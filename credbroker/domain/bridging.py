"""Signing for people while their own issuer is out: when, for whom, what and for how long.

- The issuer is out once every replica has itself seen it fail for long enough, without one answer.
- It began when the last of them first saw it: until then it was the way of the others that failed.
- Only for grants that were refreshed shortly before that, and that are neither refused nor in doubt.
- Only reading, creating, staging, polling and computing, at services that are listed by name: never
  `storage.modify`, never groups, never for every audience.
- A token lives for an hour at the most, and none beyond a day after the grant's last good refresh.
  So nothing outlives a day of one outage, whatever replicas come and go in it.
- Never for a person who has a service's name: what ends the one would end the other.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import FrozenSet, Optional, Sequence

from credbroker.domain.attenuation import ANY_AUDIENCE, Right
from credbroker.domain.errors import ScopeRefused
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.policy import check_signable
from credbroker.domain.scopes import COMPUTE, STORAGE

LEAST_SECONDS = 60
"""A token that would live shorter is of no use to anybody."""
SCOPES = (STORAGE | COMPUTE) - {"storage.modify"}
_STATES = frozenset({GrantState.READY, GrantState.CLAIMED})


@dataclass(frozen=True)
class BridgeLimits:
    """How far a bridge goes: the audiences, and times in seconds; `services` are our clients' ids."""

    audiences: FrozenSet[str]
    outage_seconds: float = 300.0
    longest_seconds: float = 3600.0
    most_seconds: float = 86400.0
    refreshed_within_seconds: float = 21600.0
    services: FrozenSet[str] = frozenset()


def out_since(
    failing_seconds: Sequence[float], limits: BridgeLimits, now: datetime.datetime
) -> Optional[datetime.datetime]:
    """Return when the outage began, by how long each replica has seen failures; None if it is none."""
    if not failing_seconds or min(failing_seconds) < limits.outage_seconds:
        return None
    return now - datetime.timedelta(seconds=min(failing_seconds))


def why_not(
    grant: Grant,
    right: Right,
    out_since: Optional[datetime.datetime],
    limits: BridgeLimits,
    now: datetime.datetime,
) -> Optional[str]:
    """Return, in words, why nothing is signed for this right of the grant; None if it is."""
    if out_since is None:
        return "not every replica has seen the issuer fail for long enough"
    if grant.state not in _STATES:
        return "the issuer has refused this grant, a use of it is in doubt, or it has ended"
    if grant.subject in limits.services:
        return "a service of the community has this person's name"
    before = out_since - datetime.timedelta(seconds=limits.refreshed_within_seconds)
    if not before <= grant.refreshed_at <= now:
        return "the grant was not refreshed shortly before the outage"
    if until(grant, out_since, limits, now) - now < datetime.timedelta(seconds=LEAST_SECONDS):
        return "the grant's last good refresh is too long ago"
    return _not_this_right(right, limits)


def until(
    grant: Grant, out_since: datetime.datetime, limits: BridgeLimits, now: datetime.datetime
) -> datetime.datetime:
    """Return when a token that is signed now must have expired."""
    last_good = min(grant.refreshed_at, out_since)
    return min(
        now + datetime.timedelta(seconds=limits.longest_seconds),
        last_good + datetime.timedelta(seconds=limits.most_seconds),
    )


def _not_this_right(right: Right, limits: BridgeLimits) -> Optional[str]:
    if not len(right.scopes) or any(item.name not in SCOPES for item in right.scopes):
        return "storage.modify, groups and what else is no plain capability are not signed"
    if not right.audiences or not set(right.audiences) <= limits.audiences - {ANY_AUDIENCE}:
        return "no audience is named, or one that does not trust this issuer"
    try:
        check_signable(right.scopes)
    except ScopeRefused as error:
        return error.sentence
    return None
