"""Tokens for files over HTTP: a service shows itself, and gets one line for each entry."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from credbroker.api.app import build_app
from credbroker.api.files import FilesApi
from credbroker.api.openapi import document
from credbroker.api.strangers import Strangers
from credbroker.broker.issuing.communities import CommunityIssuer
from credbroker.broker.issuing.files import FilesSigning
from credbroker.domain.clients import Client
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.limits import Allowance
from credbroker.domain.policy import Entitled
from credbroker.domain.scopes import ScopeSet
from credbroker.telemetry.canaries import Canaries
from credbroker.wire.files import FILES, LARGEST_BYTES, LINES
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.fakes.granting import CLIENT, FakeCommunity
from tests.fakes.signing import SigningWorld
from tests.unit.api.oauth_world import BASIC, BURST

if TYPE_CHECKING:
    from aiohttp import web

TARGET = FILES.format(name="dteam")
SE = "https://se.test"


class Served:
    """The address of a broker that serves one community, with real signatures."""

    client: TestClient[web.Request, web.Application]

    def __init__(self) -> None:
        self.audit = FakeAudit()
        self.entitled = Entitled(
            ScopeSet.parse("storage.read:/ storage.stage:/"), (SE,), stage_adds_read=True
        )

    async def ask(self, *entries: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
        """Ask for these entries; return the lines of the answer."""
        body = {"entries": entries}
        async with self.client.post(TARGET, json=body, headers=BASIC) as answer:
            assert (answer.status, answer.content_type) == (200, LINES)
            assert answer.headers["Cache-Control"] == "no-store"
            return [json.loads(line) for line in (await answer.read()).splitlines()]

    async def refused(
        self, body: bytes, headers: dict[str, str] = BASIC, target: str = TARGET
    ) -> tuple[int, str]:
        """Send what is refused as a whole; return the status and the stable word."""
        async with self.client.post(target, data=io.BytesIO(body), headers=headers) as answer:
            challenge = answer.headers.get("WWW-Authenticate", "")
            assert challenge.startswith("Basic ") is (answer.status == 401)
            return answer.status, (await answer.json())["error"]


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """That address, on loopback."""
    one, clock, community = Served(), FakeClock(), FakeCommunity()
    signing = await SigningWorld(clock=clock).signing()
    table = LifetimeTable.of({})
    grants = frozenset({"client_credentials"})
    community.granting.clients.client = Client(CLIENT, grants, one.entitled, secret_sha256="")
    files = FilesSigning(signing, table, one.audit, set[str]().discard)
    parts: Any = (signing, community.granting, community.revoking, files)
    strangers = Strangers(Allowance(1.0, BURST), clock)
    api = FilesApi([CommunityIssuer("dteam", *parts)], strangers, clock)
    app = build_app(api.operations(), [], FakeEntropy(), one.audit, "https://broker.test")
    async with TestClient(TestServer(app)) as one.client:
        yield one


def entry(path: str = "/data/run1/f", **more: Any) -> dict[str, Any]:
    """Return one entry."""
    return {"path": path, "access": ["read"], "audience": SE, **more}


async def test_each_entry_is_answered_in_a_line_in_its_order(served: Served) -> None:
    """Token, URL or problem; a scope that was added is told."""
    url = "https://se.test/data/run1/f"
    lines = await served.ask(
        entry(),
        entry(access=["modify"]),
        entry(url=url, form="url"),
        {"path": 5},
        entry(access=["stage"]),
    )
    assert [line["n"] for line in lines] == [0, 1, 2, 3, 4]
    assert set(lines[0]) == {"n", "access_token", "expires_at", "jti"}
    assert lines[1]["problem"]["error"] == "scope_refused"
    assert lines[2]["url"].startswith(url + "?authz=Bearer%20ey")
    assert lines[3]["problem"]["error"] == "malformed"
    assert lines[4]["scope"] == "storage.stage:/data/run1/f storage.read:/data/run1/f"
    assert sorted(map(str, served.audit.events())) == ["refused"] * 2 + ["sign"] * 3


async def test_a_thousand_entries_are_a_thousand_lines_and_tokens(served: Served) -> None:
    """None twice, each on the trail."""
    lines = await served.ask(*(entry(f"/data/run1/f{number}") for number in range(1000)))
    assert [line["n"] for line in lines] == list(range(1000))
    assert len({line["jti"] for line in lines}) == 1000
    assert [line["jti"] for line in lines] == [one["jti"] for one in served.audit.lines]


async def test_a_token_or_a_url_with_one_stands_nowhere_but_in_the_answer(
    served: Served, canaries: Canaries, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither on the trail nor in the log."""
    lines = await served.ask(entry(), entry(url="https://se.test/data/run1/f", form="url"))
    canaries.plant("access token", lines[0]["access_token"])
    canaries.plant("access token", lines[1]["url"].partition("%20")[2])
    canaries.search_text("audit", repr(served.audit.lines).encode())
    canaries.search_text("log", caplog.text.encode())


async def test_a_service_shows_its_secret_as_at_the_token_endpoint(served: Served) -> None:
    """Nothing, or a wrong one, is refused, and counted against the address."""
    wrong = {"Authorization": "Basic cnVjaW86d3Jvbmc="}
    assert await served.refused(b"", {}) == (401, "unknown_client")
    for _ in range(BURST):
        assert (await served.refused(b"", wrong))[0] == 401
    assert await served.refused(b"", wrong) == (429, "too_many_requests")


async def test_what_cannot_be_read_is_refused_as_a_whole(served: Served) -> None:
    """A body that is no list of entries, or too large; a community that is not served."""
    assert await served.refused(b"{") == (400, "malformed")
    assert await served.refused(b" " * (LARGEST_BYTES + 1)) == (400, "malformed")
    elsewhere = FILES.format(name="cms")
    assert await served.refused(b"", target=elsewhere) == (404, "not_found")
    assert await served.ask() == []


def test_the_description_tells_of_it_where_a_community_is_served() -> None:
    """As of an operation of clients, answered in lines."""
    strangers = Strangers(Allowance(1.0, BURST), FakeClock())
    assert FilesApi([], strangers, FakeClock()).operations() == []
    api = FilesApi([FakeCommunity().as_issuer()], strangers, FakeClock())
    described = document(api.operations(), "https://broker.test")
    told = described["paths"][FILES]["post"]
    assert told["security"] == [{"client": []}]
    assert set(told["responses"]["200"]["content"]) == {LINES}
    assert told["parameters"][0]["name"] == "name"
