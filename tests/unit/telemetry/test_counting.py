"""Events on the trail are counted once each, under names that an operator chose."""

from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry, Gauge

from credbroker.domain.errors import AuditUnavailable
from credbroker.telemetry.counting import CountedAudit, registry_over
from tests.fakes.audit import FakeAudit
from tests.house.test_alerts import alerts


def count(registry: CollectorRegistry, event: str, issuer: str = "", state: str = "") -> float:
    """Return how often an event was counted."""
    labels = {"event": event, "issuer": issuer, "state": state}
    return registry.get_sample_value("credbroker_events_total", labels) or 0.0


async def test_each_event_is_counted_with_its_issuer_and_state() -> None:
    """Once it is on the trail."""
    registry, audit = CollectorRegistry(), FakeAudit()
    counted = CountedAudit(audit, ["cms"], registry)
    await counted.record("refresh", issuer="cms", state="ready")
    await counted.record("refresh", issuer="cms", state="ready")
    assert count(registry, "refresh", "cms", "ready") == 2
    assert audit.events() == ["refresh", "refresh"]


async def test_each_of_many_lines_is_counted() -> None:
    """With the issuer, or the state, that it has or that they have in common."""
    registry, audit = CollectorRegistry(), FakeAudit()
    counted = CountedAudit(audit, ["cms"], registry)
    await counted.record_all("sign", [{"jti": "j-1"}, {"jti": "j-2"}], issuer="cms")
    assert count(registry, "sign", "cms") == 2
    assert [line["jti"] for line in audit.lines] == ["j-1", "j-2"]
    await counted.record_all("refresh", [{"state": "ready"}, {"state": "lost"}] * 2, issuer="cms")
    await counted.record_all("refresh", [{"issuer": "cms"}, {"issuer": "x"}], state="ready")
    found = [count(registry, "refresh", "cms", state) for state in ("ready", "lost")]
    assert (found, count(registry, "refresh", "", "ready")) == ([3, 2], 1)


async def test_what_somebody_typed_never_becomes_a_label() -> None:
    """Or a stranger could fill the memory of whoever scrapes."""
    registry = CollectorRegistry()
    counted = CountedAudit(FakeAudit(), ["cms"], registry)
    await counted.record("login_started", issuer="no such issuer")
    assert count(registry, "login_started") == 1


async def test_what_an_alert_waits_for_is_told_before_it_happens() -> None:
    """Prometheus sees no rise in what was not there before: the first of it would alert nobody."""
    registry = CollectorRegistry()
    counted = CountedAudit(FakeAudit(), ["cms"], registry)
    counted.label_with(["cms", "atlas"])
    awaited = [
        dict(re.findall(r'(\w+)="(\w+)"', one))
        for rule in alerts().values()
        for one in re.findall(r"increase\(credbroker_events_total\{(.*?)\}", rule["expr"])
    ]
    assert awaited
    for labels in awaited:
        for issuer in ("cms", "atlas"):
            of_issuer = {"state": "", **labels, "issuer": issuer}
            assert registry.get_sample_value("credbroker_events_total", of_issuer) == 0


async def test_what_could_not_be_written_is_not_counted() -> None:
    """The figure is the trail's."""
    registry, audit = CollectorRegistry(), FakeAudit()
    audit.refused.add("mint")
    with pytest.raises(AuditUnavailable):
        await CountedAudit(audit, [], registry).record("mint")
    assert count(registry, "mint") == 0


async def test_an_issuer_that_new_settings_name_is_a_label_from_then_on() -> None:
    """What was counted before stays."""
    registry = CollectorRegistry()
    counted = CountedAudit(FakeAudit(), ["cms"], registry)
    await counted.record("mint", issuer="cms")
    counted.label_with(["cms", "atlas"])
    await counted.record("mint", issuer="atlas")
    assert (count(registry, "mint", "cms"), count(registry, "mint", "atlas")) == (1, 1)


async def test_a_registry_over_another_has_its_numbers_and_keeps_its_own_to_itself() -> None:
    """So that two brokers, one after the other, count on in one."""
    registry = CollectorRegistry()
    counted = CountedAudit(FakeAudit(), ["cms"], registry)
    over = [registry_over(registry) for _ in range(2)]
    for one in over:
        Gauge("one_of_a_kind", "of each broker", registry=one)
    await counted.record("mint", issuer="cms")
    assert [count(one, "mint", "cms") for one in over] == [1, 1]
    assert registry.get_sample_value("one_of_a_kind") is None
