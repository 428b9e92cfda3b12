"""Numbers that say how the broker does, and nothing about anybody."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from aiohttp.test_utils import make_mocked_request
from prometheus_client import CollectorRegistry

from credbroker import __version__
from credbroker.api.metrics import Metrics, Sources
from credbroker.api.outlook import Outlook
from credbroker.domain.secret import Secret
from credbroker.telemetry.counting import CountedAudit
from tests.house.test_docs_facts import rows
from tests.unit.api.test_health import fall_silent, lose_vault
from tests.unit.broker.world import DAY, ISSUER, WANT_READ, Replica, World

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


class Scraped:
    """One replica as a monitoring system sees it."""

    def __init__(self) -> None:
        self.world = World()
        self.registry = CollectorRegistry()
        self.audit = CountedAudit(self.world.audit, [ISSUER], self.registry)
        self.world.audit = self.audit  # type: ignore[assignment] # all that is done is counted
        self.replica = self.world.replica()
        self.troubles: list[str] = []
        outlook = Outlook(self.replica.engine, self.world.clock, DAY)
        self.metrics = Metrics(
            Sources(
                self.replica.engine, outlook, self.world.clock, lambda: self.troubles, lambda: -2.5
            ),
            self.registry,
        )

    async def give_token(self, replica: Replica | None = None) -> None:
        """Let a person's job have a token."""
        await self.world.give_grant()
        _, caller = await self.world.give_lease(replica or self.replica)
        await (replica or self.replica).minting.mint_access_token(caller, WANT_READ)

    async def text(self) -> str:
        """Return what a scrape answers."""
        answer = await self.metrics.scrape(make_mocked_request("GET", "/metrics"))
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert isinstance(answer.body, bytes)
        return answer.body.decode()

    async def value(self, sample: str) -> float | None:
        """Return a number by its name and labels as they are written, None if it is absent."""
        found = re.search(
            rf"^{re.escape('credbroker_' + sample)} (\S+)$", await self.text(), re.MULTILINE
        )
        return float(found[1]) if found is not None else None


async def test_the_operations_page_lists_every_number_with_its_labels_and_meaning() -> None:
    """And no other."""
    scraped = Scraped()
    await scraped.give_token()
    stated = {tuple(row) for row in rows(OPERATIONS, "Metrics")}
    found = set()
    for family in scraped.registry.collect():
        if family.name.startswith("credbroker_"):
            sample = family.samples[0]
            labels = ", ".join(f"`{name}`" for name in sorted(sample.labels))
            found.add((f"`{sample.name}`", labels, family.documentation))
    assert stated == found


async def test_every_alert_is_about_a_number_that_there_is() -> None:
    """The expressions in the operations page."""
    scraped = Scraped()
    await scraped.give_token()
    text = await scraped.text()
    named = {
        name for row in rows(OPERATIONS, "Alerts") for name in re.findall(r"credbroker_\w+", row[0])
    }
    assert named
    assert [name for name in named if f"\n{name}" not in text] == []


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
