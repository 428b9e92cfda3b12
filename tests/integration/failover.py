"""What every read gets, and when, while the leader of three OpenBao nodes dies under load.

Reads come at a steady rate and are sent once. Every other one is for a grant of which no replica
holds anything, and which must be refreshed; the others are for grants in use, whose tokens are soon
due. As a program it prints figures: `python -m tests.integration.failover --event sigstop`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from credbroker.demo.certificates import make_authority
from credbroker.demo.issuer import Lifetimes, SigningKeys
from credbroker.domain.grants import GrantState
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from tests.chaos.cluster import Cluster
from tests.integration.cluster_world import ClusterWorld

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.integration.broker_world import Asked

ACCESS_SECONDS = 20
IN_USE = 30
PER_SECOND = 20
BEFORE_SECONDS = 2.0
SETTLE_SECONDS = 10.0
_CLOCK = SystemClock()


@dataclass(frozen=True)
class Read:
    """One read of a token: when it came (seconds from the event), what it got, after how long."""

    at: float
    cold: bool
    status: int
    error: str
    seconds: float


@dataclass(frozen=True)
class Story:
    """What happens to the leader, and for how long reads come after that."""

    event: str
    after_seconds: float

    def strike(self, cluster: Cluster, number: int) -> None:
        """Kill or stop node `number` now."""
        node = cluster.nodes[number]
        node.kill() if self.event == "sigkill" else node.stop()


@dataclass
class Load:
    """The reads of one run, over all brokers in turn."""

    brokers: list[Asked]
    in_use: list[str]
    cold: list[str]
    reads: list[Read] = field(default_factory=list)
    event_at: float = float("inf")

    async def run(self, seconds: float, tasks: asyncio.TaskGroup) -> None:
        """Let reads come for so long; they go on in `tasks`."""
        begun_at, brokers = _CLOCK.elapsed(), itertools.cycle(self.brokers)
        for number, lease in enumerate(self._leases(round(seconds * PER_SECOND))):
            due = begun_at + number / PER_SECOND
            await _CLOCK.sleep(due - _CLOCK.elapsed())
            tasks.create_task(self._read(next(brokers), lease))

    def _leases(self, count: int) -> Iterator[str]:
        in_use = itertools.cycle(self.in_use)
        for number in range(count):
            yield self.cold.pop() if number // 2 % 2 else next(in_use)

    async def _read(self, broker: Asked, lease: str) -> None:
        begun_at, cold = _CLOCK.elapsed(), lease not in self.in_use
        answer = await broker.token(lease)
        took = _CLOCK.elapsed() - begun_at
        self.reads.append(Read(begun_at, cold, answer.status, answer.error, took))


async def reads_through(world: ClusterWorld, brokers: list[Asked], story: Story) -> list[Read]:
    """Return all reads of one run; times are from the event."""
    run = SystemEntropy().token(4)
    total = BEFORE_SECONDS + story.after_seconds
    cold = [f"cold-{run}-{number}" for number in range(round(total * PER_SECOND / 2) + 2)]
    used = [f"used-{run}-{number}" for number in range(IN_USE)]
    load = Load(brokers, await world.give(used), await world.give(cold))
    for number, lease in enumerate(load.in_use):
        assert (await brokers[number % len(brokers)].token(lease)).status == 200
    leader = world.cluster.nodes.index(await world.cluster.leader())
    async with asyncio.TaskGroup() as tasks:
        loading = tasks.create_task(load.run(total, tasks))
        await _CLOCK.sleep(BEFORE_SECONDS)
        event_at = _CLOCK.elapsed()
        story.strike(world.cluster, leader)
        await loading
    await world.cluster.up()
    await all_ready(world, cold + used)
    assert world.most_posts_of_a_value() == 1
    return [
        Read(one.at - event_at, one.cold, one.status, one.error, one.seconds) for one in load.reads
    ]


async def all_ready(world: ClusterWorld, names: Sequence[str]) -> None:
    """Return once no grant is claimed any more; fail if one came to harm."""
    ends = _CLOCK.elapsed() + SETTLE_SECONDS
    while True:
        states = {grant.state for grant in await world.stored(names)}
        if states == {GrantState.READY}:
            return
        assert states <= {GrantState.READY, GrantState.CLAIMED}, states
        assert _CLOCK.elapsed() < ends, "A claim was left behind."
        await _CLOCK.sleep(0.2)


def table_row(story: Story, multiplier: int, reads: list[Read]) -> str:
    """Return what the reads after the event got, as a line of a table."""
    met = [one for one in reads if one.at > -1.0]
    good = [one.seconds for one in met if one.status == 200]
    bad = [one for one in met if one.status != 200]
    errors = ",".join(sorted({one.error for one in bad})) or "-"
    served = [one.at for one in bad]
    return (
        f"| {story.event} | {multiplier} | {len(met)} | {len(good)} | {len(bad)} ({errors})"
        f" | {statistics.median(good):.3f} | {max(good):.2f}"
        f" | {max((one.seconds for one in bad), default=0.0):.2f}"
        f" | {max(served, default=0.0):.1f} |"
    )


def _slower(cluster: Cluster, multiplier: int) -> None:
    for node in cluster.nodes:
        node.config["storage"]["raft"]["performance_multiplier"] = multiplier


async def measure(folder: Path, story: Story, multiplier: int, runs: int) -> None:
    """Print a line for each run."""
    entropy = SystemEntropy()
    authority = make_authority(folder, _CLOCK)
    cluster = Cluster(folder / "openbao", 3, _CLOCK, entropy)
    _slower(cluster, multiplier)
    world = ClusterWorld(folder, authority, cluster, "measured")
    try:
        await cluster.start()
        await world.open(SigningKeys(), lifetimes=Lifetimes(access=ACCESS_SECONDS))
        nodes = [node.address for node in cluster.nodes]
        brokers: list[Asked] = [await world.serve_at(name, nodes) for name in ("one", "two")]
        print(
            "| event | multiplier | reads | 200 | others | median s | worst 200 | worst other | last other came at |"
        )
        for _ in range(runs):
            print(
                table_row(story, multiplier, await reads_through(world, brokers, story)), flush=True
            )
    finally:
        await world.close()
        cluster.close()


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--event", choices=["sigkill", "sigstop"], default="sigkill")
    parser.add_argument(
        "--multiplier", type=int, default=1, help="OpenBao's performance_multiplier"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--after", type=float, default=8.0, help="seconds of reads after the event")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="credbroker-failover-") as folder:
        story = Story(args.event, args.after)
        asyncio.run(measure(Path(folder), story, args.multiplier, args.runs))


if __name__ == "__main__":
    main()
