"""Events on the trail are counted once each, under names that an operator chose."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from credbroker.domain.errors import AuditUnavailable
from credbroker.telemetry.counting import CountedAudit
from tests.fakes.audit import FakeAudit


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
    """With the issuer that they have in common."""
    registry, audit = CollectorRegistry(), FakeAudit()
    counted = CountedAudit(audit, ["cms"], registry)
    await counted.record_all("sign", [{"jti": "j-1"}, {"jti": "j-2"}], issuer="cms")
    assert count(registry, "sign", "cms") == 2
    assert [line["jti"] for line in audit.lines] == ["j-1", "j-2"]


async def test_what_somebody_typed_never_becomes_a_label() -> None:
    """Or a stranger could fill the memory of whoever scrapes."""
    registry = CollectorRegistry()
    counted = CountedAudit(FakeAudit(), ["cms"], registry)
    await counted.record("login_started", issuer="no such issuer")
    assert count(registry, "login_started") == 1


async def test_what_could_not_be_written_is_not_counted() -> None:
    """The figure is the trail's."""
    registry, audit = CollectorRegistry(), FakeAudit()
    audit.refused.add("mint")
    with pytest.raises(AuditUnavailable):
        await CountedAudit(audit, [], registry).record("mint")
    assert count(registry, "mint") == 0
