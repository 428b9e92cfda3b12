"""A replica whose clock is off uses no refresh token: it would refuse the token that it gets."""

from __future__ import annotations

import datetime

import pytest

from credbroker.domain.errors import ClockOff, LeaseEnded
from credbroker.domain.grants import GrantState
from credbroker.domain.secret import Secret
from credbroker.stores.vault import VaultClient
from credbroker.stores.vault_logins import AppRoleLogin
from tests.fakes.clock import FakeClock
from tests.fakes.door import FakeDoor, Reply, Sent, answer
from tests.fakes.entropy import FakeEntropy
from tests.unit.broker.world import ORIGIN, WANT_READ, World, wish


class Vault:
    """Answers any read, and says what time it is by a clock of its own."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    def __call__(self, _sent: Sent) -> Reply:
        date = self.clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT")
        return answer(200, {"data": {}}, date=date)


async def test_no_refresh_token_is_spent_by_a_clock_that_is_off() -> None:
    """Nothing is claimed, sent or written down; once the clock is set, all goes on."""
    world = World()
    vault_clock = FakeClock(world.clock.now() + datetime.timedelta(hours=1))
    vault = client_of(FakeDoor(Vault(vault_clock)), world.clock)
    world.check_clock = vault.check_clock
    replica = world.replica()
    await world.give_grant()
    await vault.get("any")
    with pytest.raises(ClockOff, match="3600 s behind OpenBao/Vault's"):
        await replica.refreshing.refresh(wish(), 9.0)
    assert (world.issuer.connections, world.grant.state) == (0, GrantState.READY)
    assert world.audit.events() == []
    world.clock.advance(3600.0)
    await vault.get("any")
    await replica.refreshing.refresh(wish(), 9.0)
    assert world.issuer.posts["first"] == 1


async def test_a_token_at_hand_is_served_by_a_clock_that_is_off() -> None:
    """As while the issuer is down."""
    world = World()
    off: list[ClockOff] = []

    def check_clock() -> None:
        for error in off:
            raise error

    world.check_clock = check_clock
    replica = world.replica()
    await world.give_grant()
    _, caller = await world.give_lease(replica)
    first = await replica.minting.mint_access_token(caller, WANT_READ)
    off.append(ClockOff("This replica's clock is 90 s ahead of OpenBao/Vault's."))
    world.clock.advance(world.issuer.token_seconds * 0.8)
    again = await replica.minting.mint_access_token(caller, WANT_READ)
    assert again.token == first.token
    assert world.issuer.connections == 1


async def test_a_clock_that_is_off_ends_nobodys_lease() -> None:
    """A credmon that is told that its lease ran out deletes what its person has stored."""
    world = World()
    off: list[ClockOff] = []

    def check_clock() -> None:
        for error in off:
            raise error

    world.check_clock = check_clock
    replica = world.replica()
    await world.give_grant()
    token, caller = await world.give_lease(replica)
    world.clock.advance((caller.lease.ends_at - world.clock.now()).total_seconds())
    off.append(ClockOff("This replica's clock is days ahead of OpenBao/Vault's."))
    with pytest.raises(ClockOff):
        await replica.leasing.identify(token, ORIGIN)
    off.clear()
    with pytest.raises(LeaseEnded, match="ran out"):
        await replica.leasing.identify(token, ORIGIN)


def client_of(door: FakeDoor, clock: FakeClock) -> VaultClient:
    """Return a client of the Vault behind `door`."""
    half = Secret("AppRole half", "half")
    login = AppRoleLogin("approle", lambda: half, lambda: half)
    return VaultClient(
        door, ["https://vault.test"], login, clock=clock, entropy=FakeEntropy(), seconds=5
    )
