"""`credbroker credmon` and a real broker: a lease in a `.top`, its tokens in `.use`, its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credbroker.host.clock import SystemClock
from credbroker.wire import native
from tests.integration.broker_world import READ
from tests.integration.credmon_world import CondorWorld

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from tests.integration.broker_world import BrokerWorld, Replica


@pytest.fixture
async def condor(tmp_path: Path, authority: Authority) -> AsyncIterator[CondorWorld]:
    """An access point without a credmon."""
    (tmp_path / "ap").mkdir()
    made = CondorWorld(tmp_path / "ap", authority)
    yield made
    await made.close()


def request(world: BrokerWorld, broker: Replica, lease: str) -> dict[str, str]:
    """Return what our storer stores."""
    path = f"/v1/secret/oauth/creds/{world.issuer_name}/alice:default"
    return {"vault_url": broker.url + path, "vault_token": lease}


async def test_a_lease_in_a_top_becomes_tokens_until_it_is_ended(
    broker_world: BrokerWorld, condor: CondorWorld
) -> None:
    """The whole right, and by a handle a part of it; a lease that was ended is told, and all stays."""
    broker = await broker_world.replica()
    lease = await broker.log_in()
    condor.configure(
        TRUSTED_VAULT_HOSTS=broker.url.removeprefix("https://"), CREDMON_OAUTH_TOKEN_MINIMUM="60"
    )
    stored = request(broker_world, broker, lease)
    condor.credd.store("alice", "cms", stored)
    condor.credd.store("alice", "cms_ro", {"vault_url": stored["vault_url"]}, scopes=READ)
    credmon = await condor.credmon()
    await condor.until(lambda: condor.jti("alice", "cms") and condor.jti("alice", "cms_ro"))
    narrowed = condor.token("alice", "cms_ro", SystemClock().now())
    assert [str(one) for one in narrowed.scopes] == [READ]
    assert (await broker.ask("DELETE", native.LEASE_SELF, lease)).status == 204
    before = condor.use("alice", "cms").read_bytes()
    condor.credd.store("alice", "cms", stored)
    await condor.until(lambda: condor.said_of(credmon, "alice", "cms"))
    assert condor.use("alice", "cms").read_bytes() == before
    assert lease not in credmon.said()
