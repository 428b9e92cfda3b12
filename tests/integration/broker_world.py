"""A whole broker among real neighbours: OpenBao, an issuer, people who log in.

A `Replica` runs in the test's own loop, by a clock that can leap; a `Served` is a `credbroker serve`
of its own, which can be killed. Both listen on loopback TLS and are asked through the same `Asked`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import yaml
from aiohttp import web

from credbroker import daemon
from credbroker.broker.custody.replicas import NEWCOMER_SECONDS
from credbroker.config.load import load
from credbroker.demo.issuer import (
    ALL_GRANTS,
    Client,
    DevIssuer,
    Endpoint,
    IssuerSettings,
    Lifetimes,
    Person,
    RefreshPolicy,
    faults,
)
from credbroker.demo.private_files import write_private
from credbroker.domain.names import GrantKey
from credbroker.host.entropy import SystemEntropy
from credbroker.host.http import Connector
from credbroker.wire import native
from credbroker.wire.records import read_grant
from tests.answers import Answer
from tests.fakes.leaping_clock import LeapingClock
from tests.vault_settings import vault_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.demo.issuer import SigningKeys
    from credbroker.demo.issuer.faults import Fault
    from credbroker.demo.openbao import OpenBaoServer
    from credbroker.domain.grants import Grant
    from credbroker.serving import Daemon

READ = "storage.read:/"
ROLE_SCOPES = ["openid", "offline_access", READ, "storage.create:/"]
ACCESS_SECONDS = 600
_PATIENCE_SECONDS = 15.0
_POLL_SECONDS = 0.02


@dataclass
class Asked:
    """A broker as its callers reach it. Every answer is kept, for a look at all of them."""

    url: str
    world: BrokerWorld
    answers: list[Answer] = field(default_factory=list)

    async def ask(
        self,
        method: str,
        path: str,
        lease: str = "",
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request; a body that is not bytes is written as JSON."""
        sent = dict(headers or {}) | ({"Authorization": f"Bearer {lease}"} if lease else {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        async with self.world.http.request(
            method,
            self.url + path,
            data=body,
            headers=sent,
            allow_redirects=False,
        ) as answered:
            answer = Answer(answered.status, answered.headers.copy(), await answered.read())
        self.answers.append(answer)
        return answer

    async def begin_login(self) -> dict[str, Any]:
        """Start a login in the first role; return what a person would be shown, and its token."""
        started = await self.ask("POST", native.LOGINS, body={"issuer": self.world.issuer_name})
        assert started.status == 201, started
        return started.json

    async def log_in(self, person: str = "alice") -> str:
        """Take somebody through a device login; return the lease token."""
        started = await self.begin_login()
        self.world.issuer.approve(started["user_code"], person)
        lease = str(started["login_token"])
        polled = await self.ask("POST", native.LOGIN_POLL, lease)
        assert polled.json["done"], polled
        return lease

    async def token(self, lease: str, *scopes: str, **more: object) -> Answer:
        """Ask for an access token with these scopes, by default for reading everything."""
        body = {"scopes": list(scopes) or [READ], **more}
        return await self.ask("POST", native.TOKENS, lease, body)

    async def job_lease(self, lease: str, **changes: object) -> str:
        """Make a narrow lease for a job; return its token."""
        asked = {"job": "job 1", "scopes": ["storage.read:/job"], "audiences": ["https://se"]}
        body = {**asked, "lifetime_seconds": 3600, **changes}
        given = await self.ask("POST", native.LEASES, lease, body)
        assert given.status == 201, given
        return str(given.json["lease_token"])


@dataclass
class Replica(Asked):
    """A broker in this process."""

    runner: web.AppRunner | None = None
    daemon: Daemon | None = None
    lasting: list[asyncio.Task[None]] = field(default_factory=list)
    opened: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def open(self, folder: Path, name: str) -> None:
        """Build a broker from the settings in `folder`, and let it listen."""
        settings, world = load(folder), self.world
        self.daemon = await daemon.build(settings, name, world.clock, SystemEntropy(), self.opened)
        await self.daemon.look_around()
        world.clock.leap(NEWCOMER_SECONDS)  # it is alone, and knows it from now on
        self.runner = web.AppRunner(self.daemon.app, access_log=None, shutdown_timeout=0.2)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=world.broker_tls())
        await site.start()
        self.url = f"https://127.0.0.1:{self.runner.addresses[0][1]}"
        running = (self.daemon.vault.stay_logged_in(), self.daemon.engine.containing.run())
        loop = asyncio.get_running_loop()
        self.lasting = [loop.create_task(one) for one in running]

    async def close(self) -> None:
        """Let go of everything; deeds that are not done by then would hang the test, so they fail."""
        for task in self.lasting:
            task.cancel()
        if self.runner is not None and self.daemon is not None:
            await self.runner.cleanup()
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self.daemon.deeds.finish()
        await self.opened.aclose()


@dataclass
class Served(Asked):
    """A `credbroker serve` in a process of its own; what it says goes to `log_file`."""

    folder: Path | None = None
    log_file: Path | None = None
    child: asyncio.subprocess.Process | None = None
    words: tuple[str, ...] = ()

    async def start(self, name: str) -> None:
        """Start it, or start it again, and return when it listens."""
        assert self.log_file is not None
        with self.log_file.open("ab") as log:
            self.child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "credbroker", "serve",
                "--config", str(self.folder), "--replica", name, *self.words,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": os.defpath, "HOME": str(self.folder)},
                start_new_session=True,
            )  # fmt: skip
        await self.world.until(self._is_up)

    def said(self) -> str:
        """Return what it has written to its log so far."""
        assert self.log_file is not None
        return self.log_file.read_text()

    def _is_up(self) -> bool:
        assert self.child is not None
        assert self.child.returncode is None, self.said()
        return '"event": "ready"' in self.said()

    async def kill(self) -> None:
        """End it as a crash would."""
        assert self.child is not None
        assert self.log_file is not None
        self.child.kill()
        await self.child.wait()
        # The next one's "ready" must not be taken for this one's.
        self.log_file.rename(self.log_file.with_suffix(".crashed.log"))

    async def terminate(self) -> int:
        """Send SIGTERM and return the exit code."""
        assert self.child is not None
        self.child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await self.child.wait()

    async def close(self) -> None:
        """End it if it still runs."""
        if self.child is not None and self.child.returncode is None:
            await self.kill()


