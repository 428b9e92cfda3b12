"""Issuers as services ask them: ours, in a process of its own, and its peers, all over plain HTTP.

Each runs on the cores it is told, so that what asks it can have another.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp

from bench.wrk import Request
from credbroker.demo.ports import free_port
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from tests.interop.provider_server import FOLDER as PROVIDER_FOLDER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from bench.ground import Ground

COMMUNITY = "dteam"
ES256_AUDIENCE = "https://es256.example.org"
RS256_AUDIENCE = "https://rs256.example.org"
SCOPE = "storage.read:/dteam/data"
WIDE_SCOPE = "storage.read:/dteam"
CLIENT, REUSING, TRANSFERS, ROTATING = "rucio", "pilots", "fts", "rotating"
EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
}
_FOR_REFRESHES = "urn:ietf:params:oauth:token-type:refresh_token"
_HERE = Path(__file__).parent
_START_SECONDS = 60.0
_POLL_SECONDS = 0.05
_SECRET = SystemEntropy().token(32)


@dataclass(frozen=True)
class Service:
    """One that runs: where its endpoints lie, and what it said when it was ready."""

    url: str
    pid: int
    said: Mapping[str, str] = field(default_factory=dict, repr=False)
    audit: Path | None = None

    def by(self, client: str, **form: str) -> Request:
        """Return a request for a token."""
        shown = base64.b64encode(f"{client}:{_SECRET}".encode()).decode()
        return Request(f"{self.url}token", {"Authorization": f"Basic {shown}"}, urlencode(form))

    def credentials(self, client: str = CLIENT, **form: str) -> Request:
        """Return a request for a token about the client itself."""
        return self.by(client, grant_type="client_credentials", scope=SCOPE, **form)

    def exchange(self, subject_token: str) -> Request:
        """Return a request for a token within another."""
        return self.by(CLIENT, **EXCHANGE, subject_token=subject_token, scope=SCOPE)

    def refresh(self, client: str, refresh_token: str) -> Request:
        """Return a request for a token by a refresh token."""
        return self.by(client, grant_type="refresh_token", refresh_token=refresh_token)

    def document(self, path: str) -> Request:
        """Return a request for a document."""
        return Request(self.url + path, {})

    async def ask(self, request: Request) -> dict[str, Any]:
        """Ask once. Raises `aiohttp.ClientResponseError` for a refusal."""
        form = {"Content-Type": "application/x-www-form-urlencoded"} if request.body else {}
        headers = {**request.headers, **form}
        method = "POST" if request.body else "GET"
        async with (
            aiohttp.ClientSession(headers=headers, raise_for_status=True) as http,
            http.request(method, request.url, data=request.body or None) as answer,
        ):
            return dict(await answer.json())

    async def subject_token(self, scope: str = WIDE_SCOPE) -> str:
        """Return an access token that may be exchanged."""
        asked = self.by(
            CLIENT, grant_type="client_credentials", scope=scope, audience=ES256_AUDIENCE
        )
        return str((await self.ask(asked))["access_token"])

    async def refresh_token(self, holder: str) -> str:
        """Return a refresh token of ours."""
        subject = await self.subject_token(f"{SCOPE} offline_access")
        kind = {"requested_token_type": _FOR_REFRESHES}
        given = await self.ask(self.by(holder, **EXCHANGE, **kind, subject_token=subject))
        return str(given["refresh_token"])

    async def chains(self, count: int) -> Request:
        """Return a request to refresh with rotation, for new refresh tokens."""
        tokens = [await self.refresh_token(ROTATING) for _ in range(count)]
        asked = self.by(ROTATING, grant_type="refresh_token")
        return Request(asked.url, asked.headers, f"{asked.body}&refresh_token=", tokens)


@asynccontextmanager
async def open_broker(
    ground: Ground, name: str, cores: Sequence[int], *, workers: int = 1
) -> AsyncIterator[Service]:
    """Run a broker that is the issuer of one community."""
    port = free_port(SystemEntropy())
    url = f"http://127.0.0.1:{port}"
    more = {
        "public_url": url,
        "listen": {"port": port},
        "communities": {COMMUNITY: _community()},
    }
    folder = ground.write_settings(name, port, more)
    words = ["-m", "credbroker", "serve", "--config", str(folder), "--replica", name]
    words += ["--workers", str(workers)]
    async with _running([sys.executable, *words], cores, folder.parent) as child:
        service = Service(f"{url}/{COMMUNITY}/", child.pid, audit=folder.parent / "audit")
        await _until_it_answers(f"{service.url}jwks")
        yield service


@asynccontextmanager
async def open_provider(folder: Path, cores: Sequence[int]) -> AsyncIterator[Service]:
    """Run npm's oidc-provider, which must be installed."""
    port = free_port(SystemEntropy())
    words = ["node", str(_HERE / "provider_peer.mjs"), str(PROVIDER_FOLDER), str(port)]
    async with _running(words, cores, folder) as child:
        yield Service(f"http://127.0.0.1:{port}/", child.pid, await _told(child, _peer_settings()))


