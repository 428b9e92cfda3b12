"""The numbers of several workers come to those of one service."""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from credbroker.telemetry.summing import GAUGES, summed


def scrape(**gauges: float) -> str:
    """Return a worker's text: a counter of 2, a histogram of one value, and these gauges."""
    registry = CollectorRegistry()
    events = Counter("credbroker_events", "lines", ["event"], registry=registry)
    events.labels("mint").inc(2)
    seconds = Histogram("credbroker_seconds", "how long", buckets=(1.0, 5.0), registry=registry)
    seconds.observe(3.0)
    for name, value in gauges.items():
        Gauge(name, "a gauge", ["issuer"], registry=registry).labels("cms").set(value)
    return generate_latest(registry).decode()


def value(text: bytes, sample: str) -> float:
    """Return a number by its name and labels."""
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text.decode(), re.MULTILINE)
    assert found is not None, sample
    return float(found[1])


def test_what_is_counted_adds_up() -> None:
    """Histograms bucket by bucket."""
    text = summed([scrape(), scrape(), scrape()])
    assert value(text, 'credbroker_events_total{event="mint"}') == 6
    assert value(text, 'credbroker_seconds_bucket{le="1.0"}') == 0
    assert value(text, 'credbroker_seconds_bucket{le="5.0"}') == 3
    assert value(text, "credbroker_seconds_sum") == 9.0


def test_each_gauge_goes_by_its_own_rule() -> None:
    """Parts add up, the worst counts, and what only who is scraped knows is theirs."""
    names = ["credbroker_grants", "credbroker_issuer_open", "credbroker_issuer_braked",
             "credbroker_replica_clock_off_seconds", "credbroker_workers_silent"]  # fmt: skip
    texts = [scrape(**dict.fromkeys(names, each)) for each in (1.0, -9.0, 3.0)]
    text = summed(texts)
    assert [value(text, f'{name}{{issuer="cms"}}') for name in names] == [-5, -9, 3, -9, 1]


def test_what_only_one_of_them_has_is_told() -> None:
    """Also a gauge that this version does not know."""
    text = summed([scrape(), scrape(credbroker_of_tomorrow=4.0, credbroker_grants=2.0)])
    assert value(text, 'credbroker_of_tomorrow{issuer="cms"}') == 4
    assert value(text, 'credbroker_grants{issuer="cms"}') == 2
    assert "credbroker_of_tomorrow" not in GAUGES


def test_of_who_is_silent_only_what_it_counted_is_told() -> None:
    """Prometheus takes a count that falls for one that began again, and sees all of it rise anew."""
    text = summed(
        [scrape(credbroker_grants=1.0)], counted=[scrape(credbroker_grants=2.0, gone=1.0)]
    )
    assert value(text, 'credbroker_events_total{event="mint"}') == 4
    assert value(text, 'credbroker_seconds_bucket{le="5.0"}') == 2
    assert value(text, 'credbroker_grants{issuer="cms"}') == 1
    assert b"gone" not in text


def test_a_single_scrape_stays_as_it_is() -> None:
    """Meanings and kinds among it."""
    alone = scrape(credbroker_grants=2.0)
    assert summed([alone]).decode() == alone
