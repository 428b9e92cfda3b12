"""The peer of the refreshing engine: a script that makes the same calls and takes care of nothing.

Check-and-set, POST on a connection of its own, check-and-set; and by itself the check-and-set
alone. The same HTTP library, policy and login as ours, the same records to the byte.
"""

from __future__ import annotations

import base64
import json
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from bench.issuer import CLIENT_ID
from credbroker.wire.records import write_grant

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bench.ground import Ground
    from credbroker.domain.grants import Grant


@dataclass
class Chain:
    """One grant as the bare script knows it: where it is, what is in it, its version."""

    path: str
    record: dict[str, Any] = field(repr=False)
    version: int = 0

    @classmethod
    def of(cls, grant: Grant) -> Chain:
        """Return the chain that begins with this grant."""
        return cls(f"grants/{grant.key.segment()}", dict(write_grant(grant)))


@dataclass(frozen=True)
class BareScript:
    """Sessions that are open and logged in."""

    vault: aiohttp.ClientSession
    issuer: aiohttp.ClientSession
    records_url: str
    token_url: str

    async def refresh(self, chain: Chain, scope: str) -> None:
        """Claim, post, store the successor."""
        await self.store(chain, state="claimed", claimed_by="bare")
        form = {
            "grant_type": "refresh_token",
            "refresh_token": chain.record["refresh_token"],
            "scope": scope,
        }
        async with self.issuer.post(self.token_url, data=form) as answer:
            answer.raise_for_status()
            given = await answer.json()
        await self.store(chain, state="ready", refresh_token=given["refresh_token"])

    async def store(self, chain: Chain, **changes: str) -> None:
        """Write the record with these changes, over the version that was written last."""
        chain.record |= changes
        body = json.dumps({"options": {"cas": chain.version}, "data": chain.record}).encode()
        async with self.vault.post(f"{self.records_url}/{chain.path}", data=body) as answer:
            answer.raise_for_status()
            chain.version = (await answer.json())["data"]["version"]


@asynccontextmanager
async def open_bare(ground: Ground) -> AsyncIterator[BareScript]:
    """Log the script in."""
    trust = ssl.create_default_context(cafile=str(ground.authority.ca_file))
    login = ground.openbao.broker_client()
    pair = base64.b64encode(f"{CLIENT_ID}:{ground.issuer.client_secret}".encode()).decode()
    vault = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust),
        headers={"X-Vault-Token": str(login.token), "Content-Type": "application/json"},
    )
    issuer = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust, force_close=True),
        headers={"Authorization": f"Basic {pair}"},
    )
    async with vault, issuer:
        yield BareScript(
            vault,
            issuer,
            f"{ground.openbao.address}/v1/{ground.openbao.mount}/data",
            f"{ground.issuer.url}token",
        )
