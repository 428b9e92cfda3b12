"""A grant that waits is placed where the client says, once, or revoked at the issuer."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from credbroker.broker.leasing import Caller
from credbroker.broker.logins.placing import MARGIN_SECONDS
from credbroker.domain.attenuation import Ceiling
from credbroker.domain.confirming import PENDING_SECONDS
from credbroker.domain.errors import (
    IssuerUnreachable,
    LeaseEnded,
    LoginDenied,
    LoginExpired,
    Malformed,
    NoRevocation,
    NotAllowed,
    NotFound,
    StoreUnavailable,
)
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.names import GrantKey
from credbroker.domain.robots import Robots
from credbroker.domain.scopes import ScopeSet
from tests.unit.broker.confirming_world import ADA, ConfirmingWorld
from tests.unit.broker.world import ISSUER, KEY, ORIGIN, ROLE, WANT_READ

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")
LATE = PENDING_SECONDS + MARGIN_SECONDS


async def test_a_grant_is_placed_on_the_line_of_its_lease() -> None:
    """So that the lease of the login opens it; the same request again changes nothing."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    found = await login.leased()
    grant = await login.place(found)
    assert grant.line == found.lease.line
    writes = around.writes
    assert await login.place(found) is grant
    assert around.writes == writes


async def test_before_it_is_placed_it_replaces_nothing() -> None:
    """After it is, jobs keep their leases, and what was replaced is revoked."""
    around = ConfirmingWorld()
    old = await around.world.give_grant()
    login = await around.begin(around.side())
    found = await login.leased()
    assert around.world.grant is old
    assert not around.world.issuer.revoked
    grant = await login.place(found)
    assert (grant.line, grant.generation) == (old.line, old.generation + 1)
    await login.side.replica.deeds.finish()
    assert around.world.issuer.revoked == ["first"]


async def test_a_robots_grant_lies_below_its_persons() -> None:
    """On a line of its own, so that no lease of the one opens the other."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    found = await login.leased()
    grant = await login.place(found, "ada/fetch/host.test")
    assert grant.key.credkey == "ada/fetch/host.test"
    (robots,) = around.world.robots.history
    assert robots == Robots(ISSUER, "ada", (("ada/fetch/host.test", ROLE),))
    assert grant.line != found.lease.line
    assert await login.place(found, "ada/fetch/host.test") is grant
    with pytest.raises(NotAllowed, match="another place already"):
        await login.place(found)


@pytest.mark.parametrize("credkey", ["bob", "adam", "ad", "ada:x", "", "x\n"])
async def test_a_grant_goes_nowhere_else(credkey: str) -> None:
    """Only the login's own credkey, or what lies below it."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    with pytest.raises((NotAllowed, Malformed)):
        await login.place(await login.leased(), credkey)
    assert login.waits()


@pytest.mark.parametrize("key", [GrantKey("other", "ada", ROLE), GrantKey(ISSUER, "ada", "other")])
async def test_a_grant_stays_with_its_issuer_and_role(key: GrantKey) -> None:
    """The path cannot change them."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    found = await login.leased()
    with pytest.raises(NotAllowed, match="another place"):
        await login.side.placing.place(Caller(found.lease, ORIGIN), key, found.handle)


@pytest.mark.parametrize("handle", ["", "refresh-1", "login:", "login:x", "login:" + "x" * 22])
async def test_what_is_no_handle_is_never_stored(handle: str) -> None:
    """A refresh token that a client brings is refused in words."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    found = await login.leased()
    with pytest.raises(Malformed):
        await login.side.placing.place(Caller(found.lease, ORIGIN), KEY, handle)


async def test_a_handle_is_good_for_the_leases_of_its_login_alone() -> None:
    """Neither another person's nor a job's lease can use it."""
    around = ConfirmingWorld()
    side = around.side()
    login, others = await around.begin(side), await around.begin(side)
    found = await login.leased()
    foreign = await others.leased({"sub": "sub-bob", "wlcg.credkey": "bob"})
    ceiling = Ceiling(ScopeSet.parse("storage.read:/"))
    for lease in (foreign.lease, replace(found.lease, ceiling=ceiling)):
        with pytest.raises(NotAllowed, match="lease of that login alone"):
            await side.placing.place(Caller(lease, ORIGIN), KEY, found.handle)


async def test_another_persons_place_is_refused_before_the_lease_is_given() -> None:
    """The issuer gave two people the same identity key: an operator must know."""
    around = ConfirmingWorld()
    old = await around.world.give_grant()
    login = await around.begin(around.side())
    with pytest.raises(LoginDenied, match="another person's"):
        await login.log_in({"sub": "sub-eve", "wlcg.credkey": "ada"})
    assert around.world.grant is old
    assert len(around.world.issuer.revoked) == 1


async def test_two_first_logins_at_a_time_share_a_line() -> None:
    """Both persons' leases open the grant, whoever is placed first."""
    around = ConfirmingWorld()
    side = around.side()
    one, two = await around.begin(side), await around.begin(side)
    first, second = await one.leased(), await two.leased()
    await two.place(second)
    grant = await one.place(first)
    assert first.lease.line == second.lease.line == grant.line


