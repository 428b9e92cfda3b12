"""What people say to the agent of their host over its local socket, and what it answers.

One line of JSON each way on a connection of its own. Who speaks is not in a message: the kernel tells
the agent the uid at the other end (SO_PEERCRED), and each person speaks for the own uid alone.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import List, Optional

from credbroker.domain.secret import Secret
from credbroker.wire.deliveries import CONSENT_CODE
from credbroker.wire.message import Message, Request
from credbroker.wire.native import Problem

SOCKET = "/run/credbroker/agent.sock"
"""Where the agent listens unless its settings say otherwise."""

LARGEST_LINE_BYTES = 16 * 1024

PLACE = "place"
LIST = "list"
END = "end"
LOOK = "look"


@dataclass(frozen=True)
class WantedDelivery(Request):
    """A token that a person wants to find on this host; `name` and `group` as in `AnnounceDelivery`."""

    issuer: str
    role: str
    scopes: List[str]
    audiences: List[str]
    name: Optional[str] = None
    group: Optional[str] = None
    replaces_foreign: bool = False


@dataclass(frozen=True)
class AskAgent(Request):
    """One request, by its `deed`.

    `PLACE` announces what is `wanted`, `LIST` asks for the person's orders on this host, `END` takes
    back the order with this `id`, `LOOK` says that something has changed at the broker.
    """

    deed: str
    wanted: Optional[WantedDelivery] = None
    id: Optional[str] = None


@dataclass(frozen=True)
class DeliveryPlaced(Message):
    """An order of `user` that waits for consent until `expires_at`, and the file that it is about."""

    id: str
    consent_code: Secret = field(metadata=CONSENT_CODE)
    expires_at: datetime.datetime
    host: str
    user: str
    path: str


@dataclass(frozen=True)
class DeliverySeen(Message):
    """An order of the person on this host, its file, and how it stands, in words."""

    id: str
    path: str
    state: str


@dataclass(frozen=True)
class AgentAnswer(Message):
    """What became of a request: a problem, or what was asked for."""

    what = "The agent's answer"

    problem: Optional[Problem] = None
    placed: Optional[DeliveryPlaced] = None
    seen: Optional[List[DeliverySeen]] = None
