"""Logging in by ticket as htgettoken sees it: a lease, or a 200 without one."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from credbroker.api.answering import answering_problems
from credbroker.api.htvault_kerberos import HtvaultKerberos
from credbroker.api.strangers import Strangers
from credbroker.broker.logins.kerberos_logins import KerberosEntry, KerberosLogins
from credbroker.broker.running import Means
from credbroker.domain.errors import LocalFileUnfit, StoreUnavailable
from credbroker.domain.leases import LeaseToken
from credbroker.domain.limits import Allowance
from credbroker.domain.principals import PrincipalRules
from tests.fakes.kerberos import FakeAcceptor
from tests.unit.broker.world import DAY, ISSUER, ORIGIN, ROLE, Replica, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from credbroker.ports import KerberosAcceptor

PATH = f"/v1/auth/kerberos-{ISSUER}_{ROLE}/login"
BURST = 3


class NoKeytab:
    """A broker whose keytab is gone."""

    async def accept(self, token: bytes) -> str:
        raise LocalFileUnfit("The broker's keytab cannot be used.")


class Facade:
    """A broker's address for logins by ticket."""

    def __init__(self) -> None:
        self.world = World()
        self.replica: Replica = self.world.replica()
        self.tickets = FakeAcceptor()

    async def open(self, *acceptors: KerberosAcceptor) -> None:
        """Serve; tickets are checked by the first of these."""
        world = self.world
        logins = KerberosLogins(
            [KerberosEntry(one, PrincipalRules(("TEST.LOCAL",))) for one in acceptors],
            {ISSUER: (ROLE,)},
            world.grants,
            self.replica.leasing,
            Means(world.audit, world.clock, world.entropy, self.replica.deeds),
            login_seconds=7 * DAY,
        )
        strangers = Strangers(Allowance(1.0, BURST), world.clock)
        app = web.Application(middlewares=[answering_problems(world.entropy, world.audit)])
        app.add_routes(HtvaultKerberos(logins, strangers, world.clock).routes())
        self._client = TestClient(TestServer(app))
        await self._client.start_server()

    async def close(self) -> None:
        """Stop serving."""
        await self._client.close()

    async def log_in(self, authorization: str | None = None, path: str = PATH) -> dict[str, Any]:
        """Post as htgettoken does, by default a good ticket; the answer is always a 200."""
        if authorization is None:
            ticket = self.tickets.issue("ada@TEST.LOCAL")
            authorization = f"Negotiate {base64.b64encode(ticket).decode()}"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        headers |= {"Authorization": authorization} if authorization else {}
        async with self._client.post(path, headers=headers) as answered:
            assert answered.status == 200
            read = json.loads(await answered.read())
        assert isinstance(read, dict)
        return read

    async def no_lease(self, authorization: str | None = None, path: str = PATH) -> str:
        """Log in in vain; return the one warning that says why."""
        read = await self.log_in(authorization, path)
        assert read["auth"] is None
        (warning,) = read["warnings"]
        return str(warning)


@pytest.fixture
async def facade() -> AsyncIterator[Facade]:
    """A broker that takes tickets, and ada's grant in it."""
    one = Facade()
    await one.world.give_grant()
    await one.open(one.tickets)
    yield one
    await one.close()


@pytest.fixture
async def bare() -> AsyncIterator[Facade]:
    """A broker to be opened by the test."""
    one = Facade()
    yield one
    await one.close()


async def test_a_good_ticket_brings_a_lease_with_all_that_htgettoken_reads(facade: Facade) -> None:
    """The token itself, how long it lasts, that it is not renewed, and who it is for."""
    read = await facade.log_in()
    auth = read["auth"]
    shown = LeaseToken.parse(auth.pop("client_token"))
    assert (await facade.replica.leasing.identify(shown, ORIGIN)).lease.key.credkey == "ada"
    assert auth["metadata"] == {"user": "ada", "domain": "TEST.LOCAL", "credkey": "ada"}
    assert (auth["lease_duration"], auth["renewable"], auth["policies"]) == (7 * DAY, False, [])
    assert read["warnings"] is None


@pytest.mark.parametrize(
    "authorization",
    ["", "Negotiate", "Negotiate ", "Negotiate !!", "Negotiate YQ", "Basic YQ==", "Bearer YQ=="],
)
async def test_without_a_ticket_the_client_goes_on_to_the_next_way(
    facade: Facade, authorization: str
) -> None:
    """No 401: htgettoken would end with it."""
    assert "No Kerberos ticket was shown." in await facade.no_lease(authorization)


async def test_a_bad_ticket_lets_the_client_go_on(facade: Facade) -> None:
    """With a reason for whoever looks."""
    assert "does not accept this ticket" in await facade.no_lease("negotiate YWJj")
    assert facade.world.audit.events() == ["refused"]


async def test_a_ticket_counts_once(facade: Facade) -> None:
    """Shown again it brings nothing."""
    shown = "Negotiate " + base64.b64encode(facade.tickets.issue("ada@TEST.LOCAL")).decode()
    assert (await facade.log_in(shown))["auth"] is not None
    assert "does not accept this ticket" in await facade.no_lease(shown)


@pytest.mark.parametrize(
    "place", ["nobody_default", "cms_other", "cms", "_", "%2e%2e_x", "a%2fb_c"]
)
async def test_what_is_not_served_lets_the_client_go_on(facade: Facade, place: str) -> None:
    """Issuers and roles that nobody set up."""
    assert "served here" in await facade.no_lease(path=f"/v1/auth/kerberos-{place}/login")


async def test_where_nobody_set_up_kerberos_the_client_goes_on(bare: Facade) -> None:
    """Whoever has a ticket for the host comes here first."""
    await bare.open()
    assert "has no logins by Kerberos here" in await bare.no_lease()


async def test_what_is_broken_in_the_broker_lets_the_client_go_on(bare: Facade) -> None:
    """A keytab that is gone, a store that is away."""
    await bare.open(NoKeytab())
    assert "keytab cannot be used" in await bare.no_lease()
    await bare.close()
    await bare.open(bare.tickets)
    bare.world.grants.fail_next(StoreUnavailable("OpenBao/Vault does not answer."))
    assert "does not answer" in await bare.no_lease()


async def test_tickets_count_against_their_address(facade: Facade) -> None:
    """What is too many lets the client go on as well, and is not looked at."""
    for _ in range(BURST):
        assert (await facade.log_in())["auth"] is not None
    assert "Too many requests" in await facade.no_lease()
    assert len(facade.world.leases.history) == BURST
