"""A login through a Vault client ends with one lease and a grant that waits, or with nothing."""

from __future__ import annotations

import asyncio

import pytest

from credbroker.broker.logins.confirming import HELD_SECONDS
from credbroker.domain.confirming import LOGIN_SECONDS, PENDING_SECONDS, lease_id
from credbroker.domain.device import LoginOver, StillPending
from credbroker.domain.errors import (
    GrantLost,
    IssuerSpared,
    IssuerUnreachable,
    LoginDenied,
    LoginExpired,
    Malformed,
    NotAllowed,
    NotFound,
    StoreRewound,
    StoreUnavailable,
    StoreUnclear,
)
from tests.fakes.clock import turns
from tests.unit.broker.confirming_world import (
    ADA,
    NONCE,
    PUBLIC,
    ConfirmingWorld,
)
from tests.unit.broker.confirming_world import (
    LOGIN_SECONDS as LEASE_SECONDS,
)
from tests.unit.broker.world import ISSUER, ORIGIN, ROLE, World

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")
UNCLEAR = StoreUnclear("OpenBao/Vault took a write and did not answer.")
WRONG = "XXXX-XXXX"


async def test_who_confirms_and_logs_in_gets_one_lease_and_a_handle() -> None:
    """The refresh token is in the record before the poll succeeds; the lease may register keys."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    assert login.begun.auth_url == f"{PUBLIC}/login/{login.begun.state}"
    assert await login.log_in() == "ada"
    pending = login.record.pending
    assert pending is not None
    assert pending.refresh_token is not None
    found = await login.poll()
    assert found is not None
    assert found.lease.id == lease_id(login.record)
    assert found.lease.subject == "sub-ada"
    assert found.lease.registers
    assert (found.lease.ends_at - found.lease.created_at).total_seconds() == LEASE_SECONDS
    assert pending.refresh_token.reveal() not in found.handle
    assert around.world.audit.events() == [
        "login_started", "login_confirmed", "login_answered", "login",
    ]  # fmt: skip


async def test_a_whole_login_costs_five_writes() -> None:
    """With the client's shorter lease they are six: confirmed, pending, lease, grant, cleared."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    assert around.writes == 0
    await login.place(await login.leased())
    assert around.writes == 5
    assert login.record.pending is None


async def test_any_replica_goes_on_with_any_step() -> None:
    """The page is on one, the way back on another, the poll on a third."""
    around = ConfirmingWorld()
    one, two, three = around.side("one"), around.side("two"), around.side("three")
    login = await around.begin(one)
    code = around.world.issuer.log_in((await login.confirm(side=two)).go_to, ADA)
    await login.come_back(code, side=three)
    found = await login.poll(two)
    assert found is not None
    assert (await login.place(found, side=three)).refresh_token is not None


async def test_a_poll_is_held_and_answered_when_the_person_is_done() -> None:
    """At this replica it wakes at once; at another it looks twice a second."""
    around = ConfirmingWorld()
    here, there = around.side("here"), around.side("there")
    login = await around.begin(here)
    async with asyncio.TaskGroup() as tasks:
        polling = tasks.create_task(login.poll(here))
        await turns()
        await login.log_in()
        await turns()
        assert polling.done()
    login = await around.begin(here)
    async with asyncio.TaskGroup() as tasks:
        polling = tasks.create_task(login.poll(there))
        await turns()
        await login.log_in()
        await turns()
        assert not polling.done()
        await around.world.clock.pass_time(0.5)
        assert polling.done()


async def test_a_poll_without_news_is_held_for_eight_seconds() -> None:
    """Then the client is told that it is pending."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    async with asyncio.TaskGroup() as tasks:
        polling = tasks.create_task(login.poll())
        await around.world.clock.pass_time(HELD_SECONDS - 0.1)
        assert not polling.done()
        await around.world.clock.pass_time(0.2)
        assert polling.result() is None


async def test_no_login_succeeds_twice() -> None:
    """Neither a later poll nor one at another replica at the same time."""
    around = ConfirmingWorld()
    one, two = around.side("one"), around.side("two")
    login = await around.begin(one)
    await login.log_in()
    both = await asyncio.gather(login.poll(one), login.poll(two), return_exceptions=True)
    assert sorted(type(found).__name__ for found in both) == ["LoggedIn", "Malformed"]
    with pytest.raises(Malformed, match="Expired or missing OAuth state"):
        await login.poll(two)


@pytest.mark.parametrize("nonce", ["", "n" * 42, "m" * 43])
async def test_only_who_began_a_login_polls_it(nonce: str) -> None:
    """Its page's address alone is worth nothing."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    await login.log_in()
    with pytest.raises(Malformed, match="invalid client_nonce"):
        await login.poll(nonce=nonce)


