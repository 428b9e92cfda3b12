"""Makes one scrape of several: what the workers of one service count, as one program's numbers.

- Counters and histograms are added up, those of workers that have ended or say nothing among them: a sum
  that falls would look like one that began anew, and all of it like news.
- What a gauge of several workers comes to is said here for each, and a test holds the list to the gauges
  that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

Rule = Callable[[Sequence[float]], float]


def _own(values: Sequence[float]) -> float:
    return values[0]


def _farthest(values: Sequence[float]) -> float:
    return max(values, key=abs)


GAUGES: Mapping[str, Rule] = {
    # Each worker keeps its own part, and does its own work.
    "credbroker_grants": sum,
    "credbroker_grants_expiring": sum,
    "credbroker_renewals_due": sum,
    "credbroker_notices_waiting": sum,
    "credbroker_issuer_refreshes_waiting": sum,
    "credbroker_issuer_refreshes_in_flight": sum,
    "process_virtual_memory_bytes": sum,
    "process_resident_memory_bytes": sum,
    "process_open_fds": sum,
    # What one lacks is lacking: the worst of them is told.
    "credbroker_issuer_open": min,
    "credbroker_issuer_answering": min,
    "credbroker_issuer_client_accepted": min,
    "credbroker_issuer_horizon_seconds": min,
    "credbroker_keeper_warm": min,
    "credbroker_vault_answering": min,
    "credbroker_replica_ready": min,
    "process_max_fds": min,
    "process_start_time_seconds": min,
    "credbroker_issuer_braked": max,
    "credbroker_vault_halted": max,
    "credbroker_audit_lag_seconds": max,
    "credbroker_replica_clock_off_seconds": _farthest,
    # All of them see the same; some may have looked earlier.
    "credbroker_spool_waiting_entries": max,
    "credbroker_replicas_live": max,
    "credbroker_build_info": max,
    # Only who is scraped has just asked.
    "credbroker_workers_silent": _own,
}
"""What a gauge comes to; the value of the worker that is scraped comes first."""

_COUNTED = frozenset({"counter", "histogram"})
_Samples = dict[tuple[str, tuple[tuple[str, str], ...]], list[float]]


def summed(texts: Sequence[str], counted: Sequence[str] = ()) -> bytes:
    """Return what these scrapes come to, in the same text format; the first is our own.

    Of those in `counted` there are only counters and histograms. A gauge that is not in the list, as of
    a worker of a newer version, counts by its highest value.
    """
    found: dict[str, Metric] = {}
    values: dict[str, _Samples] = {}
    for number, text in enumerate([*texts, *counted]):
        for family in text_string_to_metric_families(text):
            if number >= len(texts) and family.type not in _COUNTED:
                continue
            found.setdefault(family.name, family)
            kept = values.setdefault(family.name, {})
            for sample in family.samples:
                at = (sample.name, tuple(sorted(sample.labels.items())))
                kept.setdefault(at, []).append(sample.value)
    families = [_family(family, values[name]) for name, family in found.items()]
    registry = CollectorRegistry()
    registry.register(_Fixed(families))
    return generate_latest(registry)


def _family(family: Metric, values: _Samples) -> Metric:
    rule: Rule = GAUGES.get(family.name, max) if family.type == "gauge" else sum
    family.samples = [
        Sample(name, dict(labels), rule(counted)) for (name, labels), counted in values.items()
    ]
    return family


class _Fixed(Collector):
    """Numbers that are given."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families
