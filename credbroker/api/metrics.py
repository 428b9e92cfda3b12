"""`/metrics`: what a monitoring system watches, in Prometheus's text format (version 0.0.4).

Numbers are read when they are asked for, from what the deeds know anyway; only events are counted,
by `telemetry.counting`. A label is an issuer's short name, a state or an event: never a person, a
lease or anything that somebody typed. So whoever reaches the port may read it.

Of several workers behind one port any may be scraped: it asks the others, and answers for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web
from prometheus_client import (
    CollectorRegistry,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from credbroker import __version__
from credbroker.api.outlook import IssuerOutlook, Outlook
from credbroker.broker.engine import Engine
from credbroker.ports import Clock
from credbroker.telemetry.summing import summed

Samples = Iterable[tuple[Sequence[str], float]]
"""Values by their labels."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What the numbers of one replica are read from.

    `troubles` says why this replica is not ready, `seconds_off` how far its clock is ahead of
    OpenBao/Vault's, `audit_lag` for how many seconds a line of the audit trail waits for the disk.
    """

    engine: Engine
    outlook: Outlook
    clock: Clock
    troubles: Callable[[], list[str]]
    seconds_off: Callable[[], float]
    audit_lag: Callable[[], float]


class Others(Protocol):
    """The other workers behind the port; see `host.siblings`."""

    async def tell(self, text: Callable[[], bytes]) -> None:
        """Say `text` to whoever of them asks, for ever."""

    async def ask(self) -> Told:
        """Return what they say."""

    def keep(self, text: bytes) -> None:
        """Leave `text` as what we said last."""

    def before(self) -> str:
        """Return what was said last by the worker whose place we took; empty if there was none."""


class Told(Protocol):
    """What they said; `silent` of them said nothing now."""

    @property
    def texts(self) -> Sequence[str]:
        """What each of the others said."""

    @property
    def silent(self) -> int:
        """How many said nothing in time."""

    @property
    def kept(self) -> Sequence[str]:
        """What these had said last."""


class Metrics:
    """Answers scrapes."""

    def __init__(
        self, sources: Sources, registry: CollectorRegistry, others: Others | None = None
    ) -> None:
        """Add the numbers of `sources`, and this program's own, to what `registry` counts.

        If there are `others`, an answer is for them, too.
        """
        # When each counter began would double the answer, and nobody asks.
        disable_created_metrics()  # type: ignore[no-untyped-call] # from the library
        self._registry = registry
        self._others = others
        self._before = others.before() if others is not None else ""
        registry.register(_Gauges(sources))
        ProcessCollector(registry=registry)
        self._silent = Gauge(
            "credbroker_workers_silent",
            "workers behind this port that did not say within a second what to add for them",
            registry=registry,
        )

    def routes(self) -> list[web.RouteDef]:
        """Return the scrape's route."""
        return [web.get("/metrics", self.scrape)]

    async def scrape(self, _request: web.Request) -> web.Response:
        """Answer with every number as it is now."""
        return web.Response(body=await self._body(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def tell(self) -> None:
        """Tell the other workers our numbers whenever they ask, for ever."""
        if self._others is None:
            await asyncio.Event().wait()
        else:
            await self._others.tell(self._own)

    async def _body(self) -> bytes:
        if self._others is None:
            return self._own()
        told = await self._others.ask()
        self._silent.set(told.silent)
        return summed([self._own().decode(), *told.texts], told.kept)

    def _own(self) -> bytes:
        """Return our numbers, with what was counted by the workers before us in our place."""
        own = generate_latest(self._registry)
        if self._others is None:
            return own
        if self._before:
            own = summed([own.decode()], [self._before])
        self._others.keep(own)
        return own


ISSUER_GAUGES: Sequence[tuple[str, str, Callable[[IssuerOutlook], float]]] = (
    (
        "issuer_open",
        "1 while refreshes pass to the issuer",
        lambda one: one.is_open,
    ),
    (
        "issuer_answering",
        "0 while the issuer is left alone because it does not answer as it should",
        lambda one: not one.gate.away,
    ),
    (
        "issuer_client_accepted",
        "0 while the issuer does not accept the broker's own client",
        lambda one: not one.gate.client_paused,
    ),
    (
        "issuer_braked",
        "1 while the issuer is not believed that logins are dead, until an operator has looked",
        lambda one: one.gate.braked,
    ),
    (
        "issuer_refreshes_waiting",
        "refreshes that wait for their turn",
        lambda one: one.gate.waiting,
    ),
    (
        "issuer_refreshes_in_flight",
        "refreshes under way",
        lambda one: one.gate.in_flight,
    ),
)


class _Gauges(Collector):
    """What stands now, as against what has happened."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        yield from self._of_issuers()
        yield from self._of_grants()
        yield from self._of_vault()
        yield from self._of_replicas()

    def _of_issuers(self) -> Iterator[Metric]:
        issuers, now = self._sources.outlook.issuers(), self._sources.clock.now()
        for name, meaning, value in ISSUER_GAUGES:
            yield _gauge(name, meaning, [([one.name], value(one)) for one in issuers], ["issuer"])
        yield _gauge(
            "issuer_horizon_seconds",
            "until the first token expires that somebody lives on, at any replica: so long the"
            " issuer may be away; absent while nobody lives on one",
            [
                ([one.name], max(0.0, (one.horizon - now).total_seconds()))
                for one in issuers
                if one.horizon is not None
            ],
            ["issuer"],
        )

    def _of_grants(self) -> Iterator[Metric]:
        keeping = self._sources.engine.keeping
        yield _gauge(
            "grants",
            "logins that this replica keeps, by the state of their grants; `unread` and `damaged`"
            " ones without an issuer",
            keeping.census().items(),
            ["issuer", "state"],
        )
        yield _gauge(
            "grants_expiring",
            "of those, how many need a new login in the next days",
            _one(keeping.expiring),
        )
        yield _gauge(
            "renewals_due",
            "renewals ahead, and what else logins need, that are due here and not done",
            [([issuer], count) for issuer, count in keeping.due().items()],
            ["issuer"],
        )
        yield _gauge(
            "keeper_warm",
            "1 once this replica has read all grants that it keeps",
            _one(keeping.is_warm),
        )

    def _of_vault(self) -> Iterator[Metric]:
        outlook = self._sources.outlook
        yield _gauge(
            "vault_answering",
            "0 while OpenBao/Vault does not answer",
            _one(not outlook.store_is_silent),
        )
        yield _gauge(
            "vault_halted",
            "1 while nothing is refreshed because OpenBao/Vault was restored from a snapshot",
            _one(outlook.store_is_halted),
        )
        yield _gauge(
            "spool_waiting_entries",
            "refresh tokens left behind in this host's spools that have found no place yet",
            _one(self._sources.engine.beating.waiting_entries),
        )

    def _of_replicas(self) -> Iterator[Metric]:
        yield _gauge(
            "replicas_live",
            "replicas that live, this one among them",
            _one(len(self._sources.engine.replicas.live())),
        )
        yield _gauge(
            "replica_ready",
            "1 while `/readyz` is green",
            _one(not self._sources.troubles()),
        )
        yield _gauge(
            "audit_lag_seconds",
            "for how long the oldest line of the audit trail has waited that is not on disk",
            _one(self._sources.audit_lag()),
        )
        yield _gauge(
            "replica_clock_off_seconds",
            "how far this host's clock is ahead of OpenBao/Vault's; negative if it is behind",
            _one(self._sources.seconds_off()),
        )
        yield _gauge(
            "build_info",
            "1; the label says which version runs",
            [([__version__], 1)],
            ["version"],
        )


def _gauge(name: str, meaning: str, samples: Samples, labels: Sequence[str] = ()) -> Metric:
    family = GaugeMetricFamily(f"credbroker_{name}", meaning, labels=labels)
    for at, value in samples:
        family.add_metric(at, float(value))
    return family


def _one(value: float) -> Samples:
    return [([], value)]
