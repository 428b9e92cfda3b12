"""`serve --workers`: several replicas behind one port."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tests.integration.broker_world import Served

if TYPE_CHECKING:
    from tests.integration.broker_world import BrokerWorld


async def test_workers_share_one_port_and_each_has_its_own_trail(
    broker_world: BrokerWorld, unused_tcp_port: int
) -> None:
    """What one of them gave, the others know; all end in good order."""
    folder = broker_world.write_settings("shared", port=unused_tcp_port)
    served = Served(
        f"https://127.0.0.1:{unused_tcp_port}", broker_world, folder=folder,
        log_file=broker_world.folder / "shared.log", words=("--workers", "2"),
    )  # fmt: skip
    await served.start("pair")
    try:
        await broker_world.until(lambda: served.said().count('"event": "ready"') == 2)
        lease = await served.log_in()
        for _ in range(8):
            assert (await served.token(lease)).status == 200
    finally:
        assert await served.terminate() == 0
    trails = sorted(one.name for one in broker_world.folder.glob("**/audit-pair*.jsonl"))
    assert trails == ["audit-pair-1.jsonl", "audit-pair-2.jsonl"]


async def test_no_worker_goes_on_when_the_one_who_runs_them_was_killed(
    broker_world: BrokerWorld, unused_tcp_port: int
) -> None:
    """They would answer beside those that are started next, under the same names; they stop in order."""
    folder = broker_world.write_settings("orphans", port=unused_tcp_port)
    served = Served(
        f"https://127.0.0.1:{unused_tcp_port}", broker_world, folder=folder,
        log_file=broker_world.folder / "orphans.log", words=("--workers", "2"),
    )  # fmt: skip
    await served.start("orphan")
    await broker_world.until(lambda: served.said().count('"event": "ready"') == 2)
    left = broker_world.folder / "orphans.crashed.log"
    await served.kill()
    await broker_world.until(lambda: left.read_text().count('"event": "stopped"') == 2)
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", unused_tcp_port))
