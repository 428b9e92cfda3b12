"""What people are told before their work stops: which notice of a grant is due, and what was told.

- Of a grant's end it is told 7, 2 and 1 days ahead, of a login's only where that is after its beginning,
  and only where jobs or deliveries depend on it.
  That a grant is paused, in doubt or lost is told where any lease of its person still lives.
- One of a cause, and one of a cause and day: the same trouble of the same generation is told once,
  the same end once for each of the three times. What may have been told counts as told for a day.
- Nobody is told of what has ended, and of what an issuer says that is not believed.
- An address is one that the issuer has verified, in plain ASCII without anything that could end a line
  or begin another address (RFC 5321 section 4.1.2).
"""

from __future__ import annotations

import datetime
import enum
import math
import re
from dataclasses import dataclass, field, replace
from typing import Collection, Iterator, Mapping, Optional, Tuple

from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.keeping import DAY_SECONDS, PROBE_CREDKEY, expiry_warning
from credbroker.domain.losses import BRAKED

CLIPPED_SECONDS = 3600.0
"""Work that ends so near to its login's end, ends because of it."""

_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"({_LOCAL})@({_LABEL}(?:\.{_LABEL})*)\Z")
_LONGEST_ADDRESS, _LONGEST_LOCAL = 254, 64


class Cause(enum.Enum):
    """Why somebody is told something."""

    ENDS_IN_7_DAYS = "ends_in_7_days"
    ENDS_IN_2_DAYS = "ends_in_2_days"
    ENDS_IN_1_DAY = "ends_in_1_day"
    PAUSED = "paused"
    IN_DOUBT = "in_doubt"
    LOST = "lost"
    ISSUER_AWAY = "issuer_away"
    ISSUER_BRAKED = "issuer_braked"
    CLIENT_REJECTED = "client_rejected"

    @property
    def is_end(self) -> bool:
        """True for what is told ahead of an end."""
        return self in _DAYS.values()


_DAYS = {1: Cause.ENDS_IN_1_DAY, 2: Cause.ENDS_IN_2_DAYS, 7: Cause.ENDS_IN_7_DAYS}
_TROUBLES = {
    GrantState.PAUSED: Cause.PAUSED,
    GrantState.IN_DOUBT: Cause.IN_DOUBT,
    GrantState.LOST: Cause.LOST,
}
_ALIVE = (GrantState.READY, GrantState.CLAIMED, GrantState.PAUSED)


@dataclass(frozen=True)
class NoticeRules:
    """When an end is to be seen; in seconds. A login's leases last `login_seconds`."""

    login_seconds: float
    warn_seconds: float = 7 * DAY_SECONDS


@dataclass(frozen=True)
class Work:
    """A job, or a delivery, that lives by a grant until `ends_at`: its name, and where it is."""

    name: str
    where: str
    ends_at: datetime.datetime
    is_delivery: bool = False


@dataclass(frozen=True)
class Dependents:
    """What lives by a grant. `anybody` says that some lease does; with `more` not all was looked at."""

    works: Tuple[Work, ...] = ()
    anybody: bool = False
    more: bool = False


@dataclass(frozen=True)
class Told:
    """What one channel told of a cause, and when: for certain if it is `sure`, else perhaps.

    `mark` tells one trouble, or end, from the next one of the same cause.
    """

    mark: int
    at: datetime.datetime
    sure: bool = False

    def covers(self, cause: Cause, mark: int) -> bool:
        """True if it was of the same trouble; an end is the same one a day earlier or later."""
        return abs(self.mark - mark) <= (1 if cause.is_end else 0)


By = Tuple[Cause, str]
"""A cause, and the channel that told it."""


@dataclass(frozen=True)
class ToldRecord:
    """All that was told of one grant, or one issuer; `write_id` is new in every write."""

    write_id: str
    told: Mapping[By, Told] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """What a person at one issuer has chosen: whether mails are sent to them."""

    issuer: str
    subject: str
    mail: bool = True


@dataclass(frozen=True)
class Notice:
    """One thing to tell of a grant by these `channels`; `works` is what depends on it."""

    cause: Cause
    mark: int
    channels: Tuple[str, ...]
    ends_at: Optional[datetime.datetime] = None
    works: Tuple[Work, ...] = ()
    more: bool = False


def causes(grant: Grant, now: datetime.datetime, rules: NoticeRules) -> Tuple[Cause, ...]:
    """Return what may have to be told of a grant, as far as its own record says."""
    trouble = _trouble(grant)
    ends = (_cause_of(end, now, lasts) for end, lasts, _ in _ends(grant, now, rules))
    found = (trouble, *ends)
    return tuple(dict.fromkeys(one for one in found if one is not None))


def due(
    grant: Grant,
    dependents: Dependents,
    told: Mapping[By, Told],
    channels: Collection[str],
    *,
    now: datetime.datetime,
    rules: NoticeRules,
) -> Tuple[Notice, ...]:
    """Return what is to be told of a grant now, each by those `channels` that have not told it."""
    found = (_of_trouble(grant, dependents), _of_end(grant, dependents, now, rules))
    open_ones = (_by_open(one, told, channels, now) for one in found if one is not None)
    return tuple(one for one in open_ones if one.channels)


