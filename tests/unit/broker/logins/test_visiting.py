"""Only the browser that began a visit ends it, only for a while, and no grant comes of it."""

from __future__ import annotations

import datetime
from urllib.parse import parse_qsl, urlsplit

import pytest

from credbroker.broker.logins.visiting import BEGUN_SECONDS, VISIT_SECONDS
from credbroker.domain.errors import (
    IssuerMisbehaved,
    LoginDenied,
    LoginExpired,
    NotAllowed,
    NotFound,
)
from credbroker.domain.revocations import Kind
from tests.unit.broker.confirming_world import ADA, PUBLIC
from tests.unit.broker.visit_world import VisitWorld
from tests.unit.broker.world import ISSUER


async def test_a_visitor_is_whom_the_issuer_names() -> None:
    """Asked for is who it is and nothing more, and nothing is stored."""
    around = VisitWorld()
    sent = await around.sent()
    asked = dict(parse_qsl(urlsplit(sent.go_to).query))
    assert asked["scope"] == "openid"
    assert asked["redirect_uri"] == f"{PUBLIC}/v1/auth/oidc-{ISSUER}/oidc/callback"
    assert asked["state"] == sent.state
    assert around.deeds.visiting.is_visit(sent.state)
    visitor = await around.visitor()
    assert (visitor.issuer, visitor.subject, visitor.credkey) == (ISSUER, "sub-ada", "ada")
    world = around.world
    assert not any(one.history for one in (world.grants, world.confirmed, world.leases))
    line = world.audit.last("visit")
    assert (line["sub"], line["visit"], line["address"]) == ("sub-ada", visitor.visit, "192.0.2.7")


async def test_a_refresh_token_that_nobody_asked_for_is_revoked() -> None:
    """But where logins are tied together that would end the person's grants."""
    around = VisitWorld()
    await around.let_in()
    assert len(around.world.issuer.revoked) == 1
    around.world.issuer.revoke_replaced = False
    await around.let_in()
    assert len(around.world.issuer.revoked) == 1


async def test_another_browser_is_not_let_in_and_nothing_is_used_up() -> None:
    """Be it without a cookie, with a made-up one, or with that of a visit of its own."""
    around = VisitWorld()
    sent, other = await around.sent(), await around.sent()
    code = around.world.issuer.log_in(sent.go_to, ADA)
    for cookie in ("", "x" * 80, other.cookie, await around.let_in()):
        around.world.issuer.redeemed.clear()
        with pytest.raises(NotAllowed):
            await around.back(sent, code, cookie)
        assert not around.world.issuer.redeemed
    assert around.world.audit.last("visit_refused")["error"] == "not_allowed"


@pytest.mark.parametrize(("issuer", "iss"), [("other", ""), (ISSUER, "https://other.test/")])
async def test_another_issuers_answer_lets_nobody_in(issuer: str, iss: str) -> None:
    """Neither one that arrives at another's address, nor one that names another (RFC 9207)."""
    around = VisitWorld()
    sent = await around.sent()
    code = around.world.issuer.log_in(sent.go_to, ADA)
    with pytest.raises(NotAllowed, match="not from the issuer"):
        await around.back(sent, code, issuer=issuer, iss=iss)
    assert not around.world.issuer.redeemed
    assert await around.back(sent, code, iss=around.world.issuer.url)


async def test_who_comes_back_too_late_or_refused_is_not_let_in() -> None:
    """In a sentence each."""
    around = VisitWorld()
    sent = await around.sent()
    for code in (None, "made-up"):
        with pytest.raises(LoginDenied):
            await around.back(sent, code)
    around.world.clock.advance(BEGUN_SECONDS)
    with pytest.raises(LoginExpired):
        await around.back(sent, around.world.issuer.log_in(sent.go_to, ADA))


async def test_an_id_token_of_another_login_lets_nobody_in() -> None:
    """The nonce belongs to this visit (OpenID Connect Core section 3.1.3.7)."""
    with pytest.raises(IssuerMisbehaved, match="another login"):
        await VisitWorld().let_in({**ADA, "nonce": "other"})


async def test_a_visit_is_over_after_a_while() -> None:
    """What lets in is good for nothing else, either, and nothing else lets in."""
    around = VisitWorld()
    sealed, visiting = await around.let_in(), around.deeds.visiting
    around.world.clock.advance(VISIT_SECONDS - 1)
    assert visiting.visitor(sealed) is not None
    around.world.clock.advance(1)
    assert visiting.visitor(sealed) is None
    assert visiting.visitor((await around.sent()).cookie) is None
    assert visiting.visitor("") is None


@pytest.mark.parametrize(("kind", "name"), [(Kind.PERSON, f"{ISSUER}/ada"), (Kind.ISSUER, ISSUER)])
async def test_containment_ends_the_visits_from_before_it(kind: Kind, name: str) -> None:
    """Who logs in at the issuer afterwards is let in again."""
    around = VisitWorld()
    sealed = await around.let_in()
    await around.replica.engine.containing.revoke(kind, name)
    assert around.deeds.visiting.visitor(sealed) is None
    around.world.clock.advance(datetime.timedelta(minutes=2).total_seconds())
    assert around.deeds.visiting.visitor(await around.let_in()) is not None


async def test_nobody_visits_by_an_issuer_that_cannot_send_them_back() -> None:
    """Its people use the commands."""
    around = VisitWorld(by_device={ISSUER})
    assert not around.deeds.visiting.issuers
    with pytest.raises(NotFound):
        await around.sent()
    with pytest.raises(NotFound):
        await VisitWorld().deeds.visiting.begin("nowhere")
