"""`serve --workers`: several replicas behind one port."""

from __future__ import annotations

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
