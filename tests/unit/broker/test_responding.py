"""Operators contain with a login of their own, fresh from the issuer; nobody else does."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import replace
from typing import Any

import pytest

from credbroker.broker.hits import Hits
from credbroker.broker.leasing import Caller
from credbroker.broker.responding import FRESH_SECONDS, HOLDS_SECONDS, Responding, Wanted
from credbroker.broker.running import Means
from credbroker.domain.errors import (
    AuditUnavailable,
    CredbrokerError,
    LeaseEnded,
    Malformed,
    NotAllowed,
    NotFound,
    StoreUnavailable,
)
from credbroker.domain.revocations import Kind
from tests.unit.broker.world import ISSUER, KEY, ORIGIN, Replica, World

OPERATORS = [(ISSUER, "sub-oncall"), ("egi", "sub-egi")]
ADA = Wanted(Kind.PERSON, f"{ISSUER}/ada", "ticket 4711")


class Desk:
    """An operator who has just logged in, and a person at work."""

    def __init__(self) -> None:
        self.world = World()
        self.replica: Replica = self.world.replica()
        world, engine = self.world, self.replica.engine
        self.responding = Responding(
            engine.containing,
            engine.leasing,
            world.leases,
            Means(world.audit, world.clock, world.entropy, self.replica.deeds),
            operators=OPERATORS,
            issuers=[ISSUER],
        )

    async def lease(self, **changes: Any) -> Caller:
        """Log the operator in."""
        fields: dict[str, Any] = {"subject": "sub-oncall", "origin": "192.0.2.1"} | changes
        key = replace(KEY, credkey="oncall")
        _, caller = await self.world.give_lease(self.replica, key)
        lease = replace(caller.lease, id=self.replica.leasing.new_token().id, **fields)
        await self.replica.leasing.begin(lease)
        return Caller(lease, ORIGIN)


async def test_an_operator_contains_and_hears_what_it_hit_and_by_when_it_holds() -> None:
    """The trail has who, from where and why."""
    desk = Desk()
    _, ada = await desk.world.give_lease(desk.replica)
    operator = await desk.lease()
    done = await desk.responding.contain(operator, ADA)
    now = desk.world.clock.now()
    assert (done.holds_by - now).total_seconds() == HOLDS_SECONDS
    assert done.hits == Hits(1, 0, (f"{ISSUER}/ada",))
    with pytest.raises(LeaseEnded):
        desk.replica.engine.containing.judge(ada.lease)
    line = desk.world.audit.last("contained")
    assert (line["name"], line["reason"]) == (ADA.name, ADA.reason)
    assert (line["credkey"], line["lease"]) == ("oncall", operator.lease.id)
    assert line["address"] == ORIGIN.address
    listed = await desk.responding.contained(operator)
    assert listed[Kind.PERSON][ADA.name].before == done.before


async def test_the_same_again_ends_no_less() -> None:
    """An answer that got lost is asked for again; with a moment it is the very same."""
    desk = Desk()
    operator = await desk.lease()
    wanted = replace(ADA, before=desk.world.clock.now() - datetime.timedelta(hours=1))
    first = await desk.responding.contain(operator, wanted)
    again = await desk.responding.contain(operator, wanted)
    assert again.before == first.before
    marks = desk.world.revocations.newest(Kind.PERSON.value).marks
    assert marks[ADA.name].before == first.before


async def test_a_rehearsal_tells_the_same_and_does_nothing() -> None:
    """Neither in the store nor in the trail."""
    desk = Desk()
    await desk.world.give_lease(desk.replica)
    operator = await desk.lease()
    told = await desk.responding.rehearse(operator, ADA)
    assert (desk.world.revocations.history, desk.world.audit.events()) == ([], [])
    done = await desk.responding.contain(operator, ADA)
    assert (told.name, told.hits) == (done.name, done.hits)


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "sub-eve"},
        {"subject": ""},
        {"subject": "sub-egi"},
        {"key": replace(KEY, issuer="egi", credkey="oncall")},
        {"job": "job 1"},
        {"ancestors": ("a" * 22,)},
    ],
)
async def test_nobody_else_contains_rehearses_or_looks(changes: dict[str, Any]) -> None:
    """Not by a name, a ticket or an ssh key, a job's lease, or one made from the operator's."""
    desk = Desk()
    caller = await desk.lease(**changes)
    for deed in (desk.responding.contain, desk.responding.rehearse):
        with pytest.raises(NotAllowed):
            await deed(caller, ADA)
    with pytest.raises(NotAllowed):
        await desk.responding.contained(caller)
    assert desk.world.revocations.history == []


async def test_an_operators_login_of_this_morning_contains_nobody() -> None:
    """It may have been copied meanwhile; logging in again is enough."""
    desk = Desk()
    operator = await desk.lease()
    await desk.world.clock.pass_time(FRESH_SECONDS + 1)
    with pytest.raises(NotAllowed, match="hour"):
        await desk.responding.contain(operator, ADA)
    await desk.responding.contain(await desk.lease(), ADA)


async def test_an_operator_who_was_contained_is_none_until_the_next_login() -> None:
    """By the store's word, however lately this replica looked."""
    desk = Desk()
    operator = await desk.lease()
    await desk.world.clock.pass_time(6.0)
    other = desk.world.replica("other").engine.containing
    await other.revoke(Kind.PERSON, f"{ISSUER}/oncall")
    with pytest.raises(LeaseEnded):
        await desk.responding.contain(operator, ADA)


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"reason": ""}, Malformed),
        ({"reason": "x" * 501}, Malformed),
        ({"reason": "a\nline"}, Malformed),
        ({"name": "ada"}, Malformed),
        ({"name": "../ada"}, Malformed),
        ({"name": "atlas/ada"}, NotFound),
        ({"kind": Kind.ISSUER, "name": "atlas"}, NotFound),
        ({"kind": Kind.HOST, "name": "192.0.2.777"}, Malformed),
    ],
)
async def test_what_could_hit_nobody_is_refused(
    wrong: dict[str, Any], kind: type[CredbrokerError]
) -> None:
    """A slip of the pen must not look like a containment."""
    desk = Desk()
    operator = await desk.lease()
    with pytest.raises(kind):
        await desk.responding.contain(operator, replace(ADA, **wrong))
    assert desk.world.revocations.history == []


async def test_what_was_not_stored_or_written_down_is_no_success() -> None:
    """The operator hears that, and tries again."""
    desk = Desk()
    operator = await desk.lease()
    desk.world.revocations.fail_next(StoreUnavailable("OpenBao/Vault does not answer."))
    with pytest.raises(StoreUnavailable):
        await desk.responding.contain(operator, ADA)
    desk.world.audit.refused.add("contained")
    with pytest.raises(AuditUnavailable):
        await desk.responding.contain(operator, ADA)


async def test_several_at_once_are_all_contained_and_one_is_counted_at_a_time() -> None:
    """An incident has many hands, and the store one."""
    desk = Desk()
    operator = await desk.lease()
    desk.world.leases.get_seconds = 1.0
    wanted = [replace(ADA, name=f"{ISSUER}/{name}") for name in ("ada", "bob", "carol")]
    begun = [asyncio.ensure_future(desk.responding.contain(operator, one)) for one in wanted]
    await desk.world.clock.pass_time(30.0)
    assert sorted(one.result().hits.complete for one in begun) == [False, False, True]
    assert len(desk.world.revocations.newest(Kind.PERSON.value).marks) == 3
