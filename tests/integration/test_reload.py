"""SIGHUP: `credbroker serve` takes new settings and certificates, and nobody who is served notices."""

from __future__ import annotations

import asyncio
import signal
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import yaml

from credbroker.demo.issuer import faults
from credbroker.host.clock import SystemClock
from credbroker.host.http import Connector
from credbroker.wire import deliveries, native
from tests.fixtures_openbao import admin_hvac
from tests.integration.broker_world import READ, ROLE_SCOPES, Served
from tests.integration.test_host_certificates import LISTED, HostAuthority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from credbroker.demo.openbao import OpenBaoServer
    from tests.integration.broker_world import BrokerWorld
    from tests.integration.conftest import WorldFactory

PAUSE_SECONDS = 0.005
TAKEN, REFUSED = '"event": "settings_taken"', '"event": "settings_refused"'


@dataclass
class Crowd:
    """People who never stop asking, on connections that stay and on new ones."""

    served: Served
    lease: str
    statuses: list[int] = field(default_factory=list)
    certificates: list[bytes] = field(default_factory=list)
    have_enough: bool = False

    async def stay(self, session: aiohttp.ClientSession) -> None:
        """Ask for a token over and over on one connection."""
        while not self.have_enough:
            body, headers = {"scopes": [READ]}, {"Authorization": f"Bearer {self.lease}"}
            url = self.served.url + native.TOKENS
            async with session.post(url, json=body, headers=headers) as answer:
                self.statuses.append(answer.status)
            await SystemClock().sleep(PAUSE_SECONDS)

    async def come_anew(self, trust: ssl.SSLContext) -> None:
        """Connect over and over, and look at what is shown."""
        port = int(self.served.url.rpartition(":")[2])
        while not self.have_enough:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
            shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            writer.write(b"GET /livez HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            said = await reader.read()
            writer.close()
            await writer.wait_closed()
            self.certificates.append(shown)
            self.statuses.append(int(said.split()[1]))
            await SystemClock().sleep(PAUSE_SECONDS)


@asynccontextmanager
async def crowd(served: Served) -> AsyncIterator[Crowd]:
    """A crowd that asks for as long as the block lasts; none of it was refused, or cut off."""
    lease = await served.log_in()
    people = Crowd(served, lease)
    trust = ssl.create_default_context(cafile=str(served.world.authority.ca_file))
    session = aiohttp.ClientSession(connector=Connector(trust, limit=0))
    async with session, asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(people.stay(session))
            tasks.create_task(people.come_anew(trust))
        try:
            yield people
        finally:
            people.have_enough = True
    assert set(people.statuses) == {200}


def write(served: Served, **sections: Any) -> None:
    """Change settings: these sections are merged over the others."""
    assert served.folder is not None
    (served.folder / "20-more.yaml").write_text(yaml.safe_dump(sections))


async def hang_up(served: Served, says: str, times: int = 1) -> None:
    """Send SIGHUP; return when the log says so often what became of it."""
    assert served.child is not None
    served.child.send_signal(signal.SIGHUP)
    await served.world.until(lambda: served.said().count(says) >= times)


async def served_roles(served: Served) -> list[str]:
    """Return the roles that are offered now."""
    answer = await served.ask("GET", native.ISSUERS)
    (issuer,) = answer.json["issuers"]
    return [str(one) for one in issuer["roles"]]


def shared_tokens(world: BrokerWorld) -> list[str]:
    """Return where Vault keeps tokens for narrow rights."""
    kept = admin_hvac(world.openbao).secrets.kv.v2
    found = kept.list_secrets("narrow", mount_point=world.openbao.mount)
    return [str(one) for one in found["data"]["keys"]]


def forget_shared_tokens(world: BrokerWorld) -> None:
    """Take them away."""
    kept = admin_hvac(world.openbao).secrets.kv.v2
    for place in shared_tokens(world):
        kept.delete_metadata_and_all_versions(f"narrow/{place}", mount_point=world.openbao.mount)


async def test_new_settings_and_certificates_are_taken_and_no_request_is_lost(
    broker_world: BrokerWorld, unused_tcp_port: int
) -> None:
    """Those who are connected stay so; who connects next is shown the new certificate."""
    world = broker_world
    served = await world.serve("reloaded", port=unused_tcp_port)
    role = {"scopes": [*ROLE_SCOPES, "storage.modify:/"]}
    async with crowd(served) as people:
        await world.until(lambda: len(people.certificates) > 5)
        for time in range(1, 4):
            world.authority.issue("broker", world.folder)
            roles = {f"role{time}": role}
            write(served, log={"level": "debug"}, issuers={world.issuer_name: {"roles": roles}})
            shown = people.certificates[-1]
            await hang_up(served, TAKEN, time)
            await world.until(lambda: people.certificates[-1] != shown)  # noqa: B023
            assert set(await served_roles(served)) == {"default", f"role{time}"}
    assert len(set(people.certificates)) == 4
    lines = [one for one in world.audit_lines() if one["event"] == "settings_taken"]
    assert len(lines) == 3
    assert lines[0]["changed"] == [f"issuers.{world.issuer_name}.roles.role1", "log.level"]
    assert await served.terminate() == 0


async def test_settings_that_cannot_be_taken_change_nothing(
    broker_world: BrokerWorld, unused_tcp_port: int
) -> None:
    """Not even those beside them that could; one sentence says which, in the log and on the trail."""
    world = broker_world
    served = await world.serve("steadfast", port=unused_tcp_port)
    role = {world.issuer_name: {"roles": {"more": {"scopes": ROLE_SCOPES}}}}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"log": {"level": "loud"}}, "log.level"),
        ({"listen": {"port": 1}}, "listen.port"),
        ({"vault": {"seconds": 9.0}}, "vault.seconds"),
        (
            {"listen": {"tls": {"key_file": str(world.authority.ca_file)}}},
            "everybody may read or change this TLS key",
        ),
        ({"hosts": {"ca_file": "/nowhere"}}, "/nowhere"),
    ]
    async with crowd(served):
        for number, (sections, says) in enumerate(wrong, start=1):
            write(served, **{"issuers": role, **sections})
            await hang_up(served, REFUSED, number)
            assert says in served.said().splitlines()[-1], served.said()
            assert await served_roles(served) == ["default"]
    refused = [one["why"] for one in world.audit_lines() if one["event"] == "settings_refused"]
    assert all(says in why for (_, says), why in zip(wrong, refused, strict=True))
    assert TAKEN not in served.said()