class BrokerWorld:
    """One issuer and its people, one OpenBao, and as many brokers as a story needs."""

    def __init__(
        self, folder: Path, authority: Authority, openbao: OpenBaoServer, issuer_name: str
    ) -> None:
        """Live in `folder`; `issuer_name` keeps the records apart from those of other worlds."""
        self.folder = folder
        self.authority = authority
        self.openbao = openbao
        self.issuer_name = issuer_name
        self.clock = LeapingClock()
        self.client_secret = SystemEntropy().token(32)
        self._brokers: list[Replica | Served] = []
        self._certificate = authority.issue("broker", folder)

    async def open(self, keys: SigningKeys, **wanted: Any) -> None:
        """Start the issuer; keywords go to its settings."""
        grants = wanted.pop("grants", ALL_GRANTS)
        settings = IssuerSettings(
            clients=(Client("credbroker", self.client_secret, grants=grants),),
            people=tuple(
                Person(name, f"{name}'s word", mail=f"{name}@example.org")
                for name in ("alice", "bob", "carol")
            ),
            lifetimes=wanted.pop("lifetimes", Lifetimes(access=ACCESS_SECONDS)),
            refresh_policy=wanted.pop("refresh_policy", RefreshPolicy.ROTATE_REVOKE_FAMILY),
            **wanted,
        )
        tls = _server_tls(self.authority.issue("issuer", self.folder))
        self.issuer = DevIssuer(settings, self.clock, SystemEntropy(), ssl_context=tls, keys=keys)
        await self.issuer.start()
        trust = ssl.create_default_context(cafile=str(self.authority.ca_file))
        self.http = aiohttp.ClientSession(connector=Connector(trust, limit=0))

    async def close(self) -> None:
        """End everything, brokers first."""
        for broker in self._brokers:
            await broker.close()
        await self.http.close()
        await self.issuer.stop()

    async def replica(
        self, name: str = "one", *, more: Mapping[str, object] | None = None, **issuer: object
    ) -> Replica:
        """Start a broker in this process; keywords change its settings of the issuer.

        `more` adds whole sections.
        """
        broker = Replica("", self)
        self._brokers.append(broker)
        await broker.open(self.write_settings(name, issuer=issuer, more=more), name)
        return broker

    async def serve(
        self, name: str = "served", *, port: int, words: tuple[str, ...] = (), **more: object
    ) -> Served:
        """Start `credbroker serve` with `words`; keywords add whole sections to its settings."""
        folder = self.write_settings(name, port=port, more=more)
        log_file = self.folder / f"{name}.log"
        broker = Served(
            f"https://127.0.0.1:{port}", self, folder=folder, log_file=log_file, words=words
        )
        self._brokers.append(broker)
        await broker.start(name)
        return broker

    async def serve_pair(self, name: str, *, port: int) -> Served:
        """Start `credbroker serve --workers 2`, and return when both are ready."""
        pair = await self.serve(name, port=port, words=("--workers", "2"))
        await self.until(lambda: pair.said().count('"event": "ready"') == 2)
        return pair

    def write_settings(
        self,
        name: str,
        *,
        port: int = 0,
        issuer: Mapping[str, object] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> Path:
        """Write a broker's settings below `config-<name>` and return that folder."""
        folder = self.folder / f"config-{name}"
        folder.mkdir(mode=0o700)
        secret_file, audit = folder / "client-secret", self.folder / "audit"
        write_private(secret_file, self.client_secret.encode())
        audit.mkdir(mode=0o700, exist_ok=True)
        certificate, key = self._certificate
        content = {
            "public_url": f"https://127.0.0.1:{port}",
            "listen": {
                "port": port,
                "tls": {"certificate_file": str(certificate), "key_file": str(key)},
            },
            "audit": {"folder": str(audit)},
            "vault": self.vault_settings(),
            "issuers": {
                self.issuer_name: {
                    "url": self.issuer.url,
                    "client_id": "credbroker",
                    "client_secret_file": str(secret_file),
                    "ca_file": str(self.authority.ca_file),
                    "credkey_claim": "preferred_username",
                    "roles": {"default": {"scopes": ROLE_SCOPES}},
                    **(issuer or {}),
                }
            },
            **(more or {}),
        }
        (folder / "10-all.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        return folder

    def vault_settings(self) -> dict[str, Any]:
        """Return the settings that lead to this world's OpenBao."""
        return {**vault_settings(self.openbao), "seconds": 2.0}

    def broker_tls(self) -> ssl.SSLContext:
        """Return what a broker shows."""
        return _server_tls(self._certificate)

    def on_refresh(self, fault: Fault, times: int | None = 1) -> None:
        """Let a fault meet the next refreshes at the issuer, and no login."""
        only = faults.grant_type("refresh_token")
        self.issuer.faults.on(Endpoint.TOKEN, fault, times=times, only=only)

    def refreshes_seen(self) -> int:
        """Return how many refreshes have reached the issuer, acted on or not."""
        return sum(1 for one in self.issuer.journal if one.grant_type == "refresh_token")

    def most_posts_of_a_value(self) -> int:
        """Return how often the refresh token that was posted most was posted."""
        issued = self.issuer.refresh_tokens_issued
        return max(len(self.issuer.posts_of(value)) for value in issued)

    def grant_of(self, person: str = "alice") -> Grant:
        """Return a person's grant as it is stored; blocks."""
        key = GrantKey(self.issuer_name, person, "default")
        found = self.openbao.broker_client().secrets.kv.v2.read_secret_version(
            f"grants/{key.segment()}",
            mount_point=self.openbao.mount,
            raise_on_deleted_version=True,
        )
        return read_grant(found["data"]["data"])

    def audit_lines(self) -> list[dict[str, Any]]:
        """Return what all brokers of this world have written into their audit trails."""
        files = sorted((self.folder / "audit").glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    async def until(self, found: Any) -> None:
        """Return once `found()` is true; fail after some seconds of real time."""
        pause = asyncio.Event()
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not found():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_SECONDS):
                        await pause.wait()


def _server_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context
