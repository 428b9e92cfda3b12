"""After a restore it is exact who must log in again, and nobody goes on before all have sorted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.broker.custody.lifting import MustLogIn
from credbroker.broker.custody.sorting import AT_ONCE, NAMELESS, Seen
from credbroker.domain import rotation
from credbroker.domain.errors import Busy, RecordDamaged, StoreRewound, StoreUnavailable
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.losses import RESTORED
from credbroker.domain.names import GrantKey
from credbroker.wire.records import read_grant, write_grant
from tests.fakes.host_marks import FakeHostMarks
from tests.unit.broker.rewind_world import ADA, Host, RewindWorld

BOB = GrantKey("egi", "bob", "default")
AWAY = StoreUnavailable("OpenBao/Vault does not answer.")

seens = st.builds(
    Seen,
    generation=st.integers(0, 10**9),
    rotated=st.booleans(),
    posts=st.integers(0, rotation.MOST_POSTS),
    ended=st.just(False),
    steps=st.integers(0, 2**13 - 1),
)


class Story(RewindWorld):
    """Two hosts; what happens after `begin` is undone by `set_back`."""

    a: Host
    b: Host

    async def begin(self) -> None:
        """Let time pass, then save Vault."""
        self.a, self.b = self.host("a"), self.host("b")
        await self.beat(self.a, self.b, times=2)
        self.snapshot()

    async def set_back(self) -> None:
        """Restore Vault after a while and let both hosts notice and sort."""
        await self.beat(self.a, self.b, times=2)
        self.restore()
        await self.beat(self.a, self.b, times=5)

    def found(self, key: GrantKey = ADA) -> Grant:
        """Return the record as it is now."""
        return self.grants.newest(key.segment())


@given(seens, seens)
def test_what_was_seen_is_one_number_that_rises_with_it(one: Seen, other: Seen) -> None:
    """A later generation is more than any earlier one; in one generation, more posts are."""
    assert Seen.from_number(one.number) == one
    if one.rotated == other.rotated or one.generation != other.generation:
        mine = (one.generation, one.steps, one.posts)
        key = mine < (other.generation, other.steps, other.posts)
        assert (one.number < other.number) == key


async def test_only_what_was_used_since_the_snapshot_is_lost() -> None:
    """On whichever host; each host tells what it remembers."""
    world = Story()
    people = [GrantKey("egi", f"person-{number}", "default") for number in range(3 * AT_ONCE)]
    for key in people:
        await world.give(key)
    await world.begin()
    used = people[::3]
    for number, key in enumerate(used):
        await world.refresh(world.a if number % 2 else world.b, key)
    await world.set_back()
    restored = await world.lift()
    assert set(restored.people) == {MustLogIn(key, "sub-ada") for key in used}
    assert restored.nameless == 0
    lost = {key for key in people if world.found(key).state is GrantState.LOST}
    assert lost == set(used)
    await world.beat(world.a, world.b)
    for key in set(people) - lost:
        await world.refresh(world.b, key)
    assert world.replayed == []


async def test_the_lost_are_told_by_generation_and_trail() -> None:
    """The record outranks what anybody may still write from before."""
    world = Story()
    await world.give()
    await world.begin()
    for _ in range(3):
        await world.refresh(world.a)
    await world.set_back()
    lost = world.found()
    assert (lost.generation, lost.reason) == (4, RESTORED)
    assert world.audit.last("login_lost_by_restore")["credkey"] == "ada"


async def test_a_successor_that_comes_late_is_kept() -> None:
    """It is the newest value there is, whatever the snapshot and the sorting say."""
    world = Story()
    await world.give()
    await world.begin()
    steps = world.steps(world.a)
    while await anext(steps) != "posted":
        pass
    await world.set_back()
    assert world.found().state is GrantState.LOST
    assert await anext(steps) == "stored"
    assert (world.found().state, world.found().generation) == (GrantState.READY, 2)
    assert (await world.lift()).people == ()
    await world.beat(world.a)
    await world.refresh(world.a)
    assert world.replayed == []


async def test_a_logout_is_not_undone() -> None:
    """The snapshot brings the token back; the host remembers that it was ended."""
    world = Story()
    await world.give()
    await world.begin()
    stored = await world.grants.get(ADA.segment())
    assert stored is not None
    tombstone = rotation.log_out(stored.value, "logout")
    await world.grants.put(ADA.segment(), tombstone, stored.version)
    world.a.rewinding.saw(tombstone)
    await world.set_back()
    assert (world.found().state, world.found().refresh_token) == (GrantState.ENDED, None)
    assert (await world.lift()).people == ()


async def test_a_login_after_a_logout_is_lost_if_the_snapshot_knows_only_the_logout() -> None:
    """There is no token to post; the person is named, and the next login goes on from there."""
    world = Story()
    await world.give(state=GrantState.ENDED, refresh_token=None, generation=3)
    await world.begin()
    world.a.rewinding.saw(await world.give(generation=4))
    await world.set_back()
    assert (world.found().state, world.found().generation) == (GrantState.ENDED, 4)
    assert (await world.lift()).people == (MustLogIn(ADA, "sub-ada"),)


async def test_a_grant_the_snapshot_does_not_know_leaves_its_generation() -> None:
    """Nobody can say whose it was; a new login in its place is not older than what is remembered."""
    world = Story()
    await world.begin()
    for generation in (1, 2, 3):
        world.a.rewinding.saw(await world.give(generation=generation))
    await world.set_back()
    tombstone = world.found()
    assert (tombstone.state, tombstone.generation) == (GrantState.ENDED, 3)
    assert tombstone.subject == NAMELESS
    assert read_grant(write_grant(tombstone)).generation == 3
    restored = await world.lift()
    assert (restored.people, restored.nameless) == ((), 1)
    await world.beat(world.a, world.b)
    new = rotation.succeed(tombstone, await world.give())
    await world.give(generation=new.generation)
    await world.refresh(world.a)
    assert world.found().state is GrantState.READY


@pytest.mark.parametrize("on_record", [True, False])
async def test_a_grant_whose_value_never_changed_loses_nothing(on_record: bool) -> None:
    """By the issuer's record, or as all refreshes so far have shown."""
    world = Story()
    await world.give()
    await world.begin()
    world.a = world.host("a", world.a.marks, may_rotate=lambda _: not on_record)
    world.a.rewinding.saw(await world.give(generation=5, rotated=on_record))
    await world.set_back()
    assert (world.found().state, world.found().generation) == (GrantState.READY, 5)
    assert (await world.lift()).people == ()


