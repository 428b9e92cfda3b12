"""A broker that starts while the issuer is away serves what lies in its people's records."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from hvac.exceptions import InvalidPath

from credbroker.broker.custody.replicas import name_segment
from tests.integration.broker_world import READ

if TYPE_CHECKING:
    from tests.integration.broker_world import BrokerWorld


def are_kept(world: BrokerWorld) -> bool:
    """True if the issuer's keys are in OpenBao."""
    segment = f"keys-{name_segment(world.issuer_name)}"
    with contextlib.suppress(InvalidPath):
        world.openbao.broker_client().secrets.kv.v2.read_secret_version(
            f"marks/{segment}", mount_point=world.openbao.mount, raise_on_deleted_version=True
        )
        return True
    return False


async def test_a_token_outlives_the_broker_while_the_issuer_is_away(
    broker_world: BrokerWorld, unused_tcp_port: int
) -> None:
    """It is checked with the keys that the broker before kept; nothing new is to be had."""
    world = broker_world
    broker = await world.serve(port=unused_tcp_port)
    lease = await broker.log_in()
    place = f"/v1/secret/oauth/creds/{world.issuer_name}/alice:default"
    headers = {"X-Vault-Token": lease}

    async def read(query: str = "") -> tuple[int, str]:
        async with world.http.get(f"{broker.url}{place}{query}", headers=headers) as answered:
            body = await answered.json()
            return answered.status, body.get("data", {}).get("access_token", "")

    first = await read()
    assert first[0] == 200
    await world.until(lambda: are_kept(world))
    await world.issuer.go_dark()
    await broker.kill()
    await broker.start("served")
    assert await read() == first
    status, _ = await read(f"?scopes={READ}")
    assert status == 503
    assert world.most_posts_of_a_value() == 1
