"""Revocations: a lease is over, or all that a person, a job, a host or an issuer had until a moment.

Of what we sign ourselves: one token is over, or all that a client was given; see `check_signed`.

- A mark ends every lease that was made before its moment, so that later logins work.
- A mark on a lease ends it and all that were made from it, whenever those were made.
- A mark on a person or an issuer ends what else was proved before: the grants, tickets and ssh keys
  that were there open nothing until the person has logged in at the issuer again.
- A person's mark holds for their robots, too, whose identity keys lie below `<credkey>/`.
- A mark on a host ends what it had in hand; a key that it joined with, or a certificate, from before
  opens no session any more.
- Names count as equal however their letters are composed (Unicode NFC).
- A mark on a client of one of our own communities stops the client for as long as it stands, and ends
  the tokens from before that were signed for it, or about a subject of that name.
- A mark on a token, by its `jti`, ends that one, and refresh tokens that came of it; a service that
  revokes its own has it kept for as long as any of these would live.
- Marks are bounded: one that no lease can be old enough for is dropped with the next write.
"""

from __future__ import annotations

import datetime
import enum
import ipaddress
import re
import unicodedata
from dataclasses import dataclass, field, replace
from typing import Iterable, Iterator, Mapping, Union

from credbroker.domain.errors import (
    Busy,
    ClientNotAllowed,
    LeaseEnded,
    Malformed,
    NotFound,
    TokenRefused,
)
from credbroker.domain.hosts import check_host_name
from credbroker.domain.leases import Lease, check_job_name
from credbroker.domain.names import GrantKey, check_credkey, check_short_name

MOST_BYTES = 900_000
"""A record of as many comes near to the largest that OpenBao/Vault takes (1 MiB)."""

ENDED_BYTES = 700_000
"""What the ends of single leases, or tokens, may fill: whoever ends many leaves room for what operators end."""

LONGEST_SECONDS = 366 * 86400.0
"""No lease lasts longer, so no mark matters longer; the settings are held to it."""

SIGNED_SECONDS = LONGEST_SECONDS / 2
"""Nothing that we sign, and no refresh token of ours, counts longer; the settings are held to it."""

CLOCKS_OFF_SECONDS = 60.0
"""A lease bears its maker's time, which may be so far ahead before that replica stops working."""

# A mark's two moments, and what stands around them and its name.
_BESIDE_NAME_BYTES = 32
_LEASE_ID = re.compile(r"[A-Za-z0-9_-]{22}\Z")
_ONE_WORD = re.compile(r"[\x21-\x7E]{1,255}\Z")
# A person's `sub` may have spaces.
_SUBJECT = re.compile(r"[\x20-\x7E]{1,255}\Z")


class Kind(enum.Enum):
    """What all leases of can be ended at once."""

    LEASE = "lease"
    PERSON = "person"
    JOB = "job"
    HOST = "host"
    ISSUER = "issuer"
    CLIENT = "client"
    TOKEN = "token"  # noqa: S105 - a word, and no secret


OF_LEASES = frozenset({Kind.LEASE, Kind.PERSON, Kind.JOB, Kind.HOST, Kind.ISSUER})
"""The kinds whose marks end leases; the others are about what we sign ourselves."""


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

    def added(
        self, more: Mapping[str, Mark], now: datetime.datetime, most_bytes: int = MOST_BYTES
    ) -> Revocations:
        """Return these and `more`, without those that nothing is old enough for any more.

        Raises `Busy` if they would need more than `most_bytes` in the store.
        """
        marks = self.living(now)
        marks.update({name: mark.joined(marks.get(name)) for name, mark in more.items()})
        if sum(_BESIDE_NAME_BYTES + _bytes(name) for name in marks) > most_bytes:
            raise Busy(
                f"There is no room for more revocations of this kind ({len(marks) - len(more)}).",
                "Try again in a few minutes, or have the operator contain the issuer or client.",
            )
        return replace(self, marks=marks)

    def living(self, now: datetime.datetime) -> dict[str, Mark]:
        """Return those that something may be old enough for."""
        return {name: mark for name, mark in self.marks.items() if mark.kept_until > now}

    def lifted(self, name: str) -> Revocations:
        """Return these without the one of `name`; raise `NotFound` if there is none."""
        if name not in self.marks:
            raise NotFound(
                f"No {self.kind.value} of this name is contained.",
                "Give the name as it was given to: credbroker admin contain",
            )
        return replace(self, marks={one: mark for one, mark in self.marks.items() if one != name})


View = Mapping[Kind, Mapping[str, Mark]]


def made_until(now: datetime.datetime) -> datetime.datetime:
    """Return the moment before which all was made that was made until now, by any replica's clock."""
    return now + datetime.timedelta(seconds=CLOCKS_OFF_SECONDS)


def check_not_revoked(lease: Lease, view: View) -> None:
    """Raise `LeaseEnded` if a mark in `view` ends this lease."""
    ended = view.get(Kind.LEASE, {})
    if ended and any(one in ended for one in (lease.id, *lease.ancestors)):
        raise LeaseEnded("This lease was ended.")
    for kind, marks in view.items():
        if marks and kind is not Kind.LEASE and _is_before(lease, kind, marks):
            raise LeaseEnded(f"The operator has ended all leases of this {kind.value}.")


def check_proof(key: GrantKey, proved_at: datetime.datetime, view: View) -> None:
    """Raise `LeaseEnded` if a mark in `view` ends what this person or robot proved at that moment."""
    for kind, mark in _on_person(key, view):
        if proved_at < mark.before:
            raise LeaseEnded(f"The operator has ended all earlier logins of this {kind.value}.")