def issuer_due(
    cause: Cause, told: Mapping[By, Told], channels: Collection[str], now: datetime.datetime
) -> Optional[Notice]:
    """Return what is to be told of an issuer in trouble, once a day while it lasts; None if it was."""
    notice = Notice(cause, int(now.timestamp() // DAY_SECONDS), ())
    notice = _by_open(notice, told, channels, now)
    return notice if notice.channels else None


def begun(record: ToldRecord, notice: Notice, now: datetime.datetime, write_id: str) -> ToldRecord:
    """Return the record by which a notice is about to be told, and perhaps was."""
    new = {(notice.cause, one): Told(notice.mark, now) for one in notice.channels}
    return ToldRecord(write_id, {**record.told, **new})


def settled(
    record: ToldRecord, cause: Cause, outcomes: Mapping[str, Optional[bool]], write_id: str
) -> ToldRecord:
    """Return the record once more is known: by channel, if it has told it, has not, or None.

    What was not told is as if it had never begun: it is told as soon as it can be.
    """
    told = dict(record.told)
    for channel, outcome in outcomes.items():
        before = told.pop((cause, channel))
        if outcome is not False:
            told[cause, channel] = replace(before, sure=outcome is True)
    return ToldRecord(write_id, told)


def verified_address(claims: Mapping[str, object]) -> str:
    """Return the mail address that an issuer's claims say is verified; empty if there is none.

    OpenID Connect Core section 5.1.
    """
    said = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(said, str):
        return ""
    return said if is_address(said) else ""


def is_address(text: str) -> bool:
    """True for one plain address that mail can be sent to."""
    match = _ADDRESS.match(text)
    if match is None or len(text) > _LONGEST_ADDRESS:
        return False
    return len(match.group(1)) <= _LONGEST_LOCAL


def _trouble(grant: Grant) -> Optional[Cause]:
    if grant.reason == BRAKED or grant.key.credkey == PROBE_CREDKEY:
        return None
    return _TROUBLES.get(grant.state)


def _of_trouble(grant: Grant, dependents: Dependents) -> Optional[Notice]:
    cause = _trouble(grant)
    if cause is None or not dependents.anybody:
        return None
    return Notice(cause, grant.generation, (), None, dependents.works, dependents.more)


def _of_end(
    grant: Grant, dependents: Dependents, now: datetime.datetime, rules: NoticeRules
) -> Optional[Notice]:
    """Return the notice of the first end that anything depends on."""
    for end, lasts, of_login in sorted(_ends(grant, now, rules)):
        works = tuple(one for one in dependents.works if _hit(one, end, of_login=of_login))
        cause = _cause_of(end, now, lasts)
        if works and cause is not None:
            mark = int(end.timestamp() // DAY_SECONDS)
            return Notice(cause, mark, (), end, works, dependents.more)
    return None


def _hit(work: Work, end: datetime.datetime, *, of_login: bool) -> bool:
    """A login's end cuts off what was given its whole time; a grant's end whatever goes on after it."""
    beyond = (work.ends_at - end).total_seconds()
    return abs(beyond) <= CLIPPED_SECONDS if of_login else beyond > 0


def _ends(
    grant: Grant, now: datetime.datetime, rules: NoticeRules
) -> Iterator[Tuple[datetime.datetime, float, bool]]:
    """Yield when the grant ends, as far as that is to be seen, and when its last login does (True).

    In between stands how long it lasts in all, in seconds: for a grant that is never known before.
    """
    if grant.state not in _ALIVE or grant.key.credkey == PROBE_CREDKEY:
        return
    announced = grant.refresh_expires_at
    if announced is not None and expiry_warning(grant, now, rules.warn_seconds) is not None:
        yield announced, math.inf, False
    end = grant.created_at + datetime.timedelta(seconds=rules.login_seconds)
    yield end, rules.login_seconds, True


def _cause_of(end: datetime.datetime, now: datetime.datetime, lasts: float) -> Optional[Cause]:
    """Return what is to be told of an end so near; a login of a week is not told of it as it begins."""
    left = (end - now).total_seconds()
    near = ((days * DAY_SECONDS, cause) for days, cause in sorted(_DAYS.items()))
    return next((cause for before, cause in near if 0 < left <= before < lasts), None)


def _by_open(
    notice: Notice, told: Mapping[By, Told], channels: Collection[str], now: datetime.datetime
) -> Notice:
    still = (one for one in channels if _may_tell(notice, told.get((notice.cause, one)), now))
    return replace(notice, channels=tuple(still))


def _may_tell(notice: Notice, before: Optional[Told], now: datetime.datetime) -> bool:
    if before is None:
        return True
    if (now - before.at).total_seconds() < DAY_SECONDS:
        return False
    return not before.sure or not before.covers(notice.cause, notice.mark)
