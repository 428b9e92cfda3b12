"""What was remembered or seen before a restore of Vault costs no login and makes no second post."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from credbroker.broker.custody.lifting import Lifting, Restored
from credbroker.broker.custody.replicas import LIVE_SECONDS
from credbroker.broker.running import Deeds, Means
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import CredbrokerError, IssuerUnreachable
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.leases import Lease
from credbroker.domain.marks import Heartbeat, RewindMark
from credbroker.domain.outcomes import NotActedOn, Unclear
from credbroker.domain.scopes import ScopeSet
from tests.fakes.host_marks import FakeHostMarks
from tests.unit.broker.custody.test_refreshing import one_refresh
from tests.unit.broker.logins.test_enrolling import new_login
from tests.unit.broker.rewind_world import RestorableRecords
from tests.unit.broker.world import READ, Replica, World

OTHER = Right(ScopeSet.parse("compute.read"))
LOST, READY = GrantState.LOST, GrantState.READY


class RestorableWorld(World):
    """A world whose Vault can be set back; each replica has a host of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.grants = RestorableRecords[Grant](self.clock)
        self.rewind = RestorableRecords[RewindMark](self.clock)
        self.heartbeats = RestorableRecords[Heartbeat](self.clock)
        self.hosts = 0

    def on_own_host(self, name: str) -> Replica:
        """Start a replica that shares no memory with the others."""
        self.host_marks = FakeHostMarks()
        self.hosts += 1
        self.entropy.next_fraction = self.hosts / 100
        return self.replica(name)

    def snapshot(self) -> list[dict[str, Any]]:
        """Have the operator save all of Vault."""
        return [one.snapshot() for one in self._all()]

    def restore(self, saved: list[dict[str, Any]]) -> None:
        """Have the operator set all of Vault back."""
        for one, old in zip(self._all(), saved, strict=True):
            one.restore(old)

    def _all(self) -> list[RestorableRecords[Any]]:
        return [
            one
            for one in (self.grants, self.rewind, self.heartbeats)
            if isinstance(one, RestorableRecords)
        ]

    async def lift(self) -> Restored:
        """Have the operator let refreshes go on."""
        await self.clock.pass_time(LIVE_SECONDS)
        means = Means(self.audit, self.clock, self.entropy, Deeds(self.clock))
        return await Lifting(self.grants, self.rewind, self.heartbeats, means).lift()


async def beat(*replicas: Replica) -> None:
    """Let each beat once, in this order."""
    for one in replicas:
        await one.engine.beating.beat()


async def test_a_remembered_record_posts_no_spent_value_after_a_restore() -> None:
    """Version numbers come again in a restored Vault; what was remembered before it does not count."""
    world = RestorableWorld()
    a, b = world.on_own_host("a"), world.on_own_host("b")
    await world.give_grant()
    await beat(a, b)
    old = world.snapshot()
    await one_refresh(a)  # a: v2, v3; remembers v3 as known
    await one_refresh(b, OTHER)  # b: v4, v5: posts refresh-1
    await beat(a, b)
    world.restore(old)  # v1
    await beat(a, b)  # halt; a sorts: v2, b sorts: v3
    await beat(a, b)
    await world.lift()
    await beat(a, b)
    assert world.grant.state is LOST
    with contextlib.suppress(CredbrokerError):
        await one_refresh(a, OTHER)
    assert max(world.issuer.posts.values()) == 1, "a value was posted twice at `ask`"


async def test_a_remembered_record_overwrites_no_login_made_after_a_restore() -> None:
    """The same, with a new login in the place of the remembered record."""
    world = RestorableWorld()
    a, b = world.on_own_host("a"), world.on_own_host("b")
    await world.give_grant()
    await beat(a, b)
    old = world.snapshot()
    await one_refresh(a)  # v2, v3
    await beat(a, b)
    world.restore(old)  # v1
    await beat(a, b)  # halt; a sorts: v2
    await beat(a, b)
    await world.lift()
    await beat(a, b)
    login = await new_login(world, b)
    answer = login.confirm()
    assert isinstance(await login.poll(), Lease)  # v3
    fresh = world.refresh_token
    assert answer.refresh_token is not None
    assert fresh == answer.refresh_token.reveal()
    with contextlib.suppress(CredbrokerError):
        await one_refresh(a, OTHER)
    assert world.issuer.posts[fresh] == 1, "the new login's token was thrown away"
    assert world.grant.state is READY