@pytest.mark.parametrize("ended", [False, True])
async def test_two_people_of_one_identity_key_never_share_a_line(ended: bool) -> None:
    """Eve logs in while nobody is there, and keeps her lease: it does not open what Ada brings."""
    around = ConfirmingWorld()
    side = around.side()
    if ended:
        await around.world.give_grant()
        await around.world.rewrite(state=GrantState.ENDED, refresh_token=None)
    eve = await (await around.begin(side)).leased({"sub": "sub-eve", "wlcg.credkey": "ada"})
    login = await around.begin(side)
    ada = await login.leased()
    await login.place(ada)
    await side.replica.minting.mint_access_token(Caller(ada.lease, ORIGIN), WANT_READ)
    with pytest.raises((NotFound, LeaseEnded)):
        await side.replica.minting.mint_access_token(Caller(eve.lease, ORIGIN), WANT_READ)


async def test_a_logout_at_the_last_moment_is_not_undone() -> None:
    """The tombstone is written after the place was looked at and before the grant is stored."""
    around = ConfirmingWorld()
    await around.world.give_grant()
    login = await around.begin(around.side())
    found = await login.leased()
    put = around.world.grants.put

    async def logout_first(segment: str, value: Grant, version: int) -> int:
        around.world.grants.put = put  # type: ignore[method-assign]  # only this once
        await around.world.rewrite(state=GrantState.ENDED, generation=2, refresh_token=None)
        return await put(segment, value, version)

    around.world.grants.put = logout_first  # type: ignore[method-assign, assignment]  # stands in for the fake's own
    with pytest.raises(LoginDenied, match="overtaken"):
        await login.place(found)
    assert around.world.grant.state is GrantState.ENDED


async def test_two_places_at_a_time_are_one_place_and_one_refusal() -> None:
    """The client sends its handle to two robots at once, through two replicas."""
    around = ConfirmingWorld()
    one, two = around.side("one"), around.side("two")
    login = await around.begin(one)
    found = await login.leased()
    both = await asyncio.gather(
        login.place(found, "ada/one", side=one),
        login.place(found, "ada/two", side=two),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in both) == ["Busy", "Grant"]


async def test_a_logout_meanwhile_is_not_undone() -> None:
    """A grant that waited over it would bring the old leases back to life."""
    around = ConfirmingWorld()
    await around.world.give_grant()
    login = await around.begin(around.side())
    found = await login.leased()
    await around.world.rewrite(state=GrantState.ENDED, generation=2)
    with pytest.raises(LoginDenied, match="overtaken"):
        await login.place(found)
    again = await around.begin(login.side)
    assert (await again.place(await again.leased())).line != found.lease.line


async def test_after_ten_minutes_a_grant_is_placed_no_more() -> None:
    """It is told in words what to do."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    found = await login.leased()
    around.world.clock.advance(PENDING_SECONDS + 1)
    with pytest.raises(LoginExpired, match="10 minutes"):
        await login.place(found)


async def test_what_nobody_placed_is_revoked_once() -> None:
    """And nothing of it stays in the record."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    await login.log_in()
    around.world.clock.advance(PENDING_SECONDS)
    await login.side.placing.expire()
    assert login.waits()
    around.world.clock.advance(MARGIN_SECONDS)
    for side in (login.side, around.side("replica-2")):
        await side.placing.expire()
    assert len(around.world.issuer.revoked) == 1
    assert not login.waits()
    assert around.world.audit.last("login_pending_revoked")["revoked"] is True


async def test_an_issuer_that_is_away_is_asked_again() -> None:
    """From the first try on nobody can place the grant any more."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    found = await login.leased()
    around.world.clock.advance(LATE)
    around.world.issuer.down = IssuerUnreachable("The issuer does not answer.")
    await login.side.placing.expire()
    assert login.waits()
    with pytest.raises(LoginExpired):
        await login.place(found)
    around.world.issuer.down = None
    await login.side.placing.expire()
    assert len(around.world.issuer.revoked) == 1
    assert not login.waits()


async def test_a_grant_in_custody_is_never_revoked_as_one_that_waits() -> None:
    """The record could not be cleared after the grant was placed."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    found = await login.leased()
    around.records.fail_next(AWAY, on="put")
    assert (await login.place(found)).refresh_token is not None
    assert login.waits()
    around.world.clock.advance(LATE)
    await login.side.placing.expire()
    assert not around.world.issuer.revoked
    assert not login.waits()


async def test_a_robots_grant_in_custody_is_found_there() -> None:
    """The record says where it was bound for before it is stored there."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    found = await login.leased()
    around.world.grants.fail_next(AWAY, on="put")
    with pytest.raises(StoreUnavailable):
        await login.place(found, "ada/fetch")
    assert (await login.place(found, "ada/fetch")).key.credkey == "ada/fetch"


async def test_where_nothing_can_be_revoked_the_grant_is_forgotten() -> None:
    """An issuer without revocation, or where logins are tied together."""
    for refusal, tied in ((NoRevocation("There is no way."), False), (None, True)):
        around = ConfirmingWorld()
        login = await around.begin(around.side())
        await login.log_in(ADA)
        around.world.clock.advance(LATE)
        around.world.issuer.down, around.world.issuer.revoke_replaced = refusal, not tied
        await login.side.placing.expire()
        assert not around.world.issuer.revoked
        assert not login.waits()


async def test_old_and_settled_logins_are_not_read_again() -> None:
    """A walk reads what is due and nothing else, however many records there are."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    await login.place(await login.leased())
    await around.records.put("x" * 22, login.record, 0)
    around.world.clock.advance(2 * LATE)
    await login.side.placing.expire()
    reads = around.records.reads
    await login.side.placing.expire()
    assert around.records.reads == reads