async def test_a_damaged_record_keeps_no_other_from_being_sorted() -> None:
    """What cannot be read cannot be posted either."""
    world = Story()
    await world.give()
    await world.give(BOB)
    await world.begin()
    await world.refresh(world.a)
    await world.refresh(world.a, BOB)
    await world.beat(world.a, world.b)
    world.restore()
    world.grants.fail_next(RecordDamaged("A record is damaged."), on="get")
    await world.beat(world.a)
    assert world.found(BOB).state is GrantState.LOST
    assert world.mark.sorted_by == ("a",)


async def test_a_sorting_that_vault_cut_off_goes_on_with_the_next_beat() -> None:
    """Nobody says that it is done before it is."""
    world = Story()
    await world.give()
    await world.begin()
    await world.refresh(world.a)
    await world.beat(world.a)
    world.restore()
    world.grants.fail_next(AWAY, on="put")
    with pytest.raises(StoreUnavailable):
        await world.beat(world.a)
    assert "a" not in world.mark.sorted_by
    await world.beat(world.a)
    assert "a" in world.mark.sorted_by
    assert world.found().state is GrantState.LOST


async def test_a_halt_is_lifted_only_when_all_have_sorted_or_are_named_as_gone() -> None:
    """The sentence names who is missing."""
    world = Story()
    await world.give()
    await world.begin()
    await world.refresh(world.b)
    await world.beat(world.a, world.b)
    world.restore()
    await world.beat(world.a, times=5)
    with pytest.raises(Busy, match=r"yet: b\."):
        await world.lift()
    with pytest.raises(StoreRewound):
        await world.refresh(world.a)
    await world.lift("b")
    await world.beat(world.a)
    world.a.rewinding.check()


async def test_a_replica_that_was_away_sorts_when_it_is_back() -> None:
    """An operator had named it as gone; what its host remembers is true all the same."""
    world = Story()
    await world.give()
    await world.begin()
    await world.refresh(world.b)
    await world.beat(world.a, world.b)
    world.restore()
    await world.beat(world.a, times=5)
    await world.lift("b")
    assert world.found().state is GrantState.READY
    await world.beat(world.host("b", FakeHostMarks(beside=world.b.marks)))
    assert world.found().state is GrantState.LOST


async def test_a_snapshot_with_an_old_halt_in_it_is_a_new_restore() -> None:
    """Who sorted then has not sorted for this one."""
    world = Story()
    await world.give()
    await world.begin()
    await world.set_back()
    world.snapshot()
    await world.lift()
    await world.beat(world.a, world.b)
    await world.refresh(world.a)
    await world.set_back()
    assert world.found().state is GrantState.LOST
    assert set(world.mark.sorted_by) == {"a", "b"}
    assert len((await world.lift()).people) == 1