@pytest.mark.parametrize("state", ["", "x", "A" * 400])
async def test_a_state_that_is_not_ours_is_over(state: str) -> None:
    """The words are those that the client knows."""
    side = ConfirmingWorld().side()
    with pytest.raises(Malformed, match="Expired or missing OAuth state"):
        await side.confirming.poll(state, NONCE, ORIGIN)


async def test_three_wrong_codes_end_a_login() -> None:
    """They are counted for all replicas; the poll is told at once, and the right code is too late."""
    around = ConfirmingWorld()
    one, two = around.side("one"), around.side("two")
    login = await around.begin(one)
    for side in (one, two):
        with pytest.raises(Malformed, match="not the code"):
            await login.confirm(WRONG, side)
    with pytest.raises(LoginDenied, match="three times"):
        await login.confirm(WRONG, one)
    with pytest.raises(LoginDenied, match="three times"):
        await login.confirm()
    with pytest.raises(LoginDenied, match="three times"):
        await login.poll(two)


@pytest.mark.parametrize("typed", ["bbbb-bbbb", " BBBB BBBB ", "bbbbBBBB"])
async def test_a_code_may_be_typed_in_any_way(typed: str) -> None:
    """Case, dashes and blanks do not matter."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    assert login.begun.user_code == "BBBB-BBBB"
    await login.confirm(typed)


async def test_a_confirmation_whose_answer_got_lost_is_repeated() -> None:
    """The browser that did it last is the one that counts; an earlier cookie is worth nothing."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    lost = (await login.confirm()).cookie
    confirmed = await login.confirm()
    code = around.world.issuer.log_in(confirmed.go_to, ADA)
    with pytest.raises(NotAllowed):
        await login.come_back(code, cookie=lost)
    assert await login.come_back(code) == "ada"


async def test_wrong_codes_at_one_time_count_each() -> None:
    """Whoever guesses has three tries, not three rounds of as many as he likes."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    tries = [login.confirm(WRONG) for _ in range(5)]
    said = await asyncio.gather(*tries, return_exceptions=True)
    judged = [one for one in said if isinstance(one, Malformed | LoginDenied)]
    assert len(judged) == login.record.tries == 1


async def test_polls_held_by_the_thousand_ask_the_store_little() -> None:
    """A login that was begun once may be polled as often as somebody likes."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    reads = around.records.reads
    polls = [asyncio.ensure_future(login.poll()) for _ in range(1000)]
    await around.world.clock.pass_time(HELD_SECONDS + 1)
    assert await asyncio.gather(*polls) == [None] * 1000
    assert around.records.reads - reads <= 2000


