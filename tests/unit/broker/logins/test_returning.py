"""Only the browser that confirmed brings the issuer's answer back; what came is stored or revoked."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl, urlsplit

import pytest

from credbroker.broker.logins.returning import OTHERS_SECONDS
from credbroker.domain.errors import (
    Busy,
    IssuerMisbehaved,
    LoginDenied,
    LoginExpired,
    NotAllowed,
    StoreUnavailable,
    StoreUnclear,
)
from tests.unit.broker.confirming_world import (
    ADA,
    PUBLIC,
    ConfirmingWorld,
)
from tests.unit.broker.world import ISSUER

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")
UNCLEAR = StoreUnclear("OpenBao/Vault took a write and did not answer.")
WRONG = "XXXX-XXXX"


async def test_the_issuer_is_asked_with_state_nonce_and_challenge() -> None:
    """The address for the way back is ours, whatever the client said."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    asked = dict(parse_qsl(urlsplit((await login.confirm()).go_to).query))
    assert asked["redirect_uri"] == f"{PUBLIC}/v1/auth/oidc-{ISSUER}/oidc/callback"
    assert asked["state"] == login.id
    assert len(asked["nonce"]) == 64
    assert len(asked["code_challenge"]) == 43


async def test_without_a_confirmation_no_answer_of_the_issuer_is_taken() -> None:
    """Nothing is used up at the issuer."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    with pytest.raises(NotAllowed):
        await login.come_back("code-1")
    assert not around.world.issuer.redeemed


@pytest.mark.parametrize("cookie", ["", "another", "x" * 43])
async def test_a_starter_who_confirms_himself_gets_nothing_from_anothers_login(cookie: str) -> None:
    """The phisher hands the issuer's link on; the browser that logs in there has not his cookie."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    link = (await login.confirm()).go_to
    code = around.world.issuer.log_in(link, {"sub": "sub-victim", "wlcg.credkey": "victim"})
    with pytest.raises(NotAllowed, match="not the browser"):
        await login.come_back(code, cookie=cookie)
    assert not around.world.issuer.redeemed
    assert not login.record.is_answered
    assert "login_other_browser" in around.world.audit.events()


@pytest.mark.parametrize(("issuer", "iss"), [("other", ""), (ISSUER, "https://other.test/")])
async def test_an_answer_of_another_issuer_is_not_taken(issuer: str, iss: str) -> None:
    """Neither one that arrives at another's address, nor one that names another (RFC 9207)."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    code = around.world.issuer.log_in((await login.confirm()).go_to, ADA)
    with pytest.raises(NotAllowed, match="not from the issuer"):
        await login.come_back(code, issuer=issuer, iss=iss)
    assert not around.world.issuer.redeemed
    assert await login.come_back(code, iss=around.world.issuer.url) == "ada"


async def test_a_browser_that_comes_back_twice_sees_the_same() -> None:
    """The code is used once, also by two requests at a time."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    code = around.world.issuer.log_in((await login.confirm()).go_to, ADA)
    both = await asyncio.gather(login.come_back(code), login.come_back(code))
    assert list(both) == ["ada", "ada"]
    assert await login.come_back(code) == "ada"
    assert around.world.issuer.redeemed[code] == 1


@pytest.mark.parametrize("slow", ["nothing", "issuer", "writes", "reads"])
async def test_a_browser_that_comes_back_to_two_replicas_at_once_is_logged_in(slow: str) -> None:
    """The code is good for one of them; the other does not end what that one has begun."""
    around = ConfirmingWorld()
    one, two = around.side("one"), around.side("two")
    login = await around.begin(one)
    code = around.world.issuer.log_in((await login.confirm()).go_to, ADA)
    around.world.issuer.answer_seconds = 1.0 if slow == "issuer" else 0.0
    around.records.put_seconds = 1.0 if slow == "writes" else 0.0
    around.records.get_seconds = 1.0 if slow == "reads" else 0.0
    coming = [asyncio.ensure_future(login.come_back(code, side=side)) for side in (one, two)]
    await around.world.clock.pass_time(20.0)
    assert await asyncio.gather(*coming) == ["ada", "ada"]
    assert not around.world.issuer.revoked
    around.records.get_seconds = 0.0
    assert await login.poll() is not None


