"""What all steps of a confirmed login share: writes that are sure, and news of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from credbroker.broker.logins.confirmed_logins import THERE_SECONDS, ConfirmedLogins
from credbroker.broker.running import Deeds, Means
from credbroker.domain.confirming import ConfirmedLogin
from credbroker.domain.errors import Busy, LoginDenied, LoginExpired, StoreUnavailable
from tests.fakes.clock import turns
from tests.unit.broker.confirming_world import ConfirmingWorld
from tests.unit.broker.world import ISSUER, ORIGIN, ROLE
from tests.unit.things import NOON, seconds

LOGIN = ConfirmedLogin("i" * 22, ISSUER, ROLE, NOON + seconds(600))


def logins(around: ConfirmingWorld) -> ConfirmedLogins:
    """Return what one replica's steps share."""
    world = around.world
    means = Means(world.audit, world.clock, world.entropy, Deeds(world.clock))
    rewinding = around.side().replica.engine.rewinding
    return ConfirmedLogins(around.records, means, rewinding=rewinding)


async def test_who_was_overtaken_is_told_so() -> None:
    """Nothing was written over what is there."""
    around = ConfirmingWorld()
    shared = logins(around)
    await shared.put(LOGIN, 0)
    with pytest.raises(Busy):
        await shared.put(replace(LOGIN, tries=1), 0)
    assert around.records.newest(LOGIN.id) == LOGIN


async def test_a_store_that_is_silent_is_told_of_within_seconds() -> None:
    """One that answers is not, whether it knows the login or not."""
    around = ConfirmingWorld()
    shared = logins(around)
    await shared.check_there(LOGIN.id)
    around.records.get_seconds = 8.0
    asking = asyncio.ensure_future(shared.check_there(LOGIN.id))
    await around.world.clock.pass_time(THERE_SECONDS - 0.1)
    assert not asking.done()
    await around.world.clock.pass_time(0.2)
    with pytest.raises(StoreUnavailable):
        await asking


async def test_who_waits_hears_of_a_write_at_once() -> None:
    """And of none after the time that it waits."""
    around = ConfirmingWorld()
    shared = logins(around)
    news = shared.news_of(LOGIN.id)
    waiting = asyncio.ensure_future(shared.wait(news, 5.0))
    await turns()
    await shared.put(LOGIN, 0)
    await waiting
    waiting = asyncio.ensure_future(shared.wait(news, 5.0))
    await around.world.clock.pass_time(4.9)
    assert not waiting.done()
    await around.world.clock.pass_time(0.2)
    assert waiting.done()


async def test_a_closing_says_why_and_whether_it_is_stored() -> None:
    """The trail has it in any case, in words that somebody checked."""
    around = ConfirmingWorld()
    shared = logins(around)
    assert await shared.close(LOGIN, 0, LoginDenied("No."), ORIGIN)
    assert around.records.newest(LOGIN.id).note == "No."
    around.records.fail_next(StoreUnavailable("OpenBao/Vault does not answer."), on="put")
    assert not await shared.close(LOGIN, 1, ValueError("a secret"), ORIGIN)
    assert around.world.audit.events() == ["login_refused", "login_failed"]
    assert "secret" not in str(around.world.audit.last("login_failed"))


def test_a_login_is_over_when_its_time_is() -> None:
    """To the second."""
    around = ConfirmingWorld()
    shared = logins(around)
    around.world.clock.advance(599)
    shared.check_in_time(LOGIN)
    around.world.clock.advance(1)
    with pytest.raises(LoginExpired):
        shared.check_in_time(LOGIN)
