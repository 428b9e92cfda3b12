"""Who shows no known lease is slowed down, at no cost to others, nor to OpenBao/Vault and the trail."""

from __future__ import annotations

import asyncio
from collections import Counter
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from credbroker.api import bodies
from credbroker.api.app import build_app
from credbroker.api.native import NativeApi, Offered
from credbroker.api.outlook import Outlook
from credbroker.api.strangers import MOST_ADDRESSES, MOST_KNOWN, NETWORK_TIMES, Strangers
from credbroker.domain.errors import LeaseEnded, LeaseUnknown, StoreUnavailable, TooManyRequests
from credbroker.domain.leases import LeaseToken
from credbroker.domain.limits import Allowance
from credbroker.domain.secret import Secret
from credbroker.domain.starts import mark_of, next_secret
from credbroker.wire import native
from tests.fakes.clock import FakeClock
from tests.unit.broker.world import DAY, ISSUER, ROLE, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aiohttp import web

BURST, PER_SECOND = 10, 2.0
GOOD = {"Authorization": "Bearer good"}


class Peer:
    """Requests as they come from one address."""

    def __init__(self, strangers: Strangers, address: str) -> None:
        self.strangers = strangers
        self.address = address

    def request(self, headers: Mapping[str, str] | None = None) -> web.Request:
        """Return a request of this peer."""
        request = make_mocked_request("GET", "/", headers=headers)
        return request.clone(remote=self.address)

    def show(self, headers: Mapping[str, str] = GOOD, error: Exception | None = None) -> None:
        """Show something that proves good, or fails with `error`."""
        with self.strangers.counted_unless_known(self.request(headers)):
            if error is not None:
                raise error

    def spend_all(self) -> None:
        """Send what is allowed at once, all of it bad."""
        for number in range(BURST):
            with pytest.raises(LeaseUnknown):
                self.show({"Authorization": f"Bearer {number}"}, LeaseUnknown("x"))


@pytest.fixture
def strangers(clock: FakeClock) -> Strangers:
    """The counter under test."""
    return Strangers(Allowance(PER_SECOND, BURST), clock)


@pytest.fixture
def peer(strangers: Strangers) -> Peer:
    """Somebody."""
    return Peer(strangers, "192.0.2.1")


def test_a_job_whose_secrets_are_used_once_is_known_by_what_they_have_in_common(
    strangers: Strangers,
) -> None:
    """Or one bad neighbour behind the same address would keep all jobs of a site from their tokens."""
    first = LeaseToken("i" * 22, Secret("lease", "f" * 43))

    def shown(number: int) -> dict[str, str]:
        secret = next_secret(mark_of(first.secret), f"{number:027d}")
        return {"Authorization": f"Bearer {LeaseToken(first.id, secret).text().reveal()}"}

    peer = Peer(strangers, "192.0.2.7")
    peer.show(shown(1))
    peer.spend_all()
    for number in range(2, 3 * BURST):
        peer.show(shown(number))
    assert len(strangers._known) == 1
    unmarked = LeaseToken(first.id, Secret("lease", "g" * 43)).text().reveal()
    for stranger in ({}, {"Authorization": f"Bearer {unmarked}"}):
        with pytest.raises(TooManyRequests):
            peer.show(stranger)


def test_an_address_that_spent_its_burst_waits_and_another_does_not(
    strangers: Strangers, peer: Peer, clock: FakeClock
) -> None:
    """It is told how long; after that it may once more."""
    peer.spend_all()
    with pytest.raises(TooManyRequests) as refused:
        peer.strangers.count(peer.request())
    assert refused.value.wait_seconds == pytest.approx(1 / PER_SECOND)
    Peer(strangers, "192.0.2.2").show()
    clock.advance(1 / PER_SECOND)
    peer.strangers.count(peer.request())
    with pytest.raises(TooManyRequests):
        peer.strangers.count(peer.request())