async def test_a_refresh_in_flight_is_finished_by_who_began_it(
    broker_world: BrokerWorld, unused_tcp_port: int
) -> None:
    """Its caller is answered, and the refresh token that it brought is the one used next."""
    world = broker_world
    served = await world.serve("patient", port=unused_tcp_port)
    lease = await served.log_in()
    world.on_refresh(faults.Slow(2.0))
    asking = asyncio.ensure_future(served.token(lease, "storage.read:/slow"))
    await world.until(lambda: world.refreshes_seen() == 1)
    write(served, tokens={"renew_after": 0.4})
    await hang_up(served, TAKEN)
    assert not asking.done()
    assert (await asking).status == 200
    assert (await served.token(lease, "storage.read:/next")).status == 200
    assert world.most_posts_of_a_value() == 1
    assert await served.terminate() == 0


async def test_all_workers_take_new_settings(
    broker_world: BrokerWorld, unused_tcp_port: int
) -> None:
    """Nobody who asks any of them is turned away meanwhile."""
    world = broker_world
    served = await world.serve_pair("pair", port=unused_tcp_port)
    async with crowd(served):
        role = {world.issuer_name: {"roles": {"more": {"scopes": ROLE_SCOPES}}}}
        write(served, issuers=role)
        await hang_up(served, TAKEN, 2)
        for _ in range(8):
            assert await served_roles(served) == ["default", "more"]
    assert await served.terminate() == 0


async def test_new_settings_are_refused_while_vault_is_away(
    open_world: WorldFactory, openbao: OpenBaoServer, unused_tcp_port: int
) -> None:
    """Who is remembered would be forgotten; so good tokens are served on, by the old settings."""
    world = await open_world(openbao)
    served = await world.serve("alone", port=unused_tcp_port)
    lease = await served.log_in()
    assert (await served.token(lease)).status == 200
    await asyncio.to_thread(openbao.stop)
    write(served, tokens={"renew_after": 0.4})
    await hang_up(served, REFUSED)
    assert "OpenBao/Vault" in served.said().splitlines()[-1]
    assert (await served.token(lease)).status == 200
    await asyncio.to_thread(openbao.start)
    await hang_up(served, TAKEN)
    assert (await served.token(lease)).status == 200


async def test_tokens_at_hand_stay_good_though_their_issuer_is_away(
    broker_world: BrokerWorld, unused_tcp_port: int
) -> None:
    """Also such as Vault has no copy of; those of an issuer that was changed are forgotten."""
    world = broker_world
    served = await world.serve("outage", port=unused_tcp_port)
    lease = await served.log_in()
    given = await served.token(lease, "storage.read:/rare")
    # What came last is what the grant keeps.
    assert (await served.token(lease, "storage.create:/other")).status == 200
    await world.until(lambda: shared_tokens(world))
    await world.issuer.stop()
    forget_shared_tokens(world)
    write(served, tokens={"renew_after": 0.7})
    await hang_up(served, TAKEN)
    again = await served.token(lease, "storage.read:/rare")
    assert (again.status, again.json["jti"]) == (200, given.json["jti"])
    write(served, issuers={world.issuer_name: {"seconds": 3.0}})
    await hang_up(served, TAKEN, 2)
    assert (await served.token(lease, "storage.read:/rare")).status == 503


async def test_a_certificate_counts_by_the_authorities_of_now(
    broker_world: BrokerWorld, unused_tcp_port: int, tmp_path: Path
) -> None:
    """Also on a connection that was made while another authority's counted, however long it stays."""
    world, (old, new) = broker_world, (HostAuthority(tmp_path, one) for one in ("old", "new"))
    hosts = {"ca_file": str(old.ca_file), "names": [LISTED]}
    served = await world.serve("trusting", port=unused_tcp_port, hosts=hosts)
    trust = ssl.create_default_context(cafile=str(world.authority.ca_file))
    trust.load_cert_chain(old.issue(LISTED))
    async with aiohttp.ClientSession(connector=Connector(trust)) as session:
        statuses = []
        for number, ca_file in enumerate((old.ca_file, new.ca_file)):
            write(served, log={"level": "debug"}, hosts={"ca_file": str(ca_file)})
            await hang_up(served, TAKEN, number + 1)
            async with session.post(served.url + deliveries.HOST_SESSIONS) as answer:
                statuses.append(answer.status)
    assert statuses == [201, 403]
