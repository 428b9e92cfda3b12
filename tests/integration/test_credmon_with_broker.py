"""`credbroker credmon` and a real broker: a lease in a `.top`, its tokens in `.use`, its end."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import pytest

from credbroker.delivery import lease_file
from credbroker.domain.secret import Secret
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.wire import native
from tests.integration.broker_world import READ
from tests.integration.credmon_world import CondorWorld
from tests.integration.test_people import SE1, URL, join, signed_for

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


async def test_an_access_points_own_users_live_on_its_standing_lease(
    broker_world: BrokerWorld, condor: CondorWorld
) -> None:
    """HTCondor's `local` kind: each has a token about them; who is in no rule has none, and it is said."""
    broker = await broker_world.replica(**signed_for(condor.folder))
    join(broker_world, "/dteam")
    now = SystemClock().now()
    standing = lease_file.LeaseFile(
        broker.url,
        Secret("lease token", await broker.log_in()),
        broker_world.issuer_name,
        "default",
        "alice",
        [],
        now + datetime.timedelta(days=7),
    )
    lease_file.write(condor.folder / "ap.json", standing, SystemEntropy())
    condor.configure(
        LOCAL_CREDMON_PROVIDER_NAMES="ap",
        LOCAL_CREDMON_LEASE_FILE=str(condor.folder / "ap.json"),
        LOCAL_CREDMON_AUTHZ_TEMPLATE="storage.create:/home/{username}",
        LOCAL_CREDMON_TOKEN_AUDIENCE=SE1,
        LOCAL_CREDMON_TOKEN_USE_JSON="False",
    )
    for user in ("grid1", "grid2", "root"):
        condor.credd.store(user, "ap", f"{user}@ap.example.org".encode())
    credmon = await condor.credmon()
    await condor.until(lambda: condor.jti("grid1", "ap") and condor.jti("grid2", "ap"))
    for user in ("grid1", "grid2"):
        token = condor.token(user, "ap", SystemClock().now())
        assert (token.issuer_url, token.subject, token.audiences) == (URL, user, (SE1,))
        assert str(token.scopes) == f"storage.create:/home/{user}"
    await condor.until(lambda: condor.said_of(credmon, "root", "ap"))
    assert not condor.use("root", "ap").exists()