def test_a_good_lease_is_not_counted_however_often_it_is_shown(peer: Peer) -> None:
    """A site's jobs share one address."""
    for number in range(BURST * 5):
        peer.show({"Authorization": f"Bearer {number}"})
        peer.show()
    peer.spend_all()


def test_a_known_lease_passes_whatever_others_at_its_address_do(peer: Peer) -> None:
    """The very lease: another secret under its id is not known."""
    peer.show()
    peer.spend_all()
    for _ in range(BURST * 5):
        peer.show()
    with pytest.raises(TooManyRequests):
        peer.show({"Authorization": "Bearer goods"})


def test_an_outage_makes_no_known_lease_a_stranger(peer: Peer) -> None:
    """That OpenBao/Vault is away says nothing about the lease."""
    peer.show()
    peer.spend_all()
    with pytest.raises(StoreUnavailable):
        peer.show(error=StoreUnavailable("x"))
    peer.show()


def test_a_lease_that_is_over_counts_from_then_on(peer: Peer) -> None:
    """It is told so once, and then as often as any stranger."""
    peer.show()
    peer.spend_all()
    with pytest.raises(LeaseEnded):
        peer.show(error=LeaseEnded("x"))
    with pytest.raises(TooManyRequests):
        peer.show(error=LeaseEnded("x"))


def test_what_is_remembered_is_bounded(
    strangers: Strangers, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quiet addresses and leases unseen for long are forgotten, not those that are at it."""
    assert (MOST_ADDRESSES, MOST_KNOWN) == (10_000, 50_000)
    monkeypatch.setattr("credbroker.api.strangers.MOST_ADDRESSES", 10)
    monkeypatch.setattr("credbroker.api.strangers.MOST_KNOWN", 10)
    peer.spend_all()
    for number in range(100):
        other = Peer(strangers, f"198.51.100.{number}")
        other.strangers.count(other.request())
        with pytest.raises(TooManyRequests):
            peer.show({"Authorization": f"Bearer {number}"})
        Peer(strangers, "192.0.2.3").show({"Authorization": f"Bearer {number}"})
        Peer(strangers, "192.0.2.3").show()
    assert len(strangers._made_up_at) <= 10
    assert len(strangers._known) <= 10
    peer.show()


# As it is served


@pytest.fixture
def world() -> World:
    """One grant, one broker."""
    return World()


@pytest.fixture
async def served(world: World) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """The native API over that world, on loopback."""
    replica = world.replica()
    deeds = replica.enrolling, replica.leasing, replica.minting, replica.ending
    offered = {ISSUER: Offered("https://issuer.test/", [ROLE])}
    strangers = Strangers(Allowance(PER_SECOND, BURST), world.clock)
    outlook = Outlook(replica.engine, world.clock, DAY)
    stepping = replica.engine.stepping
    api = NativeApi(*deeds, offered, stepping=stepping, strangers=strangers, outlook=outlook)
    app = build_app(api.operations(), [], world.entropy, world.audit, "https://broker.test")
    async with TestClient(TestServer(app)) as client:
        yield client


async def statuses(
    client: TestClient[web.Request, web.Application], count: int, path: str, **request: Any
) -> Counter[int]:
    """Post so often, and return which statuses came back how often."""
    found: Counter[int] = Counter()
    for number in range(count):
        unknown = {"Authorization": f"Bearer cb_{number:022d}.{'a' * 43}"}
        async with client.post(path, **{"headers": unknown, **request}) as answer:
            found[answer.status] += 1
            if answer.status == 429:
                assert (await answer.json())["error"] == TooManyRequests.code
                assert answer.headers["Retry-After"] == "2"
    return found


async def test_a_flood_without_leases_costs_no_more_than_its_allowance(
    world: World, served: TestClient[web.Request, web.Application]
) -> None:
    """A thousand requests: a burst of audit lines and reads of the store, then 429."""
    nothing: dict[str, str] = {}
    assert await statuses(served, 500, native.TOKENS, headers=nothing) == {401: BURST, 429: 490}
    assert len(world.audit.lines) == BURST
    world.clock.advance(BURST / PER_SECOND)
    reads = world.leases.reads
    assert await statuses(served, 500, native.TOKENS) == {401: BURST, 429: 490}
    assert len(world.audit.lines) == 2 * BURST
    assert world.leases.reads - reads == BURST


async def test_a_flood_of_logins_reaches_neither_store_nor_issuer(
    world: World, served: TestClient[web.Request, web.Application]
) -> None:
    """What cannot be read counts as well; polls that name no login do."""
    assert await statuses(served, BURST, native.LOGINS, data=b"{") == {400: BURST}
    assert await statuses(served, 50, native.LOGINS, json={"issuer": ISSUER}) == {429: 50}
    assert await statuses(served, 50, native.LOGIN_POLL) == {429: 50}
    assert (world.logins.reads, world.logins.history) == (0, [])


async def test_a_login_under_way_is_not_slowed_by_a_flood(
    world: World, served: TestClient[web.Request, web.Application]
) -> None:
    """Its token is known from its first poll on."""
    async with served.post(native.LOGINS, json={"issuer": ISSUER}) as started:
        shown = {"Authorization": f"Bearer {(await started.json())['login_token']}"}
    assert await statuses(served, 1, native.LOGIN_POLL, headers=shown) == {200: 1}
    await statuses(served, 50, native.TOKENS)
    assert await statuses(served, 20, native.LOGIN_POLL, headers=shown) == {200: 20}


async def test_a_body_that_trickles_in_is_cut_off(
    served: TestClient[web.Request, web.Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a problem, and the connection is not used again."""
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)

    async def trickle() -> AsyncIterator[bytes]:
        yield b'{"issuer": '
        await answered.wait()

    answered = asyncio.Event()
    async with served.post(native.LOGINS, data=trickle()) as answer:
        assert answer.status == 408
        assert answer.headers["Connection"] == "close"
        assert (await answer.json())["error"] == "busy"
        answered.set()


