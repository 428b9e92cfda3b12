"""A snapshot put back under running brokers, at an issuer where one reuse would cost a whole family.

Beats are made by hand; everything else is as it runs: two brokers, OpenBao, the operator's command.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from typing import TYPE_CHECKING

import pytest

from credbroker.admin.desk import Desk
from credbroker.admin.office import open_office
from credbroker.admin.restored import restored
from credbroker.config.load import load
from credbroker.domain.errors import Busy
from credbroker.domain.grants import GrantState
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from tests.chaos.cluster import Cluster
from tests.integration.cluster_world import ClusterWorld

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator, Mapping
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.demo.issuer import SigningKeys
    from tests.integration.broker_world import Replica

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
ROTATIONS = 500
USED_BEFORE = tuple(f"used-before-{number}" for number in range(8))
USED_SINCE = tuple(f"used-since-{number}" for number in range(8))
FIRST_USED_SINCE = ("first-used-since", "alice")
NEVER_USED = ("never-used-1", "never-used-2")
MADE_SINCE = "made-since"
LOST = (*USED_SINCE, *FIRST_USED_SINCE)
KEPT = (*USED_BEFORE, *NEVER_USED)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Cluster]:
    """One OpenBao, with an administrator who makes backups."""
    cluster = Cluster(tmp_path / "openbao", 1, SystemClock(), SystemEntropy())
    try:
        asyncio.run(cluster.start())
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
async def world(
    tmp_path: Path, authority: Authority, issuer_keys: SigningKeys, node: Cluster
) -> AsyncIterator[ClusterWorld]:
    """An issuer that revokes a family when a spent value is shown."""
    here = ClusterWorld(tmp_path, authority, node, "issuer")
    await here.open(issuer_keys)
    yield here
    await here.close()


async def beat(*brokers: Replica) -> None:
    """Let each broker do what it does every ten seconds."""
    for broker in brokers:
        assert broker.daemon is not None
        await broker.daemon.engine.beating.beat()


async def rotate(broker: Replica, lease: str, numbers: range) -> None:
    """Use a grant's refresh token so often: no token at hand is good for the next path."""
    for number in numbers:
        answer = await broker.token(lease, f"storage.read:/{number}")
        assert answer.status == 200, answer


async def rotate_all(
    brokers: list[Replica], leases: Mapping[str, str], names: Collection[str], numbers: range
) -> None:
    """Rotate these grants side by side, half of them by each broker."""
    async with asyncio.TaskGroup() as tasks:
        for number, name in enumerate(names):
            broker = brokers[number % len(brokers)]
            tasks.create_task(rotate(broker, leases[name], numbers))


async def errors_of(broker: Replica, leases: Mapping[str, str], names: Collection[str]) -> set[str]:
    """Ask for a token that nobody holds under each of these grants; return what was wrong."""
    asked = (broker.token(leases[name], "storage.create:/") for name in names)
    return {answer.error for answer in await asyncio.gather(*asked)}


async def typed_restored(world: ClusterWorld, folder: Path) -> dict[str, object]:
    """Do what `credbroker admin restored --json` does; return what it prints."""
    out = io.StringIO()
    desk = Desk(world.clock, SystemEntropy(), out, io.StringIO())
    async with contextlib.AsyncExitStack() as stack:
        await restored(await open_office(load(folder), desk, stack), [], as_json=True)
    read: dict[str, object] = json.loads(out.getvalue())
    return read


def people(names: Collection[str]) -> list[dict[str, str]]:
    """Return how the command names people, in any order."""
    return [{"issuer": "issuer", "credkey": name, "role": "default"} for name in sorted(names)]


async def test_after_a_restore_no_spent_value_is_posted_and_the_list_is_exact(
    world: ClusterWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose value was used since the snapshot must log in; everybody else goes on."""
    # By OpenBao's clock, which no test can make leap, an operator waits for half a minute.
    monkeypatch.setattr("credbroker.broker.custody.lifting.LIVE_SECONDS", 0.0)
    folder = world.write_settings("admin")
    brokers = [await world.replica(name) for name in ("one", "two")]
    one, two = brokers
    await beat(*brokers)
    given = (*USED_BEFORE, *USED_SINCE, *NEVER_USED, "first-used-since")
    leases = dict(zip(given, await world.give(given), strict=True))
    leases["alice"] = await one.log_in("alice")
    await rotate_all(brokers, leases, (*USED_BEFORE, *USED_SINCE), range(1))
    await beat(*brokers)
    snapshot = await world.cluster.snapshot()

    for broker in brokers:
        assert broker.daemon is not None
        await broker.daemon.vault.log_in()  # by a token that the snapshot does not know
    (leases[MADE_SINCE],) = await world.give([MADE_SINCE])
    times = ROTATIONS // len(LOST)
    await rotate_all(brokers, leases, LOST, range(1, 1 + times))
    await rotate_all(brokers, leases, [MADE_SINCE], range(1))
    await beat(*brokers)
    spent = {value for value, posts in world.issuer.posts_by_value().items() if posts}
    assert len(spent) == times * len(LOST) + len(USED_BEFORE) + len(USED_SINCE) + 1

    await world.cluster.restore(snapshot)
    for broker in brokers:
        assert await errors_of(broker, leases, KEPT) == {"store_rewound"}
        # Whoever notices by a grant first marks that one as lost, which is what the next one hears.
        assert await errors_of(broker, leases, LOST) <= {"store_rewound", "login_needed"}
    assert set(world.issuer.posts_by_value()) == spent
    assert world.most_posts_of_a_value() == 1

    await beat(one)
    with pytest.raises(Busy, match="two"):
        await typed_restored(world, folder)
    await beat(two)
    said = await typed_restored(world, folder)
    assert said == {"must_log_in": people(LOST), "unknown": 1, "damaged": 0}

    await beat(*brokers)
    assert await errors_of(one, leases, KEPT) == {""}
    assert await errors_of(two, leases, LOST) == {"login_needed"}
    assert {grant.state for grant in await world.stored(KEPT)} == {GrantState.READY}
    assert world.most_posts_of_a_value() == 1
    # Somebody on the list is well after a new login, and off the list.
    leases["alice"] = await two.log_in("alice")
    assert await errors_of(one, leases, ["alice"]) == {""}
    later = await typed_restored(world, folder)
    assert later["must_log_in"] == people(set(LOST) - {"alice"})
