"""OpenBao as one node or as three on loopback, whose nodes can be killed and stopped.

The nodes speak plain HTTP, because the campaign's proxy reads what goes by. Each has an address of its
own, so that nobody takes its port while it is down. They elect quickly (`performance_multiplier` 1).
Every node is ended by its own process id.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hvac
import requests
from hvac.exceptions import VaultError

from credbroker.demo.openbao import OpenBaoError, OpenBaoSettings, find_binary
from credbroker.demo.openbao.setup import ADMIN_NAME, Layout, configuration
from credbroker.demo.ports import free_port
from credbroker.demo.private_files import write_private

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.host.clock import SystemClock
    from credbroker.ports import Entropy

SETTINGS = OpenBaoSettings(with_admin=True)
START_SECONDS = 60.0
_POLL_SECONDS = 0.05
_CALL_SECONDS = 3
_RAFT_PACE = {
    "performance_multiplier": 1,
    "autopilot_reconcile_interval": "500ms",
    "autopilot_update_interval": "500ms",
}


@dataclass
class Node:
    """One OpenBao server: `host` is its address, `config` its configuration."""

    host: str
    port: int
    layout: Layout
    config: dict[str, Any]
    child: subprocess.Popen[bytes] | None = None
    stopped: bool = False

    @property
    def address(self) -> str:
        """Where its clients reach it."""
        return f"http://{self.host}:{self.port}"

    @property
    def runs(self) -> bool:
        """True if its process is there, stopped or not."""
        return self.child is not None and self.child.poll() is None

    def start(self) -> None:
        """Start the process; it is ready some time later."""
        write_private(self.layout.config_file, json.dumps(self.config).encode())
        with self.layout.log_file.open("ab") as log:
            self.child = subprocess.Popen(
                [find_binary(), "server", f"-config={self.layout.config_file}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={"HOME": str(self.layout.folder)}, cwd=self.layout.folder,
                start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """End it as a crash would."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child, self.stopped = None, False

    def stop(self) -> None:
        """Freeze it."""
        self._signal(signal.SIGSTOP)
        self.stopped = True

    def go_on(self) -> None:
        """Let it run again."""
        self._signal(signal.SIGCONT)
        self.stopped = False

    def _signal(self, number: signal.Signals) -> None:
        assert self.child is not None
        self.child.send_signal(number)


