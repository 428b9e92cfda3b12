"""The campaign's brokers: processes that can be killed, frozen, and started again otherwise."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from credbroker.demo.ports import free_port
from credbroker.demo.private_files import write_private
from tests.chaos import pace

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.ports import Entropy
    from tests.chaos.cluster import Cluster
    from tests.chaos.houses import House
    from tests.chaos.points import Points

START_SECONDS = 40.0
_POLL_SECONDS = 0.05


class BrokerError(Exception):
    """A broker did not do as it must; the sentence names its log."""


@dataclass
class Broker:
    """One replica; `lag` says since when it has been well, `offset` how far its clock is off."""

    name: str
    folder: Path
    port: int
    words: list[str]
    child: asyncio.subprocess.Process | None = None
    frozen: bool = False
    offset: float = 0.0
    config: str = "right"
    starts: int = 0
    deaths: list[tuple[float, int]] = field(default_factory=list)
    """When it was killed, and which of its lives that ended."""
    _ready: bool = False

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        """What its present life says."""
        return self.folder / f"{self.name}-{self.starts}.log"

    @property
    def runs(self) -> bool:
        """True if its process is there, frozen or not."""
        return self.child is not None and self.child.returncode is None

    @property
    def serves(self) -> bool:
        """True if it runs, is not frozen, and has said that it is ready."""
        if not self.runs or self.frozen:
            return False
        self._ready = self._ready or '"event": "ready"' in self.log_file.read_text()
        return self._ready

    @property
    def is_right(self) -> bool:
        """True if clock and settings are as they should be."""
        return self.offset == 0.0 and self.config == "right"

    async def start(self, offset: float = 0.0, config: str = "right") -> None:
        """Start it; return at once."""
        self.offset, self.config = offset, config
        self.starts += 1
        self._ready = False
        with self.log_file.open("ab") as log:
            self.child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.chaos.broker", *self.words,
                "--config", str(self.folder / config), "--offset", str(offset),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": os.defpath, "HOME": str(self.folder)}, start_new_session=True,
            )  # fmt: skip

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; SIGSTOP and SIGCONT are kept account of."""
        assert self.child is not None
        self.child.send_signal(number)
        self.frozen = number is signal.SIGSTOP or (self.frozen and number is not signal.SIGCONT)

    async def kill(self, at: float, life: int) -> None:
        """End it as a crash would, at `at` (elapsed seconds), in its `life`-th life."""
        if self.child is None:
            return
        if self.child.returncode is None:
            self.child.kill()
            self.deaths.append((at, life))
        await self.child.wait()
        self.frozen = False


class Fleet:
    """All brokers."""

    def __init__(
        self, folder: Path, cluster: Cluster, houses: list[House], points: Points, entropy: Entropy
    ) -> None:
        """Prepare the brokers' places below `folder`."""
        self._folder = folder
        self._cluster = cluster
        self._houses = houses
        self._points = points
        self._entropy = entropy
        self.plant = ""
        self.brokers: dict[str, Broker] = {}

    def add(self, name: str, vault_addresses: list[str]) -> Broker:
        """Write a broker's settings, right and wrong ones; it is not started."""
        folder = self._folder / name
        folder.mkdir(mode=0o700)
        words = ["--replica", name, "--points", str(self._points.path)]
        words += ["--plant", self.plant] if self.plant else []
        broker = Broker(name, folder, free_port(self._entropy), words)
        self._write(broker, vault_addresses, "right", "credbroker")
        self._write(broker, vault_addresses, "wrong-client", "another")
        self.brokers[name] = broker
        return broker

    def custody_folder(self, name: str) -> Path:
        """Return where a broker keeps its spool and its marks."""
        return self._folder / f"custody-{pace.HOSTS[name]}"

    def close(self) -> None:
        """End every broker."""
        for broker in self.brokers.values():
            if broker.child is not None and broker.child.returncode is None:
                broker.child.kill()

    def _write(self, broker: Broker, addresses: list[str], name: str, client_id: str) -> None:
        folder = broker.folder / name
        folder.mkdir(mode=0o700)
        (broker.folder / "audit").mkdir(mode=0o700, exist_ok=True)
        content = {
            "public_url": broker.url,
            "listen": {"port": broker.port},
            "audit": {"folder": str(broker.folder / "audit")},
            "custody": {
                "folder": str(self.custody_folder(broker.name)),
                "store_seconds": pace.STORE_SECONDS,
                "margin_seconds": pace.MARGIN_SECONDS,
                "spools_first_seconds": pace.SPOOLS_FIRST_SECONDS,
                "paused_seconds": pace.PAUSED_SECONDS,
                "spool_entries": 32,
            },
            "vault": {
                "addresses": addresses,
                "mount": self._cluster.mount,
                "seconds": pace.STORE_SECONDS,
                "approle": {
                    "role_id_file": str(self._cluster.role_id_file),
                    "secret_id_file": str(self._cluster.secret_id_file),
                },
            },
            "limits": {"per_address_per_second": 1000, "per_address_burst": 5000},
            "issuers": {
                house.name: self._issuer(house, folder, client_id) for house in self._houses
            },
        }
        (folder / "10-all.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def _issuer(self, house: House, folder: Path, client_id: str) -> dict[str, Any]:
        secret_file = folder / f"{house.name}-secret"
        write_private(secret_file, house.client_secret.encode())
        return {
            "url": house.issuer.url,
            "client_id": client_id,
            "client_secret_file": str(secret_file),
            "credkey_claim": "preferred_username",
            "roles": {"default": {"scopes": list(house.scopes)}},
            "seconds": 5.0,
            "refresh_seconds": pace.REFRESH_SECONDS,
            **house.rule_settings,
        }
