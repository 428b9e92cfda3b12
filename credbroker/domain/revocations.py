"""Revocations: a lease is over, or all that a person, a job, a host or an issuer had until a moment.

- A mark ends every lease that was made before its moment, so that later logins work.
- A mark on a lease ends it and all that were made from it, whenever those were made.
- A person's mark holds for their robots, too, whose identity keys lie below `<credkey>/`.
- Marks are bounded: one that no lease can be old enough for is dropped with the next write.
"""

from __future__ import annotations

import datetime
import enum
import ipaddress
import re
from dataclasses import dataclass, field, replace
from typing import Iterator, Mapping, Union

from credbroker.domain.errors import Busy, LeaseEnded, Malformed, NotFound
from credbroker.domain.leases import Lease, check_job_name
from credbroker.domain.names import GrantKey, check_credkey, check_short_name

MOST_MARKS = 10_000
"""With as many the record comes near to the largest that OpenBao/Vault takes (1 MiB)."""

LONGEST_SECONDS = 366 * 86400.0
"""No lease lasts longer, so no mark matters longer; the settings are held to it."""

CLOCKS_OFF_SECONDS = 60.0
"""A lease bears its maker's time, which may be so far ahead before that replica stops working."""

_LEASE_ID = re.compile(r"[A-Za-z0-9_-]{22}\Z")


class Kind(enum.Enum):
    """What all leases of can be ended at once."""

    LEASE = "lease"
    PERSON = "person"
    JOB = "job"
    HOST = "host"
    ISSUER = "issuer"


@dataclass(frozen=True)
class Mark:
    """Every lease made before `before` is over; remembered until `kept_until`. UTC, whole seconds."""

    before: datetime.datetime
    kept_until: datetime.datetime

    @classmethod
    def of(cls, before: datetime.datetime, kept_until: datetime.datetime) -> Mark:
        """Return a mark of these moments, each moved up to the next whole second."""
        # Records keep whole seconds: cut, the mark would miss a lease made in the same second.
        return cls(_second_after(before), _second_after(kept_until))

    def joined(self, other: Mark | None) -> Mark:
        """Return the mark that ends what either of them ends."""
        if other is None:
            return self
        return Mark(max(self.before, other.before), max(self.kept_until, other.kept_until))


@dataclass(frozen=True)
class Revocations:
    """The marks of one kind, by name."""

    kind: Kind
    marks: Mapping[str, Mark] = field(default_factory=dict)

    def added(self, more: Mapping[str, Mark], now: datetime.datetime) -> Revocations:
        """Return these and `more`, without those that nothing is old enough for any more.

        Raises `Busy` if they would be more than `MOST_MARKS`.
        """
        marks = {name: mark for name, mark in self.marks.items() if mark.kept_until > now}
        marks.update({name: mark.joined(marks.get(name)) for name, mark in more.items()})
        if len(marks) > MOST_MARKS:
            raise Busy(
                f"More than {MOST_MARKS} revocations of one kind are remembered.",
                "Try again in a few minutes, or have the operator contain the issuer as a whole.",
            )
        return replace(self, marks=marks)

    def lifted(self, name: str) -> Revocations:
        """Return these without the one of `name`; raise `NotFound` if there is none."""
        if name not in self.marks:
            raise NotFound(
                f"No {self.kind.value} of this name is contained.",
                "Give the name as it was given to: credbroker admin contain",
            )
        return replace(self, marks={one: mark for one, mark in self.marks.items() if one != name})


View = Mapping[Kind, Mapping[str, Mark]]


def check_not_revoked(lease: Lease, view: View) -> None:
    """Raise `LeaseEnded` if a mark in `view` ends this lease."""
    ended = view.get(Kind.LEASE, {})
    if ended and any(one in ended for one in (lease.id, *lease.ancestors)):
        raise LeaseEnded("This lease was ended.")
    for kind, marks in view.items():
        if marks and kind is not Kind.LEASE and _is_before(lease, kind, marks):
            raise LeaseEnded(f"The operator has ended all leases of this {kind.value}.")


def check_name(kind: Kind, name: str) -> str:
    """Return `name` in the one form in which leases are held against it; raise `Malformed`.

    A lease is named by its id, a person by `<issuer>/<credkey>`, a host by its address.
    """
    if kind is Kind.LEASE and not _LEASE_ID.match(name):
        raise Malformed(
            "A lease is named by its id, 22 characters.",
            "The audit trail has it as `lease`; a whole lease token is never given here.",
        )
    if kind is Kind.PERSON:
        issuer, _, credkey = name.partition("/")
        return f"{check_short_name('issuer', issuer)}/{check_credkey(credkey)}"
    if kind is Kind.JOB:
        return check_job_name(name)
    if kind is Kind.HOST:
        address = _address(name)
        if isinstance(address, str):
            raise Malformed(
                "A host is named by its address.", "The audit trail has it as `address`."
            )
        return str(address)
    return check_short_name("issuer", name) if kind is Kind.ISSUER else name


def _is_before(lease: Lease, kind: Kind, marks: Mapping[str, Mark]) -> bool:
    found = (marks.get(name) for name in _names(lease, kind))
    return any(mark is not None and lease.created_at < mark.before for mark in found)


def _names(lease: Lease, kind: Kind) -> Iterator[str]:
    if kind is Kind.PERSON:
        yield from _people(lease.key)
    elif kind is Kind.JOB and lease.job is not None:
        yield lease.job
    elif kind is Kind.HOST:
        yield str(_address(lease.origin))
    elif kind is Kind.ISSUER:
        yield lease.key.issuer


def _people(key: GrantKey) -> Iterator[str]:
    """Yield the person, and each person whose robot it is."""
    name = f"{key.issuer}/{key.credkey}"
    while "/" in name:
        yield name
        name = name.rpartition("/")[0]


def _address(text: str) -> Union[ipaddress.IPv4Address, ipaddress.IPv6Address, str]:
    """Return an address in one form however a socket wrote it; other text as it is."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    mapped = getattr(address, "ipv4_mapped", None)
    return address if mapped is None else mapped


def _second_after(at: datetime.datetime) -> datetime.datetime:
    cut = at.replace(microsecond=0)
    return cut if cut == at else cut + datetime.timedelta(seconds=1)
