"""Three OpenBao nodes: whatever becomes of their leader, callers wait and need not ask again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import pytest

from credbroker.broker.recall import ANSWER_SECONDS
from credbroker.demo.issuer import Lifetimes
from credbroker.domain.grants import GrantState
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from tests.chaos.cluster import Cluster
from tests.integration.cluster_world import ClusterWorld
from tests.integration.failover import ACCESS_SECONDS, Story, all_ready, reads_through

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.demo.issuer import SigningKeys

pytestmark = pytest.mark.slow
ROTATIONS = 20
PEOPLE = ("alice", "bob", "carol")
DOWN_SECONDS = 4.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes for all tests of this module, which elect as quickly as they can."""
    nodes = Cluster(tmp_path_factory.mktemp("cluster"), 3, SystemClock(), SystemEntropy())
    try:
        asyncio.run(nodes.start())
        yield nodes
    finally:
        nodes.close()


class WorldFactory(Protocol):
    """Opens worlds that end with the test."""

    async def __call__(self, access_seconds: int = 3600) -> ClusterWorld:
        """Return one with all nodes well, whose issuer gives tokens for so long."""


@pytest.fixture
async def open_cluster_world(
    tmp_path: Path, authority: Authority, issuer_keys: SigningKeys, cluster: Cluster
) -> AsyncIterator[WorldFactory]:
    """A way to a world around the module's nodes, with an issuer of the strictest kind."""
    worlds: list[ClusterWorld] = []

    async def open_one(access_seconds: int = 3600) -> ClusterWorld:
        await cluster.up()
        world = ClusterWorld(tmp_path, authority, cluster, f"issuer-{SystemEntropy().token(4)}")
        await world.open(issuer_keys, lifetimes=Lifetimes(access=access_seconds))
        worlds.append(world)
        return world

    yield open_one
    for world in worlds:
        await world.close()


async def test_every_read_is_answered_while_the_leader_is_killed(
    open_cluster_world: WorldFactory,
) -> None:
    """Within nine seconds and without being sent again; half of them need a refresh."""
    world = await open_cluster_world(ACCESS_SECONDS)
    nodes = [node.address for node in world.cluster.nodes]
    brokers = [await world.serve_at(name, nodes) for name in ("one", "two")]
    reads = await reads_through(world, list(brokers), Story("sigkill", after_seconds=6.0))
    assert {(one.status, one.error) for one in reads} == {(200, "")}
    assert max(one.seconds for one in reads) <= ANSWER_SECONDS
    assert sum(one.cold for one in reads) * 2 >= len(reads) - 2
    assert min(one.at for one in reads) < 0 < max(one.at for one in reads)


async def test_back_to_back_rotations_through_a_standby_lose_nothing(
    open_cluster_world: WorldFactory,
) -> None:
    """Incident 8: it reads from a state that lags; every successor is there in the end."""
    world = await open_cluster_world()
    leader = await world.cluster.leader()
    standby = next(node for node in world.cluster.nodes if node is not leader)
    broker = await world.serve_at("pinned", [standby.address])
    leases = [await broker.log_in(person) for person in PEOPLE]

    async def rotate(lease: str) -> list[int]:
        # No token at hand is good for the next one's path.
        asked = [await broker.token(lease, f"storage.read:/{at}") for at in range(ROTATIONS)]
        return [answer.status for answer in asked]

    answered = await asyncio.gather(*(rotate(lease) for lease in leases))
    assert answered == [[200] * ROTATIONS] * len(PEOPLE)
    grants = await world.stored(PEOPLE)
    assert {(one.state, one.generation) for one in grants} == {(GrantState.READY, ROTATIONS + 1)}
    assert world.issuer.count_refreshes() == len(PEOPLE) * ROTATIONS
    assert world.most_posts_of_a_value() == 1


async def test_a_cluster_that_was_down_as_a_whole_is_used_again_unattended(
    open_cluster_world: WorldFactory,
) -> None:
    """Incident 33: delivered tokens stay meanwhile; whoever still waits is served, too."""
    world = await open_cluster_world()
    broker = await world.serve_at("one", [node.address for node in world.cluster.nodes])
    leases = await world.give(PEOPLE)
    first = await broker.token(leases[0])
    world.cluster.close()
    begun_at = world.clock.elapsed()
    while world.clock.elapsed() - begun_at < DOWN_SECONDS:
        held = await broker.token(leases[0])
        assert (held.status, held.json["jti"]) == (200, first.json["jti"])
    waiting = asyncio.get_running_loop().create_task(broker.token(leases[1]))
    await world.cluster.up()
    assert (await broker.token(leases[2])).status == 200
    waited = await waiting
    assert waited.status == 200 or waited.error in {"busy", "store_unavailable"}
    assert (await broker.token(leases[1])).status == 200
    await all_ready(world, PEOPLE)
    assert world.most_posts_of_a_value() == 1
    assert broker.child is not None
    assert broker.child.returncode is None
