"""A path leads to the lease's own grant, or to a robot of the same person; to nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.broker.leasing import Caller
from credbroker.broker.reaching import Reaching
from credbroker.domain.errors import Malformed, NotAllowed, NotFound
from credbroker.domain.names import GrantKey
from tests.unit.broker.world import ISSUER, KEY, ROLE, WANT_READ, Replica, World
from tests.unit.things import lease

ROBOT = GrantKey(ISSUER, "ada/cron/host", ROLE)
SUBJECT = "sub-ada"


async def world_of_ada() -> tuple[World, Replica, Caller]:
    """Return a world in which somebody logged in at the issuer, and her caller."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    _, caller = await world.give_lease(replica)
    return world, replica, replace(caller, lease=replace(caller.lease, subject=SUBJECT))


def reaching(replica: Replica) -> Reaching:
    """Return the piece under test."""
    return replica.engine.reaching


async def test_its_own_grant_is_reached_as_it_is() -> None:
    """Nothing is asked of the store for it."""
    world, replica, caller = await world_of_ada()
    reads = world.grants.reads
    assert await reaching(replica).narrowed(caller, KEY.issuer, KEY.credkey, KEY.role) is caller
    assert world.grants.reads == reads


async def test_a_robot_of_the_same_person_is_reached_and_gives_tokens() -> None:
    """The caller then stands for the robot's grant alone; the lease's id stays."""
    world, replica, caller = await world_of_ada()
    await world.give_grant(ROBOT, "line-robot", "robot")
    there = await reaching(replica).narrowed(caller, ROBOT.issuer, ROBOT.credkey, ROBOT.role)
    assert (there.lease.key, there.lease.line) == (ROBOT, "line-robot")
    assert there.lease.id == caller.lease.id
    minted = await replica.minting.mint_access_token(there, WANT_READ)
    assert minted.issuer == ISSUER


async def test_what_another_person_stored_below_the_name_is_not_reached() -> None:
    """Names may be given out twice; who logged in at the issuer decides."""
    world, replica, caller = await world_of_ada()
    await world.give_grant(ROBOT, "line-robot", "robot")
    other = replace(caller, lease=replace(caller.lease, subject="sub-another"))
    with pytest.raises(NotAllowed, match="another person"):
        await reaching(replica).narrowed(other, ROBOT.issuer, ROBOT.credkey, ROBOT.role)


async def test_a_robot_that_is_not_there_is_not_found() -> None:
    """The client may go and store it."""
    _, replica, caller = await world_of_ada()
    with pytest.raises(NotFound):
        await reaching(replica).narrowed(caller, ROBOT.issuer, ROBOT.credkey, ROBOT.role)


@pytest.mark.parametrize("changes", [{"subject": ""}, {"job": "job 1"}])
async def test_only_the_lease_of_a_login_at_the_issuer_reaches_robots(
    changes: dict[str, Any],
) -> None:
    """Not a job's, nor one that a ticket or an ssh key opened."""
    world, replica, caller = await world_of_ada()
    await world.give_grant(ROBOT, "line-robot", "robot")
    narrow = replace(caller, lease=replace(caller.lease, **changes))
    with pytest.raises(NotAllowed, match="does not lead"):
        await reaching(replica).narrowed(narrow, ROBOT.issuer, ROBOT.credkey, ROBOT.role)


@pytest.mark.parametrize("credkey", ["ada/\x00", "ada/" + "x" * 255, "ada/\ud800", "ada/\n"])
async def test_a_name_that_nothing_can_have_is_refused(credkey: str) -> None:
    """Before anything is looked up."""
    _, replica, caller = await world_of_ada()
    with pytest.raises(Malformed):
        await reaching(replica).narrowed(caller, ISSUER, credkey, ROLE)


tricks = st.sampled_from(["ada", "bob", "..", ".", "*", "+", "", "%2f", "/", ":", "ada/", "\x00"])


@given(st.lists(tricks, max_size=4), st.sampled_from([ISSUER, "*", "atlas"]), st.booleans())
def test_no_trick_in_a_path_leads_to_another_grant(
    parts: list[str], issuer: str, same_role: bool
) -> None:
    """Whatever is reached is the own name, or begins with it and a slash."""
    key = GrantKey(issuer, "".join(parts), ROLE if same_role else "admin")
    own = lease(key=KEY, subject=SUBJECT)
    if own.may_reach(key):
        assert (key.issuer, key.role) == (KEY.issuer, KEY.role)
        assert key.credkey == KEY.credkey or key.credkey.startswith(f"{KEY.credkey}/")
