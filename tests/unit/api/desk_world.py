"""The address of a broker at which an operator and a person have leases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp.test_utils import TestClient, TestServer

from credbroker.api.app import build_app
from credbroker.api.strangers import Strangers
from credbroker.domain.limits import Allowance
from credbroker.domain.names import GrantKey
from tests.unit.broker.test_responding import Desk
from tests.unit.broker.world import ISSUER, LINE, ORIGIN, ROLE

if TYPE_CHECKING:
    from aiohttp import web

    from credbroker.api.operations import Operation


class DeskAddress:
    """A broker's address, and the desk behind it.

    Attributes:
        client: Asks what is served.
    """

    client: TestClient[web.Request, web.Application]

    def __init__(self) -> None:
        self.desk = Desk()
        self.leasing = self.desk.replica.leasing
        self.strangers = Strangers(Allowance(100.0, 100), self.desk.world.clock)

    @asynccontextmanager
    async def serve(self, operations: Sequence[Operation]) -> AsyncIterator[None]:
        """Serve these on loopback, for a while."""
        world = self.desk.world
        app = build_app(operations, [], world.entropy, world.audit, "https://broker.test")
        async with TestClient(TestServer(app)) as self.client:
            yield

    async def lease(self, subject: str = "sub-ada") -> str:
        """Return the lease token of somebody who has just logged in at the issuer."""
        key = GrantKey(ISSUER, subject.removeprefix("sub-"), ROLE)
        token, _ = await self.leasing.open(key, LINE, subject, 3600.0, ORIGIN)
        return token.text().reveal()