async def test_a_refresh_that_was_held_back_by_the_halt_costs_no_login() -> None:
    """Vault had exactly the newest record, and nothing was posted."""
    world = RestorableWorld()
    a = world.on_own_host("a")
    await world.give_grant()
    await beat(a)
    old = world.snapshot()
    await beat(a)
    await beat(a)  # only the counter moves on
    world.restore(old)
    with pytest.raises(CredbrokerError):
        await one_refresh(a)  # notices the restore, posts nothing
    assert not world.issuer.posts
    assert world.grant.posts == 0
    assert world.grant.state is READY
    await beat(a)
    assert world.grant.state is READY, world.grant.note


async def test_a_refresh_that_the_issuer_put_off_costs_no_login_at_a_halt() -> None:
    """A post that provably did nothing is no use of the value."""
    world = RestorableWorld()
    a = world.on_own_host("a")
    await world.give_grant()
    await beat(a)
    world.issuer.answer_next(NotActedOn(IssuerUnreachable("busy (429)")))
    with pytest.raises(CredbrokerError):
        await one_refresh(a)
    await beat(a)
    old = world.snapshot()  # the snapshot is of after all that
    await beat(a)
    await beat(a)
    world.restore(old)
    await beat(a)
    await beat(a)
    assert world.grant.state is READY, world.grant.note


async def test_a_doubted_value_that_a_login_replaced_is_not_posted_after_a_restore() -> None:
    """A login changes the value, too: the one before it may be spent."""
    world = RestorableWorld()
    a = world.on_own_host("a")
    await world.give_grant()
    await beat(a)
    old = world.snapshot()
    world.issuer.answer_next(Unclear(IssuerUnreachable("silent")))
    with pytest.raises(CredbrokerError):
        await one_refresh(a)
    assert world.issuer.posts == {"first": 1}
    login = await new_login(world, a)
    login.confirm()
    assert isinstance(await login.poll(), Lease)
    await beat(a)
    world.restore(old)
    await beat(a)
    await beat(a)
    await world.lift()
    await beat(a)
    await world.clock.pass_time(60)
    with contextlib.suppress(CredbrokerError):
        await one_refresh(a, OTHER)
    assert world.issuer.posts["first"] == 1, "posted a second time at `ask`"


async def test_a_login_is_not_finished_during_a_halt() -> None:
    """A knows of the halt; the person confirms; b, which remembers more, sorts with its next beat."""
    world = RestorableWorld()
    a, b = world.on_own_host("a"), world.on_own_host("b")
    await world.give_grant()
    await beat(a, b)
    old = world.snapshot()
    login = await new_login(world, a)
    for right in (READ, OTHER, READ):
        await one_refresh(b, right)
        await world.clock.pass_time(20)
    await beat(a, b)
    world.restore(old)
    await beat(a)
    assert a.engine.rewinding.halted
    login.confirm()
    try:
        lease = await login.poll()
    except CredbrokerError:
        return  # told to wait: fine
    assert isinstance(lease, Lease)
    await beat(b)
    assert world.grant.state is READY, "the login made a moment ago is called lost"


async def test_claims_made_during_a_halt_do_not_cover_up_what_a_host_remembers() -> None:
    """Each is stored and given back, for nothing may be posted; the old post is still known."""
    world = RestorableWorld()
    a, b = world.on_own_host("a"), world.on_own_host("b")
    await world.give_grant()
    await beat(a, b)
    old = world.snapshot()
    world.issuer.answer_next(Unclear(IssuerUnreachable("The issuer did not answer.")))
    with contextlib.suppress(CredbrokerError):
        await one_refresh(a)  # posts the value; nobody knows what became of it
    assert world.grant.state is GrantState.IN_DOUBT
    world.restore(old)
    for _ in range(3):
        for one in (a, b):
            world.clock.advance(20)
            with contextlib.suppress(CredbrokerError):
                await one_refresh(one)
    await beat(a, b)
    await beat(a, b)
    await world.lift()
    await beat(a, b)
    assert world.grant.state is LOST
    with contextlib.suppress(CredbrokerError):
        await one_refresh(b)
    assert max(world.issuer.posts.values()) == 1, "a value was posted twice at `ask`"


async def test_claims_given_back_during_a_halt_cost_no_login() -> None:
    """What was never posted since the snapshot is as good as it was."""
    world = RestorableWorld()
    a, b = world.on_own_host("a"), world.on_own_host("b")
    await world.give_grant()
    await beat(a, b)
    old = world.snapshot()
    await beat(a, b)
    world.restore(old)
    for one in (a, b, a):
        world.clock.advance(20)
        with contextlib.suppress(CredbrokerError):
            await one_refresh(one)
    await beat(a, b)
    await beat(a, b)
    await world.lift()
    await beat(a, b)
    assert world.grant.state is READY
    assert await one_refresh(b)