@asynccontextmanager
async def open_peer(
    module: str, folder: Path, cores: Sequence[int], told: object = None, *, quick: bool = False
) -> AsyncIterator[Service]:
    """Run a peer that is a module of this package; if `quick`, on the loop that `serve` takes."""
    port = free_port(SystemEntropy())
    words = [sys.executable, "-m", module, str(port), *(["quick"] if quick else [])]
    async with _running(words, cores, folder) as child:
        await _told(child, told or _peer_settings())
        yield Service(f"http://127.0.0.1:{port}/", child.pid)


def _peer_settings() -> dict[str, str]:
    return {
        "client_id": CLIENT,
        "secret": _SECRET,
        "scope": f"{WIDE_SCOPE} {SCOPE}",
        "audience": ES256_AUDIENCE,
    }


def least_settings(folder: Path, algorithm: str) -> dict[str, str]:
    """Return what `bench.least_issuer` is told; its trail lies in `folder`."""
    return {**_peer_settings(), "folder": str(folder), "algorithm": algorithm}


def _community() -> dict[str, Any]:
    common = {
        "secret_sha256": sha256(_SECRET.encode()).hexdigest(),
        "scopes": [WIDE_SCOPE, "offline_access"],
        "audiences": [ES256_AUDIENCE, RS256_AUDIENCE],
        "grants": ["client_credentials", "token_exchange", "refresh_token"],
    }
    return {
        "url": f"https://tokens.example.org/{COMMUNITY}/",
        "audiences": {ES256_AUDIENCE: {"algorithm": "ES256"}},
        "clients": {
            CLIENT: {**common, "default_audiences": [ES256_AUDIENCE]},
            REUSING: {**common, "reuse_seconds": 600.0},
            TRANSFERS: {**common, "exchanges_for": [CLIENT]},
            ROTATING: {**common, "exchanges_for": [CLIENT], "rotates": True},
        },
    }


@asynccontextmanager
async def _running(
    words: Sequence[str], cores: Sequence[int], folder: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program on these cores."""
    pipe = asyncio.subprocess.PIPE
    with (folder / "program.log").open("ab") as log:
        child = await asyncio.create_subprocess_exec(
            "taskset", "-c", ",".join(map(str, cores)), *words,
            stdin=pipe, stdout=pipe, stderr=log,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
            start_new_session=True,
        )  # fmt: skip
    try:
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
            await child.wait()


async def _told(child: asyncio.subprocess.Process, told: object) -> dict[str, str]:
    """Tell a program what it needs; return what it says once it is ready."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps(told).encode())
    child.stdin.close()
    async with asyncio.timeout(_START_SECONDS):
        return dict(json.loads(await child.stdout.readline()))


async def _until_it_answers(url: str) -> None:
    clock = SystemClock()
    deadline = clock.elapsed() + _START_SECONDS
    async with aiohttp.ClientSession() as http:
        while clock.elapsed() < deadline:
            try:
                async with http.get(url) as answer:
                    if answer.ok:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await clock.sleep(_POLL_SECONDS)
    raise RuntimeError(f"Nobody answers at {url}.")
