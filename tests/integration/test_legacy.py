"""Vault tokens of an earlier HTVault go on working through us, with real OpenBao servers for it.

A KV engine of version 1 at `secret/oauth` answers as HTVault's plugin does to reads and deletions.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from credbroker.api.answering import answering_problems
from credbroker.api.app import LARGEST_REQUEST_BYTES
from credbroker.api.htvault_legacy import HtvaultLegacy, is_foreign
from credbroker.api.strangers import Strangers
from credbroker.broker.legacy import SURE_SECONDS, Legacy, LegacyServer
from credbroker.domain.limits import Allowance
from credbroker.host.http import OutgoingHttp
from credbroker.issuers.legacy import FormerHtvault
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.fixtures_openbao import admin_hvac

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import hvac

    from credbroker.demo.openbao import OpenBaoServer
    from tests.fixtures_openbao import OpenBaoFactory

pytestmark = pytest.mark.slow

BURST, PER_SECOND = 8, 0.5
ACCESS = "a-canary-access-token-in-the-earlier-htvault"
ADA = "/v1/secret/oauth/creds/egi/ada@x.test:default"
ADA_NARROW = "/v1/secret/oauth/sts/egi/ada@x.test:default"
LOOKUP = "/v1/auth/token/lookup-self"
DELETES_ON = "permission denied"
POLICY = """
path "secret/oauth/creds/egi/ada@x.test:default" { capabilities = ["read", "create", "update", "delete"] }
path "secret/oauth/sts/egi/ada@x.test:default" { capabilities = ["read"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
"""


@dataclass
class Answered:
    """What came back."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def given(self) -> dict[str, Any]:
        """The envelope's `data`."""
        found: dict[str, Any] = json.loads(self.text)["data"]
        return found


class Former:
    """An OpenBao that plays an HTVault, with one person's vault token."""

    def __init__(self, server: OpenBaoServer) -> None:
        self.server = server
        self.admin: hvac.Client = admin_hvac(server)
        self.admin.sys.enable_secrets_engine("kv", path="secret/oauth", options={"version": "1"})
        for path in (ADA, ADA_NARROW):
            self.admin.write_data(path.removeprefix("/v1/"), data={"access_token": ACCESS})
        self.admin.sys.create_or_update_policy("ada", POLICY)
        given = self.admin.auth.token.create(policies=["ada"], no_default_policy=True, ttl="1h")
        self.vault_token = str(given["auth"]["client_token"])


@dataclass
class Place:
    """Our side: an application that passes on what is not ours."""

    clients: TestClient[web.Request, web.Application]
    clock: FakeClock
    audit: FakeAudit
    answers: list[Answered] = field(default_factory=list)

    async def ask(
        self, path: str, vault_token: str, method: str = "GET", body: bytes | None = None
    ) -> Answered:
        """Ask as the clients of an HTVault do."""
        url = URL(f"{self.clients.make_url('/')}{path.removeprefix('/')}", encoded=True)
        async with self.clients.session.request(
            method, url, data=body, headers={"X-Vault-Token": vault_token}
        ) as answered:
            got = Answered(answered.status, await answered.text(), dict(answered.headers))
        self.answers.append(got)
        return got


@contextlib.asynccontextmanager
async def passing_on(*formers: Former) -> AsyncIterator[Place]:
    """Run our side, for issuers `egi`, `second` and so on, each with its HTVault."""
    clock, audit = FakeClock(), FakeAudit()
    until = clock.now().date() + datetime.timedelta(days=30)
    async with contextlib.AsyncExitStack() as stack:
        servers = {}
        for name, former in zip(("egi", "second"), formers, strict=False):
            door = await stack.enter_async_context(OutgoingHttp(str(former.server.ca_file)))
            servers[name] = LegacyServer(FormerHtvault(former.server.address, door), until)
        strangers = Strangers(Allowance(PER_SECOND, BURST), clock)
        passing = HtvaultLegacy(Legacy(servers, audit, clock), strangers, clock)

        async def answer(request: web.Request) -> web.Response:
            return await passing.pass_on(request) if is_foreign(request) else web.Response()

        app = web.Application(
            middlewares=[answering_problems(FakeEntropy(), audit)],
            client_max_size=LARGEST_REQUEST_BYTES,
        )
        app.router.add_route("*", "/{rest:.*}", answer)
        yield Place(await stack.enter_async_context(TestClient(TestServer(app))), clock, audit)


@pytest.fixture
def former(openbao: OpenBaoServer) -> Former:
    """The HTVault that was there before."""
    return Former(openbao)


async def test_a_vault_token_of_before_reads_renews_and_deletes(former: Former) -> None:
    """Full and narrow reads and the look at itself give what the HTVault gives; so do refusals."""
    async with passing_on(former) as place:
        mine = former.vault_token
        for path in (ADA, ADA_NARROW):
            assert (await place.ask(f"{path}?minimum_seconds=60", mine)).given == {
                "access_token": ACCESS
            }
        assert 3000 < (await place.ask(LOOKUP, mine)).given["ttl"] <= 3600
        body = b'{"access_token":"newer","server":"egi"}'
        assert (await place.ask(ADA, mine, "POST", body)).status == 204
        assert (await place.ask(ADA, mine)).given["server"] == "egi"
        assert (await place.ask(ADA, mine, "DELETE")).status == 204
        absent = await place.ask(ADA, mine)
        assert (absent.status, json.loads(absent.text)["errors"]) == (404, [])
        assert absent.headers["Content-Type"].startswith("application/json")
        assert [line["event"] for line in place.audit.lines] == ["passed_on"] * 7
        written = json.dumps(place.audit.lines)
        assert mine not in written
        assert ACCESS not in written


async def test_a_revoked_vault_token_is_refused_after_half_a_minute(former: Former) -> None:
    """Only then with the words on which a credmon deletes; 503 and when to come back before."""
    async with passing_on(former) as place:
        assert (await place.ask(ADA, former.vault_token)).status == 200
        former.admin.auth.token.revoke(former.vault_token)
        for _ in range(2):
            early = await place.ask(ADA, former.vault_token)
            assert (early.status, DELETES_ON in early.text) == (503, False)
            assert int(early.headers["Retry-After"]) > 0
        place.clock.advance(SURE_SECONDS)
        late = await place.ask(ADA, former.vault_token)
        assert (late.status, DELETES_ON in late.text) == (403, True)
        assert place.audit.lines[-1]["event"] == "refused"


async def test_an_htvault_that_is_down_or_sealed_costs_nobody_a_vault_token(
    former: Former,
) -> None:
    """However often it is asked; when it is back, so is the answer."""
    async with passing_on(former) as place:
        assert (await place.ask(ADA, former.vault_token)).status == 200
        former.admin.write_data("sys/seal")
        await troubled(place, former)
        await asyncio.to_thread(former.server.kill)
        await troubled(place, former)
        await asyncio.to_thread(former.server.start)
        assert (await place.ask(ADA, former.vault_token)).status == 200
        assert not any(DELETES_ON in one.text for one in place.answers)


async def troubled(place: Place, former: Former) -> None:
    """Ask three times over more than a minute; each time it is said that nobody is there."""
    for _ in range(3):
        answered = await place.ask(ADA, former.vault_token)
        assert answered.status == 503
        assert "HTVault" in json.loads(answered.text)["errors"][0]
        assert former.vault_token not in answered.text
        place.clock.advance(SURE_SECONDS)


async def test_the_server_that_gave_out_a_vault_token_is_found(
    openbao_factory: OpenBaoFactory,
) -> None:
    """By a look at the token; a path goes to the HTVault of its issuer alone."""
    first, second = Former(openbao_factory()), Former(openbao_factory())
    async with passing_on(first, second) as place:
        for one in (first, second):
            assert (await place.ask(LOOKUP, one.vault_token)).given["policies"] == ["ada"]
        assert (await place.ask(ADA, first.vault_token)).status == 200
        assert (await place.ask(ADA, second.vault_token)).status == 503


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/auth/token/create"),
        ("POST", "/v1/auth/token/revoke-self"),
        ("POST", LOOKUP),
        ("POST", ADA_NARROW),
        ("PUT", ADA),
        ("GET", "/v1/secret/oauth/creds/egi/ada"),
        ("GET", "/v1/secret/oauth/config/self"),
        ("GET", "/v1/secret/oauth/creds/unheard/ada:default"),
        ("GET", "/v1/secret/oauth/creds/egi/%2e%2e/%2e%2e/x:default"),
        ("GET", "/v1/secret/oauth/creds/egi/%2e%2e%2f..%2fconfig/ada@x.test:default"),
        ("GET", "/v1/secret/oauth/creds/egi//ada@x.test:default"),
        ("GET", "/v1/secret/oauth/creds/egi/a%00b:default"),
        ("GET", "/v1/secret/oauth/creds/egi/a%0dX-Vault-Token:%20x:default"),
        ("GET", "/v1/secret/oauth/creds/egi/ada%zz:default"),
        ("GET", f"{ADA}?list=true"),
        ("GET", f"{ADA}?minimum_seconds=60&%6cist=1"),
        ("GET", f"{ADA}?scan=true"),
        ("GET", f"{LOOKUP}?help=1"),
        ("GET", "/v1/sys/health"),
    ],
)
async def test_nothing_else_is_passed_on(former: Former, method: str, path: str) -> None:
    """Logins are ours, and no other path is reached through us, however it is written."""
    async with passing_on(former) as place:
        got = await place.ask(path, former.vault_token, method)
        assert 400 <= got.status < 500
        assert DELETES_ON not in got.text
        assert place.audit.events() == ["refused"]