async def test_a_code_that_came_too_late_ends_the_login_in_seconds() -> None:
    """Nobody else has an answer, either."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    await login.confirm()
    coming = asyncio.ensure_future(login.come_back("used-up"))
    await around.world.clock.pass_time(OTHERS_SECONDS + 1.0)
    with pytest.raises(LoginExpired):
        await coming
    assert login.record.note


async def test_a_refusal_at_the_issuer_ends_the_poll_at_once() -> None:
    """The person said no."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    await login.confirm()
    with pytest.raises(LoginDenied, match="refused"):
        await login.come_back(None)
    with pytest.raises(LoginDenied, match="refused"):
        await login.poll()
    with pytest.raises(LoginDenied):
        await login.come_back("code-1")


async def test_an_id_token_of_another_login_is_refused_and_its_grant_revoked() -> None:
    """The nonce belongs to this login (OpenID Connect Core section 3.1.3.7)."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    code = around.world.issuer.log_in((await login.confirm()).go_to, {**ADA, "nonce": "other"})
    with pytest.raises(IssuerMisbehaved, match="another login"):
        await login.come_back(code)
    assert len(around.world.issuer.revoked) == 1
    with pytest.raises(LoginDenied):
        await login.poll()


async def test_a_grant_that_cannot_be_stored_is_revoked() -> None:
    """Vault went away between the issuer's answer and the record."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    code = around.world.issuer.log_in((await login.confirm()).go_to, ADA)
    around.records.fail_next(AWAY, on="put")
    with pytest.raises(StoreUnavailable):
        await login.come_back(code)
    assert len(around.world.issuer.revoked) == 1
    assert around.world.audit.last("login_failed")["why"] == AWAY.sentence


async def test_a_grant_that_may_be_stored_is_not_revoked() -> None:
    """Every answer of Vault got lost; the record has it, and the poll succeeds."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    code = around.world.issuer.log_in((await login.confirm()).go_to, ADA)
    around.records.fail_next(UNCLEAR, acted=True, on="put")
    assert await login.come_back(code) == "ada"
    assert not around.world.issuer.revoked
    assert await login.poll() is not None


async def test_a_grant_that_never_landed_is_revoked() -> None:
    """The writes stayed unclear, and the closing of the login came before them."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    code = around.world.issuer.log_in((await login.confirm()).go_to, ADA)
    for _ in range(3):
        around.records.fail_next(UNCLEAR, on="put")
    with pytest.raises(StoreUnclear):
        await login.come_back(code)
    assert len(around.world.issuer.revoked) == 1
    assert login.record.note


async def test_where_logins_are_tied_together_nothing_is_revoked() -> None:
    """Else the person's login of before would end with it."""
    around = ConfirmingWorld()
    around.world.issuer.revoke_replaced = False
    login = await around.begin(around.side())
    code = around.world.issuer.log_in((await login.confirm()).go_to, ADA)
    around.records.fail_next(AWAY, on="put")
    with pytest.raises(StoreUnavailable):
        await login.come_back(code)
    assert not around.world.issuer.revoked


async def test_a_slow_issuer_is_waited_for_and_its_answer_kept() -> None:
    """The browser is told to come again; the poll succeeds all the same."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    code = around.world.issuer.log_in((await login.confirm()).go_to, ADA)
    around.world.issuer.answer_seconds = 60.0
    coming = asyncio.ensure_future(login.come_back(code))
    await around.world.clock.pass_time(46.0)
    with pytest.raises(Busy):
        await coming
    await around.world.clock.pass_time(20.0)
    assert await login.poll() is not None