def check_host(name: str, address: str, proved_at: datetime.datetime, view: View) -> None:
    """Raise `LeaseEnded` if a mark in `view` ends what this host, at this address, had then."""
    marks = view.get(Kind.HOST, {})
    for one in (name, str(_address(address))) if marks else ():
        mark = marks.get(one)
        if mark is not None and proved_at < mark.before:
            raise LeaseEnded(
                f"The operator has contained this host: what it had before {mark.before:%H:%M:%S} UTC"
                f" on {mark.before:%Y-%m-%d} is over.",
                "Ask the operator. Then join it anew, or give it a new certificate.",
            )


def check_client(community: str, client_id: str, view: View) -> None:
    """Raise `ClientNotAllowed` if a mark in `view` stops this client of one of our communities."""
    if f"{community}/{client_id}" in view.get(Kind.CLIENT, {}):
        raise ClientNotAllowed(
            "The operator has contained this client.",
            "Ask the operator, who changes its secret and then lifts the containment.",
        )


def check_signed(
    community: str, names: Iterable[str], jti: str, signed_at: datetime.datetime, view: View
) -> None:
    """Raise `TokenRefused` if a mark in `view` ends what we signed, then, as the token `jti`.

    `names` are its client's, its subject's, and those of all who acted.
    """
    if jti in view.get(Kind.TOKEN, {}):
        raise TokenRefused("This token was revoked.")
    marks = view.get(Kind.CLIENT)
    for name in names if marks else ():
        mark = marks.get(f"{community}/{name}") if marks else None
        if mark is not None and signed_at < mark.before:
            raise TokenRefused("The operator has ended what this client or subject had.")


def moment_of_proof(key: GrantKey, now: datetime.datetime, view: View) -> datetime.datetime:
    """Return when somebody counts as having proved `now`, at the issuer, to be this person.

    A mark reaches ahead by what a replica's clock may be ahead. Who logs in where the mark is known
    certainly does so after it was made, and need not wait for that time to pass.
    """
    slack = datetime.timedelta(seconds=2 * CLOCKS_OFF_SECONDS)
    known = (mark.before for _, mark in _on_person(key, view) if mark.before - now <= slack)
    return max([now, *known])


def check_name(kind: Kind, name: str) -> str:
    """Return `name` in the one form in which leases are held against it; raise `Malformed`.

    A lease is named by its id, a person by `<issuer>/<credkey>`, a host by its address, or by the
    name that it is delivered to by. A client is named by `<community>/<client id>`, and so is the
    subject of tokens; a token by its `jti`.
    """
    if kind is Kind.LEASE and not _LEASE_ID.match(name):
        raise Malformed(
            "A lease is named by its id, 22 characters.",
            "The audit trail has it as `lease`; a whole lease token is never given here.",
        )
    if kind is Kind.PERSON:
        issuer, _, credkey = name.partition("/")
        return f"{check_short_name('issuer', issuer)}/{_composed(check_credkey(credkey))}"
    if kind is Kind.JOB:
        return _composed(check_job_name(name))
    if kind is Kind.HOST:
        address = _address(name)
        return check_host_name(address) if isinstance(address, str) else str(address)
    if kind is Kind.CLIENT:
        community, _, client_id = name.partition("/")
        if not _SUBJECT.match(client_id):
            raise Malformed(
                "A client, or a subject, is named by 1 to 255 printable ASCII characters."
            )
        return f"{check_short_name('community', community)}/{client_id}"
    if kind is Kind.TOKEN and not _ONE_WORD.match(name):
        raise Malformed("A token is named by its jti, 1 to 255 printable ASCII characters.")
    return check_short_name("issuer", name) if kind is Kind.ISSUER else name


def is_address(name: str) -> bool:
    """True if a host is named by its address, not by the name that it is delivered to by."""
    return not isinstance(_address(name), str)


def _on_person(key: GrantKey, view: View) -> Iterator[tuple[Kind, Mark]]:
    """Walk the marks on a person, on those whose robot it is, and on the issuer."""
    if people := view.get(Kind.PERSON):
        yield from ((Kind.PERSON, people[name]) for name in _people(key) if name in people)
    if (mark := view.get(Kind.ISSUER, {}).get(key.issuer)) is not None:
        yield Kind.ISSUER, mark


def _is_before(lease: Lease, kind: Kind, marks: Mapping[str, Mark]) -> bool:
    found = (marks.get(name) for name in _names(lease, kind))
    return any(mark is not None and lease.created_at < mark.before for mark in found)


def _names(lease: Lease, kind: Kind) -> Iterator[str]:
    if kind is Kind.PERSON:
        yield from _people(lease.key)
    elif kind is Kind.JOB and lease.job is not None:
        yield _composed(lease.job)
    elif kind is Kind.HOST:
        yield str(_address(lease.origin))
        yield lease.host
    elif kind is Kind.ISSUER:
        yield lease.key.issuer


def _people(key: GrantKey) -> Iterator[str]:
    """Yield the person, and each person whose robot it is."""
    name = f"{key.issuer}/{_composed(key.credkey)}"
    while "/" in name:
        yield name
        name = name.rpartition("/")[0]


def _composed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _bytes(name: str) -> int:
    """Return how many bytes a name takes in a record, where some characters become escapes."""
    escapes = 5 * sum(map(name.count, "<>&")) + 3 * sum(map(name.count, '"\\'))
    plain = len(name.encode("ascii", "ignore"))
    others = len(name.encode("utf-16-le", "replace")) // 2 - plain
    return plain + 7 * others + escapes


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