async def test_a_stranger_cannot_keep_the_htvault_busy(former: Former) -> None:
    """Made-up vault tokens are counted against their address; a good one known here is not."""
    async with passing_on(former) as place:
        assert (await place.ask(ADA, former.vault_token)).status == 200
        tried = [(await place.ask(ADA, f"s.made-up-{n}")).status for n in range(BURST + 2)]
        assert tried == [503] * BURST + [429] * 2
        assert (await place.ask(ADA, former.vault_token)).status == 200


@pytest.mark.parametrize(
    ("size", "status"), [(LARGEST_REQUEST_BYTES - 64, 204), (4 * LARGEST_REQUEST_BYTES, 413)]
)
async def test_what_is_passed_on_has_a_size(former: Former, size: int, status: int) -> None:
    """As much as this broker itself reads; beyond that the HTVault is not asked."""
    async with passing_on(former) as place:
        body = json.dumps({"access_token": "x" * size}).encode()
        assert (await place.ask(ADA, former.vault_token, "POST", body)).status == status
        assert len(place.audit.lines) == (status == 204)


@pytest.mark.parametrize("text", ["s.a b", "s.\xe9", "s/../x", "x" * 3000])
async def test_what_cannot_be_a_vault_token_is_sent_nowhere(former: Former, text: str) -> None:
    """It is not echoed either."""
    async with passing_on(former) as place:
        got = await place.ask(ADA, text)
        assert (got.status, DELETES_ON in got.text, text in got.text) == (403, False, False)
