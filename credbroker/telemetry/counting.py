"""Counts what goes onto the audit trail, for `/metrics`: nothing is counted that was not written."""

from __future__ import annotations

import collections
from collections.abc import Collection, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from credbroker.ports import Audit

ALERTING = (("refresh_failed", "lost"), ("claim_left_behind", ""), ("secret_reused", ""))
"""Events, each with a state, of which an alert is to see the first: they are told before there is one."""


class CountedAudit:
    """An audit trail whose events are counted. Follows `ports.Audit`."""

    def __init__(self, audit: Audit, issuers: Collection[str], registry: CollectorRegistry) -> None:
        """Write to `audit`; label with the names in `issuers` and with nothing anybody typed."""
        self._audit = audit
        self._events = Counter(
            "credbroker_events",
            "lines of the audit trail; `state` is the grant's after a refresh",
            ["event", "issuer", "state"],
            registry=registry,
        )
        # Looking one up takes a lock, and more time than counting. They are as few as the labels.
        self._counters: dict[tuple[str, ...], Counter] = {}
        self.label_with(issuers)

    def label_with(self, issuers: Collection[str]) -> None:
        """Label with the names in `issuers` from now on."""
        self._issuers = frozenset(issuers)
        for issuer in self._issuers:
            for event, state in ALERTING:
                self._counter(event, issuer, state)

    async def record(self, event: str, /, **fields: object) -> None:
        """Write one line, then count it; see `ports.Audit`."""
        await self._audit.record(event, **fields)
        self._count(event, *_labels(fields, {}))

    async def record_all(
        self, event: str, lines: Sequence[Mapping[str, object]], /, **common: object
    ) -> None:
        """Write lines, then count them; see `ports.Audit`."""
        await self._audit.record_all(event, lines, **common)
        # Together, as those of a batch have the same labels.
        alike = collections.Counter([_labels(fields, common) for fields in lines])
        for (issuer, state), lines_alike in alike.items():
            self._count(event, issuer, state, lines_alike)

    def _count(self, event: str, issuer: str, state: str, lines: int = 1) -> None:
        known = issuer if issuer in self._issuers else ""
        self._counter(event, known, state).inc(lines)

    def _counter(self, *labels: str) -> Counter:
        counter = self._counters.get(labels)
        if counter is None:
            counter = self._counters[labels] = self._events.labels(*labels)
        return counter


def _labels(fields: Mapping[str, object], common: Mapping[str, object]) -> tuple[str, str]:
    """Return the issuer and the state that a line names."""
    issuer = fields.get("issuer", common.get("issuer", ""))
    return str(issuer), str(fields.get("state", common.get("state", "")))


def registry_over(counted: CollectorRegistry) -> CollectorRegistry:
    """Return a registry that has what is in `counted`, and room for more that does not go there."""
    registry = CollectorRegistry()
    registry.register(_Counted(counted))
    return registry


class _Counted(Collector):
    def __init__(self, counted: CollectorRegistry) -> None:
        self._counted = counted

    def collect(self) -> Iterable[Metric]:
        return self._counted.collect()