def test_addresses_that_many_people_share_are_not_counted(clock: FakeClock) -> None:
    """The leases that come from there are limited each for itself; others are counted as ever."""
    shared = [ip_network("192.0.2.0/28"), ip_network("2001:db8::/64")]
    strangers = Strangers(Allowance(PER_SECOND, BURST), clock, shared)
    for address in ("192.0.2.7", "2001:db8::7"):
        for _ in range(2):
            Peer(strangers, address).spend_all()
    outside = Peer(strangers, "192.0.2.99")
    outside.spend_all()
    with pytest.raises(TooManyRequests):
        outside.show()


def test_a_host_with_a_network_of_addresses_is_one_host_all_the_same(strangers: Strangers) -> None:
    """IPv6 gives each more addresses than there are people; another network is not held up."""
    asked = [Peer(strangers, f"2001:db8::{number:x}") for number in range(20 * BURST)]
    refused = 0
    for peer in asked:
        try:
            strangers.count(peer.request())
        except TooManyRequests:
            refused += 1
    assert refused == (20 - NETWORK_TIMES) * BURST
    strangers.count(Peer(strangers, "2001:db8:0:1::1").request())
    strangers.count(Peer(strangers, "fe80::1%eth0").request())
    for number in range(NETWORK_TIMES * BURST + 1):  # these only look like one network
        strangers.count(Peer(strangers, f"::ffff:192.0.2.{number}").request())


def test_a_good_vault_token_makes_no_other_one_known(strangers: Strangers, peer: Peer) -> None:
    """What is shown counts, in whichever header it stands."""
    peer.show({"X-Vault-Token": "good"})
    for number in range(BURST):
        with pytest.raises(LeaseUnknown):
            peer.show({"X-Vault-Token": f"{number}"}, LeaseUnknown("x"))
    with pytest.raises(TooManyRequests):
        peer.show({"X-Vault-Token": "another"})
    peer.show({"X-Vault-Token": "good"})
