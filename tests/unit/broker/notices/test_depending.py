"""What depends on a login is found: how many, and where."""

from __future__ import annotations

from dataclasses import replace

import pytest

from credbroker.broker import leases_on
from credbroker.broker.leasing import Caller
from credbroker.broker.notices.depending import Depending
from credbroker.domain.deliveries import Delivery, Ordered, Target, job_of
from credbroker.domain.leases import Lease
from tests.unit.broker.notices_world import NoticesWorld
from tests.unit.broker.world import ISSUER, ORIGIN, READ, ROLE


async def test_jobs_programs_and_deliveries_are_told_with_where_they_are() -> None:
    """A login itself is nothing that depends, nor is what each host has of a delivery once more."""
    around = NoticesWorld()
    replica = around.world.replica()
    login = await around.person(replica)
    await around.job(replica, login, "sim-7")
    await replica.leasing.shorten(login)
    standing = await replica.leasing.make_standing(login, READ, job=job_of("o" * 22))
    there = replace(ORIGIN, host="login1.example.org")
    await replica.leasing.make_child(
        Caller(standing, there), READ, job=job_of("o" * 22, "login1.example.org"), seconds=60.0
    )
    around.orders.append(order(standing))
    found = await Depending(replica.leasing, around._orders_with).on(around.world.grant)
    assert [(one.name, one.where) for one in found.works] == [
        ("delivery", "host login1.example.org"), ("a program", "192.0.2.7"), ("sim-7", "192.0.2.7"),
    ]  # fmt: skip
    assert (found.anybody, found.more) == (True, False)


async def test_what_ended_or_ran_out_depends_on_nothing_any_more() -> None:
    """With a lease end those that were made from it; another line's leases never counted."""
    around = NoticesWorld()
    replica = around.world.replica()
    login = await around.person(replica)
    await around.job(replica, login)
    looking = Depending(replica.leasing, around._orders_with)
    assert len((await looking.on(around.world.grant)).works) == 1
    assert not (await looking.on(replace(around.world.grant, line="another"))).anybody
    await replica.leasing.end(login)
    assert (await looking.on(around.world.grant)).works == ()
    assert not (await looking.on(around.world.grant)).anybody


async def test_of_very_many_leases_it_is_said_that_there_are_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A login with a million jobs costs no more than one with some hundred."""
    monkeypatch.setattr(leases_on, "MOST_LEASES", 5)
    around = NoticesWorld()
    replica = around.world.replica()
    login = await around.person(replica)
    for number in range(9):
        await around.job(replica, login, f"job {number}")
    found = await Depending(replica.leasing, around._orders_with).on(around.world.grant)
    assert found.more
    assert 4 <= len(found.works) <= 5


def order(lease: Lease) -> Delivery:
    """Return an order that lives by a lease."""
    ordered = Ordered(Target("login1.example.org"), 1000, "ada", ISSUER, ROLE, ("storage.read:/",))
    return Delivery(
        "o" * 22, ordered, lease.key, lease.line, lease.id, "hash", lease.created_at, lease.ends_at
    )
