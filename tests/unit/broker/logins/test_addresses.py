"""A verified address is found where the issuer gives one; a login never waits or fails for it."""

from __future__ import annotations

import asyncio

import pytest

from credbroker.broker.logins.addresses import SECONDS, address_of
from credbroker.domain.errors import IssuerFailed
from credbroker.domain.scopes import ScopeSet
from tests.fakes.clock import FakeClock
from tests.fakes.issuer import FakeIssuer

ADA = {"sub": "sub-ada", "email": "ada@example.org", "email_verified": True}
ASKED = ScopeSet.parse("openid email offline_access")


async def found(issuer: FakeIssuer, claims: dict[str, object], granted: ScopeSet = ASKED) -> str:
    """Return the address of who logged in with these claims."""
    return await address_of(issuer, claims, issuer.confirmed(claims), granted)


async def test_the_id_tokens_own_address_is_taken_without_asking() -> None:
    """If it is verified."""
    issuer = FakeIssuer(FakeClock())
    assert await found(issuer, ADA) == "ada@example.org"
    assert issuer.asked_of_people == 0


async def test_else_the_issuer_is_asked_where_the_scope_was_granted() -> None:
    """And believed of the same person alone."""
    issuer = FakeIssuer(FakeClock())
    issuer.says_of_people = ADA
    assert await found(issuer, {"sub": "sub-ada"}) == "ada@example.org"
    assert await found(issuer, {"sub": "sub-bob"}) == ""
    asked = issuer.asked_of_people
    assert await found(issuer, {"sub": "sub-ada"}, ScopeSet.parse("openid")) == ""
    assert issuer.asked_of_people == asked


@pytest.mark.parametrize("odd", [{"email_verified": False}, {"email": "ada@example.org\r\nBcc: x"}])
async def test_what_is_not_verified_or_no_address_is_none(odd: dict[str, object]) -> None:
    """Wherever it comes from."""
    issuer = FakeIssuer(FakeClock())
    issuer.says_of_people = ADA | odd
    assert await found(issuer, ADA | odd) == ""


async def test_an_issuer_that_fails_or_hangs_costs_the_address_and_two_seconds() -> None:
    """Never the login."""
    clock = FakeClock()
    issuer = FakeIssuer(clock)
    issuer.down = IssuerFailed("The issuer failed.")
    assert await found(issuer, {"sub": "sub-ada"}) == ""
    issuer.down = None
    issuer.swallow()
    asking = asyncio.ensure_future(found(issuer, {"sub": "sub-ada"}))
    await clock.pass_time(SECONDS)
    assert await asking == ""
