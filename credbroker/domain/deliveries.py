"""Deliveries: standing orders to keep a token fresh in one person's sessions, on a host or a group.

- A host announces what the person of one uid ordered there. It becomes an order only when a person
  consents with a login, within ten minutes, by the code that the host gave them, to exactly that.
- An order lives by a lease of its own, made from the login's: it reaches no wider than was consented
  to, ends with the login at the latest, and with it ends what any host got for the order.
- An order lies in two places: below its host or group, and below its login. Each finds its own by
  what the segments begin with, and nobody looks through all of them.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Iterable

from credbroker.domain.attenuation import Wanted
from credbroker.domain.errors import Malformed, NotAllowed, NotFound
from credbroker.domain.leases import DEEPEST, Lease, check_login
from credbroker.domain.names import GrantKey, check_short_name
from credbroker.domain.scopes import ScopeSet

CONSENT_SECONDS = 600.0
MOST_OF_A_LOGIN = 50
"""So many orders may stand on one login."""
MOST_SCOPES = 100
MOST_AUDIENCES = 20
MOST_CHARACTERS = 8192
"""So long may all scopes and audiences of an order be together: one order must not crowd out others."""
PAGE_CHARACTERS = 400_000
"""About so long is what is told of orders at once; those who read it take a megabyte."""
CHANCE_BYTES = 10
"""The random part of an order's id, which need not be hard to guess."""

_TAG_BYTES = 5
_BESIDE_CHARACTERS = 800
_TAG_LETTERS = 8
_ID = re.compile(r"[A-Za-z0-9_-]{22}\Z")
_LARGEST_UID = 2**32 - 2
_LONGEST_AUDIENCE = 512
_LONGEST_USER = 128
_LONGEST_JOB = 200
_ORDER_ANEW = "Order it again on its host with: credbroker deliver"


@dataclass(frozen=True)
class Target:
    """Where tokens are delivered to: one host, or each host of a group."""

    name: str
    is_group: bool = False

    def tag(self) -> str:
        """Return the 8 characters that the ids of orders for it begin with."""
        return _tag(f"deliveries to {'group' if self.is_group else 'host'} {self.name}")

    def __str__(self) -> str:
        return f"{'group' if self.is_group else 'host'} {self.name}"


@dataclass(frozen=True)
class Ordered:
    """What somebody ordered: whose file it is, where, and what the token in it may do.

    `name` names the file, and is empty for the usual place. With `replaces_foreign` a file there that
    the agent did not write may be replaced. Empty audiences leave them to the issuer.
    """

    target: Target
    uid: int
    user: str
    issuer: str
    role: str
    scopes: tuple[str, ...]
    audiences: tuple[str, ...] = ()
    name: str = ""
    replaces_foreign: bool = False

    def wanted(self) -> Wanted:
        """Return what to ask of the login."""
        return Wanted(ScopeSet.of(self.scopes), self.audiences or None)


def check_ordered(ordered: Ordered) -> Ordered:
    """Return the order if it can be one; raise `Malformed`, naming what is wrong."""
    if not 0 < ordered.uid <= _LARGEST_UID:
        raise Malformed("An order's uid must be a person's; root is nobody's.")
    if not _is_word(ordered.user, _LONGEST_USER):
        raise Malformed("An order's user must be a name without spaces.")
    check_short_name("issuer", ordered.issuer)
    check_short_name("role", ordered.role)
    if ordered.name:
        check_short_name("file", ordered.name)
    if not 0 < len(ordered.scopes) <= MOST_SCOPES:
        raise Malformed(f"An order names between 1 and {MOST_SCOPES} scopes.")
    ScopeSet.of(ordered.scopes)
    if len(ordered.audiences) > MOST_AUDIENCES or not all(
        _is_word(one, _LONGEST_AUDIENCE) for one in ordered.audiences
    ):
        raise Malformed(f"An order names at most {MOST_AUDIENCES} audiences, each without spaces.")
    if sum(map(len, (*ordered.scopes, *ordered.audiences))) > MOST_CHARACTERS:
        raise Malformed(f"An order's scopes and audiences have {MOST_CHARACTERS} letters at most.")
    return ordered


def _is_word(text: str, longest: int) -> bool:
    return 0 < len(text) <= longest and text.isprintable() and " " not in text


def check_id(delivery_id: str) -> str:
    """Return the id if it can be an order's; raise `NotFound` if not, before it reaches a path."""
    if not _ID.match(delivery_id):
        raise NotFound("There is no such order.", "An order's id has 22 characters.")
    return delivery_id


@dataclass(frozen=True)
class Announced:
    """An order that waits for consent until `expires_at`, as `host` announced it."""

    id: str
    ordered: Ordered
    host: str
    code_hash: str
    expires_at: datetime.datetime


def announced(
    ordered: Ordered, host: str, chance: str, code_hash: str, now: datetime.datetime
) -> Announced:
    """Make what waits for consent; `chance` is `CHANCE_BYTES` random bytes as base64url."""
    until = now + datetime.timedelta(seconds=CONSENT_SECONDS)
    return Announced(ordered.target.tag() + chance, ordered, host, code_hash, until)