class Cluster:
    """One OpenBao of one node or three; set up as a broker needs it, with an administrator."""

    def __init__(self, folder: Path, count: int, clock: SystemClock, entropy: Entropy) -> None:
        """Prepare `count` nodes below `folder`; nothing runs yet."""
        self._clock = clock
        self._entropy = entropy
        self._password = entropy.token(32)
        self._admin: dict[str, hvac.Client] = {}
        self.mount = SETTINGS.mount
        self.nodes = self._nodes(folder, count)
        self.role_id_file = self.nodes[0].layout.role_id_file
        self.secret_id_file = self.nodes[0].layout.secret_id_file

    async def start(self) -> None:
        """Start all nodes for the first time; afterwards they all vote and take a broker's login."""
        await asyncio.to_thread(self._begin)

    async def up(self) -> None:
        """Start and unfreeze whatever is not running; return when writes are taken."""
        for node in self.nodes:
            if not node.runs:
                node.start()
            elif node.stopped:
                node.go_on()
        await self.ready()

    async def ready(self) -> None:
        """Return once writes are taken."""
        await asyncio.to_thread(self._await, self._takes_writes)

    def close(self) -> None:
        """End every node."""
        for node in self.nodes:
            node.kill()

    async def leader(self) -> Node:
        """Return the node that leads."""
        return await asyncio.to_thread(self._await, self._leading)

    async def snapshot(self) -> bytes:
        """Return all that is stored, as the operator's backup would hold it."""
        leader = await self.leader()
        return await asyncio.to_thread(self._take_snapshot, leader)

    async def restore(self, snapshot: bytes) -> None:
        """Put an earlier state in place of what is stored."""
        leader = await self.leader()
        await asyncio.to_thread(self._put_snapshot, leader, snapshot)
        await self.ready()

    def admin(self, node: Node) -> hvac.Client:
        """Return a client that may do everything, at one node; blocks."""
        if node.host not in self._admin:
            client = _client(node)
            client.auth.userpass.login(ADMIN_NAME, self._password)
            self._admin[node.host] = client
        return self._admin[node.host]

    def admin_token(self, node: Node) -> str:
        """Return what the administrator shows at `node`; blocks."""
        try:
            return str(self.admin(node).token)
        except (VaultError, requests.RequestException) as error:
            raise OpenBaoError("OpenBao does not let the administrator in.") from error

    def _begin(self) -> None:
        first, *others = self.nodes
        first.start()
        self._await(self._takes_writes)
        if others:
            pace = {"server_stabilization_time": "1s"}
            self.admin(first).write_data("sys/storage/raft/autopilot/configuration", data=pace)
        for node in others:
            node.start()
        self._await(self._all_vote)

    def _nodes(self, folder: Path, count: int) -> list[Node]:
        second, third = (16 + int(self._entropy.fraction() * 224) for _ in range(2))
        hosts = [f"127.{second}.{third}.{1 + number}" for number in range(count)]
        port = free_port(self._entropy, width=2, hosts=hosts)
        key = base64.urlsafe_b64decode(self._entropy.token(32) + "=")
        nodes = [self._node(folder, number, host, port, key) for number, host in enumerate(hosts)]
        for node in nodes[1:]:
            node.config.pop("initialize")
            joining = {"leader_api_addr": nodes[0].address}
            node.config["storage"]["raft"]["retry_join"] = [joining]
        return nodes

    def _node(self, folder: Path, number: int, host: str, port: int, key: bytes) -> Node:
        layout = Layout(folder / f"node-{number}")
        layout.raft_folder.mkdir(mode=0o700, parents=True)
        write_private(layout.unseal_key_file, key)
        if number == 0:
            write_private(layout.role_id_file, self._entropy.token(16).encode())
            write_private(layout.secret_id_file, self._entropy.token(32).encode())
            write_private(layout.admin_password_file, self._password.encode())
        config = configuration(layout, SETTINGS, port, (layout.folder, layout.folder))
        raft = config["storage"]["raft"]
        raft |= {"node_id": f"node-{number}", **_RAFT_PACE}
        config["listener"]["tcp"] = {
            "address": f"{host}:{port}",
            "cluster_address": f"{host}:{port + 1}",
            "tls_disable": True,
        }
        config["api_addr"] = f"http://{host}:{port}"
        config["cluster_addr"] = f"https://{host}:{port + 1}"
        return Node(host, port, layout, config)

    def _await(self, found: Any) -> Any:
        ends = self._clock.elapsed() + START_SECONDS
        while True:
            with contextlib.suppress(VaultError, requests.RequestException):
                if one := found():
                    return one
            if self._clock.elapsed() > ends:
                logs = ", ".join(str(node.layout.log_file) for node in self.nodes)
                raise OpenBaoError(f"OpenBao was not ready in time; read why in {logs}.")
            self._clock.block(_POLL_SECONDS)

    def _leading(self) -> Node | None:
        for node in self.nodes:
            if node.runs and not node.stopped:
                with contextlib.suppress(VaultError, requests.RequestException):
                    said = _client(node).sys.read_health_status(method="GET")
                    if getattr(said, "status_code", 200) == 200:
                        return node
        return None

    def _takes_writes(self) -> bool:
        leader = self._leading()
        if leader is None:
            return False
        client = _client(leader)
        client.auth.approle.login(self.role_id_file.read_text(), self.secret_id_file.read_text())
        client.secrets.kv.v2.read_configuration(mount_point=self.mount)
        client.auth.token.revoke_self()
        return True

    def _all_vote(self) -> bool:
        leader = self._leading()
        if leader is None:
            return False
        said = self.admin(leader).sys.read_raft_config()  # type: ignore[no-untyped-call] # hvac leaves it so
        voters = [one for one in said["data"]["config"]["servers"] if one["voter"]]
        return len(voters) == len(self.nodes)

    def _take_snapshot(self, leader: Node) -> bytes:
        taken = self.admin(leader).sys.take_raft_snapshot()  # type: ignore[no-untyped-call] # hvac leaves it so
        return bytes(taken.content)

    def _put_snapshot(self, leader: Node, snapshot: bytes) -> None:
        self.admin(leader).sys.restore_raft_snapshot(snapshot)  # type: ignore[no-untyped-call] # hvac leaves it so
        self._admin.clear()


def _client(node: Node) -> hvac.Client:
    session = requests.Session()
    session.trust_env = False
    return hvac.Client(
        url=node.address, session=session, timeout=_CALL_SECONDS, allow_redirects=False
    )
