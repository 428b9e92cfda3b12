"""The grants' records as OpenBao's leader has them, read as the administrator: no broker is asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp

from credbroker.demo.openbao import OpenBaoError

if TYPE_CHECKING:
    from credbroker.ports import Clock
    from tests.chaos.cluster import Cluster, Node

_AT_ONCE = 8
_CALL_SECONDS = 3.0
_AGAIN_SECONDS = 1.0


class Records:
    """Reads grants, however long it takes until OpenBao answers."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        """Read from `cluster`, once `open` was called."""
        self._cluster = cluster
        self._clock = clock
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._leader: Node | None = None
        self._token = ""
        self._http: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Be ready to ask."""
        timeout = aiohttp.ClientTimeout(total=_CALL_SECONDS)
        self._http = aiohttp.ClientSession(timeout=timeout)

    async def close(self) -> None:
        """Ask no more."""
        if self._http is not None:
            await self._http.close()

    async def get(self, segment: str) -> dict[str, Any] | None:
        """Return a grant's record; None if there is none."""
        found = await self._asked(f"data/grants/{segment}")
        record: dict[str, Any] | None = found["data"]["data"] if found else None
        return record

    async def all(self) -> dict[str, dict[str, Any]]:
        """Return every grant's record, by segment."""
        listed = await self._asked("metadata/grants?list=true")
        segments = listed["data"]["keys"] if listed else []
        records = await asyncio.gather(*(self.get(one) for one in segments))
        return {one: record for one, record in zip(segments, records, strict=True) if record}

    async def _asked(self, path: str) -> dict[str, Any] | None:
        """Return an answer of the leader's; None if there is nothing at this path."""
        assert self._http is not None
        async with self._turns:
            while True:
                try:
                    leader = await self._found_leader()
                    async with self._http.get(
                        f"{leader.address}/v1/{self._cluster.mount}/{path}",
                        headers={"X-Vault-Token": self._token},
                        allow_redirects=False,
                    ) as answer:
                        if answer.status == 404:
                            return None
                        answer.raise_for_status()
                        if answer.status == 200:
                            found: dict[str, Any] = await answer.json()
                            return found
                except (aiohttp.ClientError, TimeoutError, OpenBaoError, OSError):
                    pass
                self._leader = None
                await self._clock.sleep(_AGAIN_SECONDS)

    async def _found_leader(self) -> Node:
        """A node that was once active may answer with old readings, so it is asked if it still is."""
        assert self._http is not None
        leader = self._leader
        if leader is not None:
            health = f"{leader.address}/v1/sys/health"
            async with self._http.get(health, allow_redirects=False) as answer:
                if answer.status == 200:
                    return leader
        leader = await self._cluster.leader()
        self._token = await asyncio.to_thread(self._cluster.admin_token, leader)
        self._leader = leader
        return leader
