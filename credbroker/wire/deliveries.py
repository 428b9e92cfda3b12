"""The messages about deliveries: standing orders to keep tokens fresh in a person's sessions.

A host shows who it is once (`HOST_SESSIONS`) and is known by the host token that it gets. A person
places an order on the host; the host announces it to the broker (`DELIVERIES`), and the person
consents with a lease of a login (`consent`). From then on the host, or each host of the group, gets a
lease for exactly this order, and with it tokens as anybody else does. A host ends orders for itself;
one for a group is ended by its person.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import List, Optional

from credbroker.domain.secret import Secret
from credbroker.wire.message import LEASE_TOKEN, Message, Request

HOST_JOIN = "/api/v1/hosts/join"
HOST_SESSIONS = "/api/v1/hosts/sessions"
DELIVERIES = "/api/v1/deliveries"
MY_DELIVERIES = "/api/v1/deliveries/mine"
CONSENT = "/api/v1/deliveries/{id}/consent"
DELIVERY_LEASE = "/api/v1/deliveries/{id}/lease"
DELIVERY = "/api/v1/deliveries/{id}"

HOST_TOKEN = {"kind": "host token"}
JOIN_TOKEN = {"kind": "join token"}
CONSENT_CODE = {"kind": "consent code"}


@dataclass(frozen=True)
class JoinHost(Request):
    """Trade a join token for the right of `public_key` to speak for the host it was made for.

    `public_key` is a PEM SubjectPublicKeyInfo (RFC 5480) of an EC P-256 key made on the host.
    """

    join_token: Secret = field(metadata=JOIN_TOKEN)
    public_key: str


@dataclass(frozen=True)
class HostJoined(Message):
    """The name under which the key is known from now on."""

    host: str


@dataclass(frozen=True)
class OpenHostSession(Request):
    """Show who the host is: by `assertion`, or by the certificate of the TLS connection if absent.

    The assertion is a JWT (RFC 7523 section 3) signed by the host's key: `iss` and `sub` the host's
    name, `aud` the broker's public URL, `exp` at most 60 s ahead, a `jti` used once.
    """

    assertion: Optional[Secret] = field(default=None, metadata={"kind": "host assertion"})


@dataclass(frozen=True)
class HostSession(Message):
    """The token by which the host is known until `ends_at`, and the groups that it belongs to."""

    host_token: Secret = field(metadata=HOST_TOKEN)
    host: str
    groups: List[str]
    ends_at: datetime.datetime


@dataclass(frozen=True)
class AnnounceDelivery(Request):
    """Announce, as a host, an order that the person with this `uid` placed there.

    `name` names the file: absent for the usual place (`bt_u<uid>`), else a short name. `group` is one
    of the host's groups, absent for this host alone.
    """

    uid: int
    user: str
    issuer: str
    role: str
    scopes: List[str]
    audiences: List[str]
    name: Optional[str] = None
    group: Optional[str] = None
    replaces_foreign: bool = False


@dataclass(frozen=True)
class DeliveryAnnounced(Message):
    """An order that waits for consent until `expires_at`; the code goes to the person alone."""

    id: str
    consent_code: Secret = field(metadata=CONSENT_CODE)
    expires_at: datetime.datetime


@dataclass(frozen=True)
class ConsentDelivery(Request):
    """Consent, with the lease of a login, to an order as the host announced it.

    What the person was shown is repeated; it must be what was announced.
    """

    consent_code: Secret = field(metadata=CONSENT_CODE)
    uid: int
    user: str
    scopes: List[str]
    audiences: List[str]
    name: Optional[str] = None
    replaces_foreign: bool = False
    host: Optional[str] = None
    group: Optional[str] = None


@dataclass(frozen=True)
class DeliveryShown(Message):
    """A standing order, as its person and its hosts see it; exactly one of host and group is there."""

    id: str
    uid: int
    user: str
    issuer: str
    role: str
    scopes: List[str]
    audiences: List[str]
    replaces_foreign: bool
    ends_at: datetime.datetime
    name: Optional[str] = None
    host: Optional[str] = None
    group: Optional[str] = None


@dataclass(frozen=True)
class DeliveriesShown(Message):
    """Standing orders: a host's when a host asks, a person's when a person does.

    With `more` there are others: ask again for those past it, with `?after=` and this id.
    """

    deliveries: List[DeliveryShown]
    more: Optional[str] = None


@dataclass(frozen=True)
class DeliveryLease(Message):
    """The lease under which this host fetches the tokens of one order."""

    lease_token: Secret = field(metadata=LEASE_TOKEN)
    ends_at: datetime.datetime
