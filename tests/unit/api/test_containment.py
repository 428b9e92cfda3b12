"""Containment over the network: in what form it is asked for and answered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from credbroker.api.containment import ContainmentApi
from credbroker.broker.responding import HOLDS_SECONDS
from credbroker.wire import native
from tests.unit.api.desk_world import DeskAddress
from tests.unit.broker.world import ISSUER

ASKED = {"kind": "person", "name": f"{ISSUER}/ada", "reason": "ticket 4711"}


class Served(DeskAddress):
    """The address at which is contained."""

    async def ask(self, method: str, lease: str, **body: object) -> tuple[int, dict[str, Any]]:
        """Send a request under a lease."""
        headers = {"Authorization": f"Bearer {lease}"} if lease else {}
        sent = body or None
        async with self.client.request(
            method, native.CONTAINMENT, json=sent, headers=headers
        ) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """That address, on loopback."""
    one = Served()
    api = ContainmentApi(one.desk.responding, one.leasing, one.strangers)
    async with one.serve(api.operations()):
        yield one


async def test_an_operator_contains_and_looks_at_what_is_contained(served: Served) -> None:
    """A rehearsal first, which shows the same and changes nothing."""
    operator, person = await served.lease("sub-oncall"), await served.lease("sub-ada")
    status, told = await served.ask("POST", operator, **ASKED, dry_run=True)
    assert (status, told["dry_run"], told["leases"]) == (200, True, 1)
    assert (await served.ask("GET", operator))[1] == {"contained": []}
    status, done = await served.ask("POST", operator, **ASKED)
    assert (status, done["leases"], done["people"]) == (200, 1, [f"{ISSUER}/ada"])
    read = native.ContainmentDone.read(json.dumps(done).encode())
    now = served.desk.world.clock.now()
    assert read.all_counted
    assert (read.holds_by - now).total_seconds() == HOLDS_SECONDS
    _, listed = await served.ask("GET", operator)
    (one,) = listed["contained"]
    assert (one["kind"], one["name"], one["before"]) == ("person", ASKED["name"], done["before"])
    status, refused = await served.ask("GET", person)
    assert (status, refused["error"]) == (401, "lease_ended")


async def test_who_is_no_operator_is_refused_and_written_down(served: Served) -> None:
    """403 with a lease, 401 without one."""
    person = await served.lease("sub-ada")
    for method, body in (("POST", ASKED), ("GET", {})):
        status, refused = await served.ask(method, person, **body)
        assert (status, refused["error"]) == (403, "not_allowed")
        assert (await served.ask(method, "", **body))[0] == 401
    assert served.desk.world.audit.events().count("refused") == 4


@pytest.mark.parametrize(
    "wrong", [{"kind": "planet"}, {"reason": ""}, {"name": ""}, {"before": "now"}, {"force": True}]
)
async def test_what_cannot_be_read_is_refused(served: Served, wrong: dict[str, Any]) -> None:
    """In a sentence."""
    operator = await served.lease("sub-oncall")
    status, refused = await served.ask("POST", operator, **{**ASKED, **wrong})
    assert (status, refused["error"]) == (400, "malformed")
    assert served.desk.world.revocations.history == []


async def test_any_name_of_a_job_is_taken_and_told_back(served: Served) -> None:
    """As it is held against leases."""
    operator = await served.lease("sub-oncall")
    asked = {"kind": "job", "name": 'jo\u0308b <1> & "more" \U0001f600', "reason": "x"}
    status, done = await served.ask("POST", operator, **asked)
    assert (status, done["name"]) == (200, 'j\u00f6b <1> & "more" \U0001f600')
