"""How many notices wait is read when somebody asks."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from credbroker.telemetry.notices import show_notices


def test_each_scrape_says_how_many_wait_then() -> None:
    """Without anybody counting along."""
    waits, registry = [3.0], CollectorRegistry()
    show_notices(lambda: waits[0], registry)
    assert registry.get_sample_value("credbroker_notices_waiting") == 3.0
    waits[0] = 0.0
    assert registry.get_sample_value("credbroker_notices_waiting") == 0.0
