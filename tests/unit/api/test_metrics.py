"""Numbers that say how the broker does, and nothing about anybody."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from aiohttp.test_utils import make_mocked_request
from prometheus_client import CollectorRegistry

from credbroker import __version__
from credbroker.api.metrics import Metrics, Sources
from credbroker.api.outlook import Outlook
from credbroker.domain.grants import GrantState
from credbroker.domain.secret import Secret
from credbroker.host.siblings import Told
from credbroker.telemetry.summing import GAUGES
from tests.house.test_docs_facts import rows
from tests.unit.api.scraped import Scraped
from tests.unit.api.test_health import fall_silent, lose_vault
from tests.unit.broker.world import DAY, ISSUER, World

ROOT = Path(__file__).parents[3]
AUDIT = ROOT / "docs" / "reference" / "audit.md"
RULES = ROOT / "helm/credbroker/rules/credbroker.rules.yaml"
DASHBOARD = ROOT / "helm/credbroker/dashboards/credbroker.json"


# What a monitoring system adds by itself.
ADDED = {"instance", "job", "namespace", "pod"}


def expressions() -> dict[str, list[str]]:
    """Return what the alerts and the dashboard ask for, by where it stands."""
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    rules = [rule["expr"] for group in groups for rule in group["rules"]]
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    shown = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    return {"rules": rules, "dashboard": shown}


@pytest.mark.parametrize("place", ["rules", "dashboard"])
async def test_every_alert_and_panel_is_about_numbers_that_there_are(place: str) -> None:
    """Each by its name and its labels, as a scrape has them."""
    scraped = Scraped()
    await scraped.give_token()
    served = {
        sample.name: sample.labels.keys() | ADDED
        for family in scraped.registry.collect()
        for sample in family.samples
    } | {"credbroker_renewals_due": {"issuer", *ADDED}}
    found = [
        (name, label)
        for expr in expressions()[place]
        for name, inner in re.findall(r"(credbroker_\w+|process_\w+)(?:\{([^}]*)\})?", expr)
        for label in re.findall(r"(\w+)=", inner) or [None]
    ]
    assert found
    unknown = [(name, label) for name, label in found
               if name not in served or (label is not None and label not in served[name])]  # fmt: skip
    assert unknown == []


async def test_every_event_and_state_that_an_alert_or_panel_names_exists() -> None:
    """One that was renamed would never fire."""
    events = {row[0].strip("`") for row in rows(AUDIT, "Events")}
    states = {one.value for one in GrantState} | {"damaged", "unread"}
    asked = " ".join(expr for some in expressions().values() for expr in some)
    for label, known in (("event", events), ("state", states)):
        named = re.findall(rf'{label}=~?"([^"]+)"', asked)
        assert {one for names in named for one in names.split("|")} <= known


async def test_each_gauge_has_a_rule_for_several_workers() -> None:
    """And no rule is about a gauge that is gone; those of the program are the library's."""
    scraped = Scraped()
    await scraped.give_token()
    gauges = {one.name for one in scraped.registry.collect() if one.type == "gauge"}
    assert gauges == GAUGES.keys()


async def test_one_scrape_is_answered_for_all_workers() -> None:
    """Counts add up; who said nothing is counted."""
    scraped = Scraped()
    await scraped.give_token()
    await scraped.metrics.tell()
    scraped.others.said = Told([scraped.others.told.decode()] * 2, silent=1)
    refreshes = f'events_total{{event="refresh",issuer="{ISSUER}",state="ready"}}'
    assert await scraped.value(refreshes) == 3
    assert await scraped.value(f'grants{{issuer="{ISSUER}",state="ready"}}') == 3
    assert await scraped.value("replicas_live") == 1
    assert await scraped.value("workers_silent") == 1


async def test_counts_go_on_from_those_of_the_worker_before_and_of_one_that_is_silent() -> None:
    """Or an alert would see all of the others' rise anew."""
    before = Scraped()
    await before.give_token()
    scraped = Scraped(before=(await before.text()))
    await scraped.give_token()
    scraped.others.said = Told([], silent=1, kept=[await before.text()])
    refreshes = f'events_total{{event="refresh",issuer="{ISSUER}",state="ready"}}'
    assert await scraped.value(refreshes) == 3
    assert await scraped.value(f'grants{{issuer="{ISSUER}",state="ready"}}') == 1
    again = Scraped(before=scraped.others.kept.decode())
    assert await again.value(refreshes) == 2


async def test_a_service_without_workers_answers_for_itself() -> None:
    """None is silent."""
    world, registry = World(), CollectorRegistry()
    engine = world.replica().engine
    sources = Sources(engine, Outlook(engine, world.clock, DAY), world.clock,
                      list, lambda: 0.0, lambda: 0.0)  # fmt: skip
    answer = await Metrics(sources, registry).scrape(make_mocked_request("GET", "/metrics"))
    assert isinstance(answer.body, bytes)
    assert b"\ncredbroker_workers_silent 0.0\n" in answer.body


async def test_a_refresh_is_counted_and_the_horizon_is_its_tokens_end() -> None:
    """Which comes nearer."""
    scraped = Scraped()
    assert await scraped.value(f'issuer_horizon_seconds{{issuer="{ISSUER}"}}') is None
    await scraped.give_token()
    refreshes = f'events_total{{event="refresh",issuer="{ISSUER}",state="ready"}}'
    assert await scraped.value(refreshes) == 1
    scraped.world.clock.advance(200.0)
    assert await scraped.value(f'issuer_horizon_seconds{{issuer="{ISSUER}"}}') == 1000.0
    assert await scraped.value(f'grants{{issuer="{ISSUER}",state="ready"}}') == 1


async def test_trouble_shows_in_the_numbers() -> None:
    """An issuer that is down, a Vault that is away, a replica that is not ready."""
    scraped = Scraped()
    down = f'{{issuer="{ISSUER}"}}'
    names = [f"issuer_open{down}", f"issuer_answering{down}", "vault_answering", "replica_ready"]
    assert [await scraped.value(name) for name in names] == [1, 1, 1, 1]
    fall_silent(scraped.replica)
    lose_vault(scraped.world, scraped.replica)
    scraped.troubles.append("This replica is stopping.")
    assert [await scraped.value(name) for name in names] == [0, 0, 0, 0]
    assert await scraped.value(f"issuer_client_accepted{down}") == 1
    assert await scraped.value("replica_clock_off_seconds") == -2.5
    assert await scraped.value("audit_lag_seconds") == 1.5
    assert await scraped.value(f'build_info{{version="{__version__}"}}') == 1


async def test_other_replicas_and_what_was_left_behind_in_a_spool_are_counted() -> None:
    """As of the last beat."""
    scraped = Scraped()
    world = scraped.world
    await world.replica("other").engine.beating.beat()
    grant = await world.give_grant()
    late = replace(grant, refresh_token=Secret("refresh token", "late"))
    await world.spools["other"].keep(late)
    world.spools["other"].die()
    await scraped.replica.engine.beating.beat()
    assert await scraped.value("replicas_live") == 2
    assert await scraped.value("spool_waiting_entries") == 1


async def test_no_person_lease_or_token_is_in_the_answer() -> None:
    """Whoever reaches the port may read it."""
    scraped = Scraped()
    await scraped.give_token()
    text = await scraped.text()
    for secret in ("ada", "line-1", "refresh-", "access-", "cb_", "request-1", "192.0.2"):
        assert secret not in text
