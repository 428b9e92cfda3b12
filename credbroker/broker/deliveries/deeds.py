"""Wires the deeds of deliveries together, over the broker's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from credbroker.broker.deliveries.clearing import DeliveryClearing, DeliveryStores
from credbroker.broker.deliveries.delivering import Delivering
from credbroker.broker.deliveries.hosting import Hosting, HostRules
from credbroker.broker.deliveries.joining import Joining, Signatures
from credbroker.broker.deliveries.ordering import Ordering
from credbroker.broker.deliveries.standing import Standing
from credbroker.broker.engine import Engine
from credbroker.broker.running import Means


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Those deeds, of one replica."""

    joining: Joining
    hosting: Hosting
    ordering: Ordering
    delivering: Delivering
    clearing: DeliveryClearing
    standing: Standing


def assemble(
    engine: Engine,
    stores: DeliveryStores,
    means: Means,
    *,
    signatures: Signatures,
    rules: HostRules,
    roles: Mapping[str, Collection[str]],
) -> Deliveries:
    """Return these deeds over the stores and the `engine` of the same replica.

    `roles` are those served, by issuer.
    """
    joining = Joining(
        stores.hosts, means, signatures=signatures, judge=engine.containing.judge_host
    )
    standing = Standing(stores.standing, engine.leasing, means)
    return Deliveries(
        joining=joining,
        hosting=Hosting(
            stores.sessions,
            joining,
            means,
            signatures=signatures,
            containing=engine.containing,
            rules=rules,
        ),
        ordering=Ordering(
            stores.waiting,
            standing,
            means,
            leasing=engine.leasing,
            minting=engine.minting,
            roles=roles,
        ),
        delivering=Delivering(
            stores.held, standing, means, leasing=engine.leasing, minting=engine.minting
        ),
        clearing=DeliveryClearing(stores, engine.replicas, means),
        standing=standing,
    )
