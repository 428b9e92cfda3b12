"""`serve --workers`: several replicas behind one port."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from tests.integration.broker_world import BrokerWorld, Served


async def test_workers_share_one_port_and_each_has_its_own_trail(
    broker_world: BrokerWorld, unused_tcp_port: int
) -> None:
    """What one of them gave, the others know; all end in good order."""
    served = await broker_world.serve_pair("pair", port=unused_tcp_port)
    lease = await served.log_in()
    for _ in range(8):
        assert (await served.token(lease)).status == 200
    assert await served.terminate() == 0
    trails = sorted(one.name for one in broker_world.folder.glob("**/audit-pair*.jsonl"))
    assert trails == ["audit-pair-1.jsonl", "audit-pair-2.jsonl"]


async def test_no_worker_goes_on_when_the_one_who_runs_them_was_killed(
    broker_world: BrokerWorld, unused_tcp_port: int
) -> None:
    """They would answer beside those that are started next, under the same names; they stop in order."""
    served = await broker_world.serve_pair("orphans", port=unused_tcp_port)
    left = broker_world.folder / "orphans.crashed.log"
    await served.kill()
    await broker_world.until(lambda: left.read_text().count('"event": "stopped"') == 2)
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", unused_tcp_port))


async def test_one_scrape_sums_all_workers_and_says_who_is_silent(
    broker_world: BrokerWorld, unused_tcp_port: int
) -> None:
    """Whichever of them is scraped; what one that died had counted is told on, and counts go on there."""
    served = await broker_world.serve_pair("scraped", port=unused_tcp_port)
    lease = await served.log_in()
    for _ in range(8):
        asked = {"Connection": "close"}  # so that any worker may get the next one
        await served.ask("GET", "/readyz", headers=asked)
        assert (await served.token(lease)).status == 200
    trail = broker_world.audit_lines()
    given = sum(line["event"] in {"mint", "delivery"} for line in trail)
    for _ in range(6):
        numbers = await scraped(served)
        assert numbers['event="mint"'] + numbers['event="delivery"'] == given == 8
        assert numbers["silent"] == 0
    os.kill(workers_of(served)[0], signal.SIGKILL)
    for silent in (1, 0):
        numbers = await scraped_until(served, silent=silent)
        assert numbers['event="mint"'] + numbers['event="delivery"'] == given
        await broker_world.until(lambda: served.said().count('"event": "ready"') == 3)
    assert await served.terminate() == 0


async def scraped(served: Served) -> dict[str, float]:
    """Return how many tokens were given out, by event, and how many workers are silent."""
    answer = await served.ask("GET", "/metrics", headers={"Connection": "close"})
    text = answer.body.decode()
    numbers = {'event="mint"': 0.0, 'event="delivery"': 0.0}
    for event, count in re.findall(
        r"^credbroker_events_total{(event=\"\w+\").*} (\S+)$", text, re.MULTILINE
    ):
        numbers[event] = numbers.get(event, 0.0) + float(count)
    (silent,) = re.findall(r"^credbroker_workers_silent (\S+)$", text, re.MULTILINE)
    return {**numbers, "silent": float(silent)}


async def scraped_until(served: Served, *, silent: int) -> dict[str, float]:
    """Scrape until so many are silent; return the numbers."""
    for _ in range(1000):
        # What waited at the socket of one that was killed is cut off with it.
        with contextlib.suppress(aiohttp.ClientConnectionError):
            numbers = await scraped(served)
            if numbers["silent"] == silent:
                return numbers
    raise AssertionError(f"never were {silent} workers silent")


def workers_of(served: Served) -> list[int]:
    """Return the process ids of the workers."""
    assert served.child is not None
    pid = served.child.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
