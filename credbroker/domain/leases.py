"""Leases: a caller's revocable right to ask under one grant.

A lease token is an id and 256 random bits. The record keeps only the hash of the bits, so whoever
reads the store cannot ask for anything. A child never reaches wider than its parent and ends no
later; ending a parent ends its children.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import re
from dataclasses import dataclass, replace

from credbroker.domain import lease_tokens
from credbroker.domain.attenuation import Ceiling, Right
from credbroker.domain.errors import LeaseEnded, LeaseUnknown, Malformed, NotAllowed, OutsideCeiling
from credbroker.domain.names import GrantKey
from credbroker.domain.starts import MARK_DIGITS, Starts, check_most, check_no_alarm

LeaseToken = lease_tokens.LeaseToken
# A login's lease, two exchanges for shorter ones (28 days, 7 days), a job's below them.
DEEPEST = 4
_TAG_BYTES = 6
CHANCE_BYTES = 10
"""The random part of a lease's id: it keeps ids apart, and need not be hard to guess."""
_USED_ONCE = re.compile(
    rf"(cb_[A-Za-z0-9_-]{{22}}\.[0-9a-f]{{{MARK_DIGITS}}})[A-Za-z0-9_-]{{27}}\Z"
)


@dataclass(frozen=True)
class Lease:
    """The record of one lease. `job` names what it was made for; None for a person's own.

    `subject` is who logged in at the issuer, where the lease also reaches that person's robots, whose
    names lie below its own; empty where it reaches its own grant alone. With `registers` it may
    register ssh keys. `origin` is the address that it was made for. With `starts` its secret begins
    chains of others, and tokens are given for those alone. `host` is the one that a delivery goes to.
    """

    id: str
    secret_hash: str
    key: GrantKey
    line: str
    ceiling: Ceiling
    created_at: datetime.datetime
    ends_at: datetime.datetime
    ancestors: tuple[str, ...] = ()
    job: str | None = None
    ended_at: datetime.datetime | None = None
    subject: str = ""
    registers: bool = False
    origin: str = ""
    starts: Starts | None = None
    host: str = ""

    @property
    def is_login(self) -> bool:
        """True for a person's own lease, which may do everything a person may."""
        return self.job is None

    def may_reach(self, key: GrantKey) -> bool:
        """True for the lease's own grant, and for what lies below it where robots are reached."""
        if key == self.key:
            return True
        below = (self.key.issuer, self.key.role) == (key.issuer, key.role) and (
            key.credkey.startswith(f"{self.key.credkey}/")
        )
        return below and self.is_login and bool(self.subject)


def tag_of(line: str) -> str:
    """Return the 8 characters that the ids of a line's leases begin with, so that they are found."""
    digest = hashlib.sha256(f"leases on {line}".encode()).digest()
    return base64.urlsafe_b64encode(digest[:_TAG_BYTES]).decode()


def id_on(line: str, chance: str) -> str:
    """Return the id of a lease on this line; `chance` is `CHANCE_BYTES` random bytes as base64url."""
    return tag_of(line) + chance


def without_chance(shown: str) -> str:
    """Return what ends in a lease token without what differs from one secret of a job to the next.

    What is left is as hard to guess for who has none of the job's secrets as its mark.
    """
    return _USED_ONCE.sub(r"\1", shown)


def check_secret(lease: Lease | None, shown: LeaseToken) -> Lease:
    """Return the lease if `shown` is its token; raise `LeaseUnknown`, in equal time, if not."""
    known = lease.secret_hash if lease is not None else hashlib.sha256(b"").hexdigest()
    if not hmac.compare_digest(known, shown.secret_hash()) or lease is None:
        raise LeaseUnknown("This lease is not known here.")
    return lease


def check_alive(lease: Lease, now: datetime.datetime) -> None:
    """Raise `LeaseEnded` if somebody ended the lease or its time is over."""
    if lease.ended_at is not None:
        if lease.starts is not None:
            check_no_alarm(lease.starts)
        raise LeaseEnded("This lease was ended.")
    if now >= lease.ends_at:
        raise LeaseEnded("This lease ran out.")


def check_login(lease: Lease) -> None:
    """Raise `NotAllowed` unless this is the lease of a person's login."""
    if not lease.is_login:
        raise NotAllowed("A job's lease may only fetch the job's tokens.")


def check_unchained(lease: Lease) -> None:
    """Raise `NotAllowed` if this lease's secret is only good for beginning a chain."""
    if lease.starts is not None:
        raise NotAllowed(
            "Each request under this job's lease must name its next secret.",
            "Have a job use it through: credbroker agent --job; or make one with: credbroker job new"
            " --plain",
        )


def login_lease(
    token: LeaseToken, key: GrantKey, line: str, *, seconds: float, now: datetime.datetime,
    subject: str = "", registers: bool = False, origin: str = "",
) -> Lease:  # fmt: skip
    """Make the lease of a login, for all that the grant at `key` gives, good for `seconds`."""
    return Lease(
        id=token.id,
        secret_hash=token.secret_hash(),
        key=key,
        line=line,
        ceiling=Ceiling(),
        created_at=now,
        ends_at=now + datetime.timedelta(seconds=seconds),
        subject=subject,
        registers=registers,
        origin=origin,
    )


def child(
    parent: Lease, token: LeaseToken, right: Right, *, job: str, seconds: float,
    now: datetime.datetime, starts: int | None = None,
) -> Lease:  # fmt: skip
    """Make a lease for a job, good for `right` alone, which must be within the parent's ceiling.

    `seconds` is how long it should last; a longer wish than the parent's own end is cut to it. With
    `starts` its secret begins so many chains, see `domain.starts`; else it is good until the end.
    """
    ancestors = _below(parent)
    ceiling = Ceiling(right.scopes, right.audiences or None)
    if not ceiling.within(parent.ceiling):
        raise OutsideCeiling("A job's lease cannot reach wider than the lease it is made from.")
    return replace(
        parent,
        id=token.id,
        secret_hash=token.secret_hash(),
        ceiling=ceiling,
        created_at=now,
        ends_at=_until(parent, seconds, now),
        ancestors=ancestors,
        job=check_job_name(job),
        subject="",
        registers=False,
        starts=Starts.of(token.secret, check_most(starts)) if starts is not None else None,
    )


def shorter(parent: Lease, token: LeaseToken, seconds: float, now: datetime.datetime) -> Lease:
    """Make a lease that reaches what the parent does, for `seconds`; it registers no keys."""
    return replace(
        parent,
        id=token.id,
        secret_hash=token.secret_hash(),
        created_at=now,
        ends_at=_until(parent, seconds, now),
        ancestors=_below(parent),
        registers=False,
    )


def _below(parent: Lease) -> tuple[str, ...]:
    check_unchained(parent)
    if len(parent.ancestors) + 1 >= DEEPEST:
        raise NotAllowed("This lease is too far from its login to make further leases.")
    return (*parent.ancestors, parent.id)


def _until(parent: Lease, seconds: float, now: datetime.datetime) -> datetime.datetime:
    left = (parent.ends_at - now).total_seconds()
    return now + datetime.timedelta(seconds=min(left, seconds))


def check_job_name(job: str) -> str:
    """Return `job` if it is 1 to 200 printable characters; raise `Malformed` if not."""
    if not 0 < len(job) <= 200 or not job.isprintable():
        raise Malformed("A job's name must be 1 to 200 printable characters.")
    return job


def end(lease: Lease, now: datetime.datetime) -> Lease:
    """Return the lease as ended; ending twice changes nothing."""
    return lease if lease.ended_at is not None else replace(lease, ended_at=now)