@dataclass(frozen=True)
class Shown:
    """What a person was shown and consents to, by whose code; the fields as `Ordered` has them."""

    target: Target
    uid: int
    user: str
    scopes: tuple[str, ...]
    audiences: tuple[str, ...]
    name: str
    replaces_foreign: bool
    code_hash: str

    def is_of(self, ordered: Ordered) -> bool:
        """True if it is this that was shown, in whatever order its lists stood."""
        alike = (set(ordered.scopes), set(ordered.audiences)) == (
            set(self.scopes), set(self.audiences)
        )  # fmt: skip
        return alike and (
            ordered.target, ordered.uid, ordered.user, ordered.name, ordered.replaces_foreign
        ) == (self.target, self.uid, self.user, self.name, self.replaces_foreign)  # fmt: skip


def check_consent(
    found: Announced | None, shown: Shown, key: GrantKey, now: datetime.datetime
) -> Announced:
    """Return the order if the person of the grant `key` may consent to it, having seen just that.

    Raises `NotFound` without saying whether it is the id or the code that is wrong, and `NotAllowed`
    if the login, or what was shown, is for something else.
    """
    if found is None or not hmac.compare_digest(found.code_hash, shown.code_hash):
        raise NotFound("No order waits for consent by this id and code.", _ORDER_ANEW)
    if now >= found.expires_at:
        raise NotFound("This order waited for consent for longer than 10 minutes.", _ORDER_ANEW)
    if not shown.is_of(found.ordered):
        raise NotAllowed("What was shown is not what the host has announced.", _ORDER_ANEW)
    if (found.ordered.issuer, found.ordered.role) != (key.issuer, key.role):
        raise NotAllowed(
            f"The order is for the role {found.ordered.role!r} of {found.ordered.issuer!r};"
            " this login is for another.",
            "Consent with a login for that issuer and role.",
        )
    return found


def check_may_consent(lease: Lease) -> None:
    """Raise `NotAllowed` unless orders can live by this lease: a login's own, or one made from it."""
    check_login(lease)
    if len(lease.ancestors) + 2 >= DEEPEST:  # the order's own lease and each host's lie below it
        raise NotAllowed(
            "This lease is too far from its login for orders to live by it.",
            "Consent with the login's own lease: credbroker login",
        )


@dataclass(frozen=True)
class Delivery:
    """An order that a person has consented to, with the login of a grant's `line`.

    `lease_id` is the lease that it lives by, whose token nobody has.
    """

    id: str
    ordered: Ordered
    key: GrantKey
    line: str
    lease_id: str
    code_hash: str
    consented_at: datetime.datetime
    ends_at: datetime.datetime

    def person_segment(self) -> str:
        """Return where it lies below its login; its id is where it lies below its target."""
        return person_tag(self.line) + self.id[_TAG_LETTERS:]

    def is_with(self, lease: Lease) -> bool:
        """True for a lease of the login that consented."""
        return (self.key, self.line) == (lease.key, lease.line)


def page(found: Iterable[Delivery], after: str) -> tuple[list[Delivery], str | None]:
    """Return the first of the orders past the id `after`, and the last one's id if there are more."""
    told: list[Delivery] = []
    size = 0
    for one in sorted(found, key=lambda one: one.id):
        if one.id <= after:
            continue
        size += _BESIDE_CHARACTERS + sum(map(len, (*one.ordered.scopes, *one.ordered.audiences)))
        if told and size > PAGE_CHARACTERS:
            return told, told[-1].id
        told.append(one)
    return told, None


def consented(found: Announced, lease: Lease) -> Delivery:
    """Make the order that lives by `lease`."""
    return Delivery(
        id=found.id,
        ordered=found.ordered,
        key=lease.key,
        line=lease.line,
        lease_id=lease.id,
        code_hash=found.code_hash,
        consented_at=lease.created_at,
        ends_at=lease.ends_at,
    )


def person_tag(line: str) -> str:
    """Return the 8 characters that the places of a login's own orders begin with."""
    return _tag(f"deliveries of login {line}")


@dataclass(frozen=True)
class HostLease:
    """Which lease a host has for an order now: the last one that it asked for."""

    delivery: str
    host: str
    lease_id: str
    ends_at: datetime.datetime

    def segment(self) -> str:
        """Return its place, 22 characters: there is one for each order and host."""
        return host_lease_segment(self.delivery, self.host)


def host_lease_segment(delivery: str, host: str) -> str:
    """Return the place of a host's lease for an order."""
    digest = hashlib.sha256(f"lease for delivery {delivery} on host {host}".encode()).digest()
    return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()


def job_of(delivery: str, host: str = "") -> str:
    """Return what a lease was made for: an order, or its delivery to one host; very long names are cut."""
    return f"delivery {delivery} on {host}"[:_LONGEST_JOB] if host else f"delivery {delivery}"


def _tag(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    # In letters that an id may begin with where commands take options.
    return base64.b32encode(digest[:_TAG_BYTES]).decode().lower()
