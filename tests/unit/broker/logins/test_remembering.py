"""Whose robot a grant is for is remembered where its person finds it."""

from __future__ import annotations

import pytest

from credbroker.broker.logins.remembering import Remembering
from credbroker.domain.errors import StoreUnavailable, StoreUnclear
from credbroker.domain.names import GrantKey
from credbroker.domain.robots import Robots
from tests.fakes.store import MemoryRecords

ROBOT = GrantKey("cms", "ada/backup", "default")
OTHER = GrantKey("cms", "ada/monitor", "default")


async def test_a_robot_is_found_by_its_person_alone() -> None:
    """At that issuer; remembering it again writes nothing."""
    records = MemoryRecords[Robots]()
    remembering = Remembering(records)
    await remembering.robot("ada", ROBOT)
    await remembering.robot("ada", ROBOT)
    assert len(records.history) == 1
    assert await remembering.robots_of("cms", "ada") == [ROBOT]
    assert await remembering.robots_of("cms", "bob") == []
    assert await remembering.robots_of("egi", "ada") == []


async def test_two_replicas_remember_a_robot_each() -> None:
    """Whoever comes second looks again; an answer that got lost changes nothing."""
    records = MemoryRecords[Robots]()
    one, two = Remembering(records), Remembering(records)
    records.fail_next(StoreUnclear("It did not answer."), acted=True, on="put")
    await one.robot("ada", ROBOT)
    await two.robot("ada", OTHER)
    assert await one.robots_of("cms", "ada") == [ROBOT, OTHER]


async def test_what_cannot_be_remembered_is_said() -> None:
    """So that the client tries again."""
    records = MemoryRecords[Robots]()
    records.fail_next(StoreUnavailable("It does not answer."), on="put")
    with pytest.raises(StoreUnavailable):
        await Remembering(records).robot("ada", ROBOT)
