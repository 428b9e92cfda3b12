"""Shows in `/metrics` how many notices wait; what became of those that were told the trail counts."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge


def show_notices(waiting: Callable[[], float], registry: CollectorRegistry) -> None:
    """Have each scrape of `registry` say how many logins are `waiting`."""
    gauge = Gauge(
        "credbroker_notices_waiting",
        "logins of which somebody may have to be told something",
        registry=registry,
    )
    gauge.set_function(waiting)
