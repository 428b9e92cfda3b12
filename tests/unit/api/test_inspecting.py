"""Whether a token is its issuer's, over HTTP: said to who shows a lease, and nothing repeated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from credbroker.api.inspecting import InspectApi
from credbroker.broker.issuing.signing import Statement
from credbroker.domain.errors import IssuerMisbehaved, IssuerUnreachable
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.wire import native
from tests.fakes.signing import SigningWorld
from tests.unit import things
from tests.unit.api.desk_world import DeskAddress
from tests.unit.cli.tokens import compact

UPSTREAM = "https://issuer.test/"


class Served(DeskAddress):
    """The address of a broker that is one issuer and knows another."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: Exception | None = None
        self.asked = 0

    async def verify(self, _value: Secret) -> object:
        """Verify as the other issuer does."""
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        return None

    async def ask(self, value: str, *, lease: str | None = None) -> tuple[int, dict[str, Any]]:
        """Ask about a token; what comes back holds no part of it."""
        shown = await self.lease() if lease is None else lease
        async with self.client.post(
            native.TOKENS_INSPECT,
            json={"access_token": value},
            headers={"Authorization": f"Bearer {shown}"},
        ) as answer:
            body = await answer.text()
            assert not any(part and part in body for part in value.split("."))
            return answer.status, await answer.json()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """That address, on loopback."""
    one = Served()
    api = InspectApi({UPSTREAM: one.verify}, one.leasing, one.strangers)
    async with one.serve(api.operations()):
        yield one


async def test_an_issuers_word_is_passed_on(served: Served) -> None:
    """That it is its token; that it is not, and why."""
    value = compact(things.NOON)
    assert await served.ask(value) == (
        200,
        {"verified": True, "why": "The signature is the issuer's."},
    )
    served.fails = IssuerMisbehaved("The token's signature is not the issuer's.")
    status, told = await served.ask(value)
    assert (status, told["verified"], told["why"]) == (200, False, served.fails.sentence)


async def test_what_cannot_be_known_is_no_verdict(served: Served) -> None:
    """While the keys cannot be had, or for an issuer that the settings do not name."""
    served.fails = IssuerUnreachable("The issuer's keys cannot be fetched.")
    assert (await served.ask(compact(things.NOON)))[0] == 503
    asked = served.asked
    status, told = await served.ask(compact(things.NOON, iss="https://issuer.test"))
    assert (status, told["error"], served.asked) == (404, "not_found", asked)


@pytest.mark.parametrize("value", ["nothing", "eyJhIjoxfQ.bbbbb.ccccc", "e30.e30.AAAA"])
async def test_what_is_no_token_is_nobodys(served: Served, value: str) -> None:
    """And no issuer is asked."""
    status, told = await served.ask(value)
    assert (status, told["verified"], served.asked) == (200, False, 0)


async def test_nobody_is_told_anything_without_a_lease(served: Served) -> None:
    """Whatever the token."""
    assert (await served.ask(compact(things.NOON), lease="nobody"))[0] == 401
    assert served.asked == 0


async def test_a_token_of_a_community_is_verified_by_its_own_keys(served: Served) -> None:
    """A changed one is not."""
    signing = await SigningWorld().signing()
    api = InspectApi({signing.url: signing.verify}, served.leasing, served.strangers)
    statement = Statement("rucio", "rucio", ScopeSet.parse("storage.read:/d"), ("https://se",), 60)
    value = (await signing.sign(statement)).value.reveal()
    forged = value[:-4] + ("AAAA" if value[-4:] != "AAAA" else "BBBB")
    async with served.serve(api.operations()):
        assert (await served.ask(value))[1]["verified"] is True
        assert (await served.ask(forged))[1]["verified"] is False
