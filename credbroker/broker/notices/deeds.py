"""Wires together what tells people in time, over the broker's own deeds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from credbroker.broker.engine import Engine
from credbroker.broker.keeper.clearing import Clearable
from credbroker.broker.notices.choosing import Choosing
from credbroker.broker.notices.clearing import NoticesClearing
from credbroker.broker.notices.depending import Depending
from credbroker.broker.notices.handing_out import HandingOut
from credbroker.broker.notices.sending import Sending
from credbroker.broker.notices.telling import MAIL, Around, Telling
from credbroker.broker.running import Means
from credbroker.domain.deliveries import Delivery
from credbroker.domain.grants import Grant
from credbroker.domain.leases import Lease
from credbroker.domain.notices import Cause, Choice, NoticeRules, ToldRecord
from credbroker.domain.shards import shards_of
from credbroker.ports import Channel, RecordStore

AWAY_SECONDS = 600.0
"""So long an issuer does not answer before its operator is told."""


@dataclass(frozen=True, slots=True)
class NoticeStores:
    """What is kept of grants, of what was told, and of what people chose."""

    grants: RecordStore[Grant]
    told: Clearable[ToldRecord]
    choices: RecordStore[Choice]


@dataclass(frozen=True, slots=True)
class NoticeBounds:
    """What the settings say: where people see their grants, when what is due, and how many a minute."""

    public_url: str
    rules: NoticeRules
    most_per_minute: int


@dataclass(frozen=True, slots=True)
class Notices:
    """Those deeds, of one replica."""

    telling: Telling
    choosing: Choosing
    clearing: NoticesClearing
    lasting: Mapping[str, Callable[[], Coroutine[Any, Any, None]]]
    """What runs for as long as the process does: nothing where there is no way to tell."""


def assemble(
    engine: Engine,
    stores: NoticeStores,
    channels: Mapping[str, Channel],
    means: Means,
    *,
    bounds: NoticeBounds,
    orders_with: Callable[[Lease], Awaitable[Sequence[Delivery]]],
) -> Notices:
    """Return these deeds; the telling hears from now on of what the `engine` keeps and stores.

    `orders_with` gives the deliveries that stand on a lease's login.
    """
    choosing = Choosing(stores.choices, means, offers_mail=MAIL in channels)
    sendings = [Sending(name, channel, means) for name, channel in channels.items()]
    telling = Telling(
        stores.grants,
        HandingOut(stores.told, sendings, means, public_url=bounds.public_url),
        means.clock,
        depending=Depending(engine.leasing, orders_with),
        choosing=choosing,
        around=Around(lambda: _shards(engine), lambda: issuer_troubles(engine, means)),
        rules=bounds.rules,
        most_per_round=bounds.most_per_minute,
    )
    clearing = NoticesClearing(stores.told, engine.replicas, means)
    if not channels:
        return Notices(telling, choosing, clearing, {})
    engine.keeping.listeners.append(telling.learn)
    lasting = {"telling": telling.run, "clearing notices": clearing.run}
    return Notices(telling, choosing, clearing, lasting)


def issuer_troubles(engine: Engine, means: Means) -> dict[str, list[Cause]]:
    """Return what an operator should know of each issuer in trouble, as this replica sees it.

    An issuer that has just fallen silent is one in trouble of which nothing is told yet.
    """
    found: dict[str, list[Cause]] = {}
    for name, gate in engine.gates.items():
        standing = gate.standing()
        since = standing.since
        lasts = since is not None and (means.clock.now() - since).total_seconds() >= AWAY_SECONDS
        told = [
            *([Cause.ISSUER_BRAKED] if standing.braked else []),
            *([Cause.CLIENT_REJECTED] if standing.client_paused else []),
        ]
        away = standing.away and not standing.client_paused
        if told or away:
            found[name] = [*told, *([Cause.ISSUER_AWAY] if away and lasts else [])]
    return found


def _shards(engine: Engine) -> frozenset[int]:
    return shards_of(engine.replicas.name, engine.replicas.live())
