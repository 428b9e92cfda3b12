"""Logging in with a real ssh-agent, asked as htgettoken asks it, over the broker's own addresses.

The agent gets flags 0, and of what it signs the leading name of the algorithm is dropped.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from credbroker.api.answering import answering_problems
from credbroker.api.htvault_ssh import HtvaultSsh
from credbroker.api.strangers import Strangers
from credbroker.domain.attenuation import Ceiling
from credbroker.domain.leases import Lease, LeaseToken
from credbroker.domain.limits import Allowance
from credbroker.domain.ssh_keys import read_parts
from tests.fakes.ssh_agent import string
from tests.integration.broker_world import Replica as BrokerReplica
from tests.unit.broker.ssh_world import SshWorld
from tests.unit.broker.world import ISSUER, ORIGIN, ROLE, WANT_READ, Replica
from tests.unit.things import seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from credbroker.domain.grants import Grant
    from tests.integration.broker_world import BrokerWorld

ROLE_OF_ADA = "/v1/auth/ssh/role/ada"
_LIST, _LISTED, _SIGN, _SIGNED = 11, 12, 13, 14
_PATIENCE_SECONDS = 10
KINDS = {
    "ed25519": ["-t", "ed25519"],
    "ecdsa256": ["-t", "ecdsa", "-b", "256"],
    "ecdsa384": ["-t", "ecdsa", "-b", "384"],
    "ecdsa521": ["-t", "ecdsa", "-b", "521"],
    "rsa": ["-t", "rsa", "-b", "2048"],
}


class Agent:
    """An ssh-agent with one key of each kind, and as much of its protocol as a client needs."""

    def __init__(self, socket_file: Path) -> None:
        """Speak to the agent at this socket."""
        self._socket_file = socket_file

    def lines(self) -> list[str]:
        """Return the public keys as htgettoken sends them, `key1` first."""
        rest = read_parts(self._ask(_LIST, b"", _LISTED)[4:])
        blobs = rest[::2]  # behind each blob comes its comment
        return [
            f"{read_parts(blob)[0].decode()} {base64.b64encode(blob).decode()} key{number}"
            for number, blob in enumerate(blobs, 1)
        ]

    def sign(self, line: str, signed: bytes) -> bytes:
        """Have the agent sign, with flags 0; return the inner signature."""
        blob = base64.b64decode(line.split()[1])
        asked = string(blob) + string(signed) + bytes(4)
        (whole,) = read_parts(self._ask(_SIGN, asked, _SIGNED))
        return read_parts(whole)[1]

    def _ask(self, kind: int, content: bytes, expected: int) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE_SECONDS)
            connection.connect(str(self._socket_file))
            connection.sendall(string(bytes([kind]) + content))
            answers = connection.makefile("rb")
            answer = answers.read(int.from_bytes(answers.read(4), "big"))
        assert answer[0] == expected, answer[:1]
        return answer[1:]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """Start an agent that holds a key of each kind; end it."""
    if shutil.which("ssh-agent") is None:
        pytest.skip(reason="there is no ssh-agent here; it comes with the OpenSSH client")
    folder = tmp_path_factory.mktemp("agent")
    at = folder / "socket"
    with subprocess.Popen(["ssh-agent", "-D", "-a", at], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()  # it says where it listens once it does
        try:
            for name, kind in KINDS.items():
                key_file = str(folder / name)
                made = ["ssh-keygen", "-q", *kind, "-N", "", "-C", name, "-f", key_file]
                subprocess.run(made, check=True)
                there = {**os.environ, "SSH_AUTH_SOCK": str(at)}
                subprocess.run(["ssh-add", "-q", key_file], check=True, env=there)
            yield Agent(at)
        finally:
            running.terminate()


class Client:
    """Asks as htgettoken does: JSON without saying so."""

    def __init__(self, world: SshWorld, replica: Replica, http: TestClient[Any, Any]) -> None:
        """Ask a replica of this world."""
        self.world = world
        self.replica = replica
        self._http = http

    async def ask(
        self, method: str, path: str, body: Mapping[str, object] | None = None, lease: str = ""
    ) -> tuple[int, Any]:
        """Return status and JSON of an answer."""
        answered = await self._http.request(
            method, path, json=body, headers={"X-Vault-Token": lease} if lease else {}
        )
        return answered.status, await answered.json() if answered.status != 204 else None

    async def log_in(
        self, agent: Agent, line: str, credkey: str | None = "ada", role: str = ROLE
    ) -> tuple[int, Any]:
        """Log in by one key of an agent."""
        _, given = await self.ask("GET", "/v1/auth/ssh/nonce")
        nonce: bytes = given["data"]["nonce"].encode()
        signature = await asyncio.to_thread(agent.sign, line, nonce)
        body = {
            "role": credkey,
            "public_key": line,
            "nonce": base64.b64encode(nonce).decode(),
            "signature": base64.b64encode(signature).decode(),
            "metadata": {"issuer": ISSUER, "group": role},
        }
        return await self.ask("POST", "/v1/auth/ssh/login", body)

    async def fresh_lease(self) -> str:
        """Return the lease of ada, who has just logged in at the issuer."""
        token = self.replica.leasing.new_token()
        _, caller = await self.world.fresh_login(
            self.replica, id=token.id, secret_hash=token.secret_hash()
        )
        await self.replica.leasing.begin(caller.lease)
        return token.text().reveal()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """Serve ssh logins in a world where ada has a grant."""
    world = SshWorld()
    replica = world.replica()
    await world.give_grant()
    ssh = HtvaultSsh(
        world.ssh_logins(replica),
        world.registering(replica),
        replica.leasing,
        Strangers(Allowance(1.0, 50), world.clock),
        world.clock,
    )
    app = web.Application(middlewares=[answering_problems(world.entropy, world.audit)])
    app.add_routes(ssh.routes())
    async with TestClient(TestServer(app)) as http:
        yield Client(world, replica, http)


async def test_every_kind_of_key_of_an_agent_logs_in(client: Client, agent: Agent) -> None:
    """All are registered at once; each then opens a lease that gets tokens."""
    lines = agent.lines()
    assert len(lines) == len(KINDS)
    lease = await client.fresh_lease()
    status, registered = await client.ask("POST", ROLE_OF_ADA, {"public_keys": lines}, lease)
    assert (status, registered["warnings"]) == (200, None)
    assert [key["type"] for key in registered["data"]["keys"]] == [one.split()[0] for one in lines]
    for line in lines:
        status, answered = await client.log_in(agent, line)
        assert status == 200, (line, answered)
        auth = answered["auth"]
        assert auth["lease_duration"] == 7 * 86400
        assert auth["metadata"] == {
            "issuer": ISSUER, "group": ROLE, "role": "ada", "credkey": "ada",
        }  # fmt: skip
        caller = await client.replica.leasing.identify(
            LeaseToken.parse(auth["client_token"]), ORIGIN
        )
        await client.replica.minting.mint_access_token(caller, WANT_READ)
    assert client.world.audit.events().count("ssh_login") == len(lines)


async def test_what_cannot_log_in_sends_the_client_on(client: Client, agent: Agent) -> None:
    """To its next key by a 400, to a login at the issuer by an answer without a lease."""
    first, second, *_ = agent.lines()
    lease = await client.fresh_lease()
    await client.ask("POST", ROLE_OF_ADA, {"public_keys": [second]}, lease)
    for credkey in ("ada", "eve", "ADA", None):
        status, refused = await client.log_in(agent, first, credkey)
        assert status == 400
        assert all(isinstance(one, str) for one in refused["errors"])
        assert "permission denied" not in str(refused)
    status, without = await client.log_in(agent, second, role="pilot")
    assert (status, without["auth"]) == (200, None)
    assert "log in at the issuer" in without["warnings"][0]
    assert (await client.log_in(agent, second))[1]["auth"]["client_token"]


async def test_registered_keys_are_listed_and_taken_away_one_by_one(
    client: Client, agent: Agent
) -> None:
    """By the fingerprint that ssh-add shows, which a query may garble."""
    lease, lines = await client.fresh_lease(), agent.lines()
    fido = "sk-ssh-ed25519@openssh.com AAAA key9"
    status, registered = await client.ask(
        "POST", ROLE_OF_ADA, {"public_keys": [*lines, fido]}, lease
    )
    assert status == 200
    assert "FIDO" in registered["warnings"][0]
    _, listed = await client.ask("GET", ROLE_OF_ADA, lease=lease)
    prints = [key["fingerprint"] for key in listed["data"]["keys"]]
    assert len(prints) == len(lines)
    for fingerprint in prints:
        gone = f"{ROLE_OF_ADA}?fingerprint={fingerprint}"
        assert (await client.ask("DELETE", gone, lease=lease))[0] == 204
        assert (await client.ask("DELETE", gone, lease=lease))[0] == 404
    assert (await client.log_in(agent, lines[0]))[0] == 400


@pytest.mark.parametrize(
    "credkey",
    ["eve", "ADA", "ada/robot", "..%2Fada", "%2e%2e/ada", "*", "+", "a%00da", "ada%2Frobot"],
)
async def test_no_trick_with_a_path_registers_keys_for_another(
    client: Client, agent: Agent, credkey: str
) -> None:
    """The path is compared with the lease, and names nothing by itself."""
    lease = await client.fresh_lease()
    body = {"public_keys": agent.lines()}
    status, _ = await client.ask("POST", f"/v1/auth/ssh/role/{credkey}", body, lease)
    assert status in {403, 404}
    assert client.world.keys.history == []


async def test_who_shows_no_lease_is_counted_and_registers_nothing(
    client: Client, agent: Agent
) -> None:
    """Beyond what an address may ask for, it hears when it may again."""
    for lease in ("", "hvs.not-one-of-ours"):
        status, refused = await client.ask(
            "POST", ROLE_OF_ADA, {"public_keys": agent.lines()}, lease
        )
        assert status == 403
        assert "permission denied" not in str(refused)
    asked = [await client.ask("GET", "/v1/auth/ssh/nonce") for _ in range(60)]
    assert [status for status, _ in asked[-5:]] == [429] * 5


async def test_a_key_logs_in_at_any_replica_over_a_real_store(
    broker_world: BrokerWorld, agent: Agent
) -> None:
    """Registered at one, the nonce from it too; the login at another, which reads a token."""
    replicas = []
    for name in ("one", "two"):
        settings = broker_world.write_settings(name, more={"ssh": {"registration": True}})
        replicas.append(BrokerReplica("", broker_world))
        broker_world._brokers.append(replicas[-1])
        await replicas[-1].open(settings, name)
    one, two = replicas
    await one.log_in("alice")
    grant = await asyncio.to_thread(broker_world.grant_of, "alice")
    lease = await fresh_lease_at(one, grant)
    line = agent.lines()[0]
    registered = await one.ask(
        "POST",
        "/v1/auth/ssh/role/alice",
        body={"public_keys": [line]},
        headers={"X-Vault-Token": lease},
    )
    assert registered.status == 200
    given = (await one.ask("GET", "/v1/auth/ssh/nonce")).json["data"]["nonce"].encode()
    body = {
        "role": "alice",
        "public_key": line,
        "nonce": base64.b64encode(given).decode(),
        "signature": base64.b64encode(await asyncio.to_thread(agent.sign, line, given)).decode(),
        "metadata": {"issuer": broker_world.issuer_name, "group": "default"},
    }
    opened = await two.ask("POST", "/v1/auth/ssh/login", body=body)
    assert opened.status == 200
    again = await one.ask("POST", "/v1/auth/ssh/login", body=body)
    assert (again.status, "used before" in again.json["errors"][0]) == (400, True)
    read = await one.ask(
        "GET",
        f"/v1/secret/oauth/creds/{broker_world.issuer_name}/alice:default",
        headers={"X-Vault-Token": opened.json["auth"]["client_token"]},
    )
    assert read.json["data"]["access_token"]


async def fresh_lease_at(replica: BrokerReplica, grant: Grant) -> str:
    """Return a lease as a login in HTVault's place gives it, to whom a grant belongs."""
    assert replica.daemon is not None
    leasing, now = replica.daemon.engine.leasing, replica.world.clock.now()
    token = leasing.new_token()
    lease = Lease(
        id=token.id,
        secret_hash=token.secret_hash(),
        key=grant.key,
        line=grant.line,
        ceiling=Ceiling(),
        created_at=now,
        ends_at=now + seconds(3600),
        subject=grant.subject,
        registers=True,
    )
    await leasing.begin(lease)
    return token.text().reveal()