async def test_a_login_is_over_after_ten_minutes() -> None:
    """For the page, for the way back and for the poll."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    code = around.world.issuer.log_in((await login.confirm()).go_to, ADA)
    around.world.clock.advance(LOGIN_SECONDS)
    with pytest.raises(LoginExpired):
        await login.confirm()
    with pytest.raises(LoginExpired):
        await login.come_back(None)
    with pytest.raises(Malformed, match="Expired or missing"):
        await login.poll()
    assert not around.world.issuer.redeemed[code]


async def test_a_grant_that_waited_too_long_gives_no_lease() -> None:
    """It is about to be revoked."""
    around = ConfirmingWorld()
    login = await around.begin(around.side())
    await login.log_in()
    around.world.clock.advance(PENDING_SECONDS + 1)
    with pytest.raises(Malformed, match="Expired or missing"):
        await login.poll()


async def test_what_is_asked_for_wrongly_is_said_in_the_words_of_htvault() -> None:
    """No login begins."""
    around = ConfirmingWorld()
    begin = around.side().confirming.begin
    with pytest.raises(Malformed, match="missing client_nonce"):
        await begin(ISSUER, ROLE, "", ORIGIN)
    with pytest.raises(Malformed, match='role "Other" could not be found'):
        await begin(ISSUER, "Other", NONCE, ORIGIN)
    with pytest.raises(NotFound):
        await begin("nobody", ROLE, NONCE, ORIGIN)
    assert (await begin(ISSUER, "DEFAULT", NONCE, ORIGIN)).user_code


async def test_while_the_issuer_is_spared_no_login_begins() -> None:
    """The client is told at once, instead of polling for minutes."""
    around = ConfirmingWorld()
    side = around.side()
    side.replica.engine.gates.of(ISSUER)._spared_until = around.world.clock.elapsed() + 60.0
    with pytest.raises((IssuerSpared, IssuerUnreachable)):
        await side.confirming.begin(ISSUER, ROLE, NONCE, ORIGIN)


async def test_while_the_issuer_is_down_no_login_begins() -> None:
    """Though nobody has asked it for anything, so that its gate still stands open."""
    around = ConfirmingWorld()
    around.world.issuer.down = IssuerUnreachable("The issuer does not answer.")
    with pytest.raises(IssuerUnreachable):
        await around.side().confirming.begin(ISSUER, ROLE, NONCE, ORIGIN)


async def test_an_issuer_that_is_down_costs_no_try() -> None:
    """The code may be entered again when it is back."""
    around = ConfirmingWorld(by_device=True)
    login = await around.begin(around.side())
    around.world.issuer.down = IssuerUnreachable("The issuer does not answer.")
    with pytest.raises(IssuerUnreachable):
        await login.confirm()
    assert not around.records.history


async def test_an_issuer_without_our_redirect_goes_on_by_its_device_flow() -> None:
    """The person is sent to its page; the poll asks it, no more often than it allows."""
    around = ConfirmingWorld(by_device=True)
    login = await around.begin(around.side())
    confirmed = await login.confirm()
    assert confirmed.go_to.startswith("https://issuer.test/device?")
    issuer, clock = around.world.issuer, around.world.clock
    issuer.poll_next(StillPending(slower=True), issuer.confirmed(ADA))
    async with asyncio.TaskGroup() as tasks:
        polling = tasks.create_task(login.poll())
        await clock.pass_time(HELD_SECONDS)
        assert polling.result() is None
        assert issuer.polls.total() == 1
        polling = tasks.create_task(login.poll())
        await clock.pass_time(4.0)
        assert polling.result() is not None
    assert issuer.polls.total() == 2


async def test_a_refusal_in_the_device_flow_ends_the_poll() -> None:
    """An issuer that is away for a moment does not."""
    around = ConfirmingWorld(by_device=True)
    login = await around.begin(around.side())
    await login.confirm()
    around.world.issuer.poll_next(
        IssuerUnreachable("The issuer does not answer."), LoginOver(LoginDenied("No."))
    )
    polling = asyncio.ensure_future(login.poll())
    await around.world.clock.pass_time(4.0)
    assert not polling.done()
    await around.world.clock.pass_time(4.0)
    with pytest.raises(GrantLost, match="No"):
        await polling


async def test_a_halt_stops_logins() -> None:
    """Vault was restored: it may not know the newest grants."""
    around = ConfirmingWorld(World())
    side = around.side()
    login = await around.begin(side)
    rewinding = side.replica.engine.rewinding
    rewinding._mark = type(rewinding._mark)(1, around.world.clock.now(), "replica-2")
    with pytest.raises(StoreRewound):
        await around.begin(side)
    with pytest.raises(StoreRewound):
        await login.confirm()


async def test_no_login_begins_that_could_not_be_kept() -> None:
    """While the store is away its person is told so at once, and looks for no browser."""
    around = ConfirmingWorld()
    side = around.side()
    around.records.fail_next(AWAY, on="get")
    with pytest.raises(StoreUnavailable):
        await around.begin(side)
    assert around.world.audit.events() == []
