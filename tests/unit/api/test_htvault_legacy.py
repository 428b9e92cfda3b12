"""Vault tokens that are not ours: told by how they begin, passed on as they came, in their turn."""

from __future__ import annotations

import asyncio
import datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from yarl import URL

from credbroker.api.htvault_legacy import PATIENCE_SECONDS, HtvaultLegacy, is_foreign
from credbroker.api.problems import REQUEST_ID
from credbroker.api.strangers import Strangers
from credbroker.broker.legacy import SURE_SECONDS, Legacy, LegacyServer
from credbroker.domain.errors import LeaseEnded, LeaseUnknown, LegacyUnavailable, TooManyRequests
from credbroker.domain.limits import Allowance
from credbroker.domain.secret import Secret
from credbroker.ports import HttpAnswer
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock, turns
from tests.fakes.legacy import FakeLegacyVault
from tests.unit.things import LEASE_TOKEN

ADA = "/v1/secret/oauth/creds/egi/ada@x.test:default"
BURST, PER_SECOND = 100, 20.0
FILES = 5000
BLANK = make_mocked_request("GET", "/")


class Place:
    """The way to one issuer's HTVault; everybody who asks has the same address."""

    def __init__(self, clock: FakeClock, per_second: float = PER_SECOND) -> None:
        self.clock = clock
        self.vault = FakeLegacyVault("https://old.test:8200", clock=clock)
        self.vault.known = [Secret("vault token", f"s.{n}") for n in range(FILES)]
        self.audit = FakeAudit()
        until = clock.now().date() + datetime.timedelta(days=30)
        legacy = Legacy({"egi": LegacyServer(self.vault, until)}, self.audit, clock)
        strangers = Strangers(Allowance(per_second, BURST), clock)
        self.passing = HtvaultLegacy(legacy, strangers, clock)

    async def ask(self, vault_token: str, address: str = ADA) -> web.Response:
        """Ask once, in the time it takes."""
        asking = asyncio.ensure_future(self.passing.pass_on(asked(vault_token, address)))
        await turns(6)
        while not asking.done():
            await self.clock.pass_time(1 / PER_SECOND)
        return asking.result()

    async def scan(self, *numbers: int) -> list[object]:
        """Read with each vault token in turn; return each answer's status, or the error's type."""
        return [await self._outcome(f"s.{number}") for number in numbers]

    async def _outcome(self, vault_token: str) -> object:
        try:
            return (await self.ask(vault_token)).status
        except (LegacyUnavailable, LeaseEnded, TooManyRequests) as error:
            return type(error)


def asked(vault_token: str, address: str = ADA) -> web.Request:
    """Return a request with its address as it came over the wire."""
    request = BLANK.clone(
        rel_url=URL(address, encoded=True), headers={"X-Vault-Token": vault_token}
    )
    request[REQUEST_ID] = "request-1"
    return request


@pytest.fixture
def place(clock: FakeClock) -> Place:
    """A broker that has just started: it knows nobody yet."""
    return Place(clock)


@pytest.mark.parametrize(
    ("shown", "foreign"),
    [
        (LEASE_TOKEN.text().reveal(), False),
        ("cb_half-a-lease", False),
        ("", False),
        ("hvs.CAESIJ", True),
        ("s.w2Xv9", True),
        ("CB_upper", True),
    ],
)
def test_all_but_our_own_leases_are_foreign(shown: str, foreign: bool) -> None:
    """A damaged lease of ours is not somebody else's, and neither is none at all."""
    request = make_mocked_request("GET", "/v1/x", headers={"X-Vault-Token": shown})
    assert is_foreign(request) is foreign


def test_a_request_without_the_header_is_not_foreign() -> None:
    """It shows nothing to pass on."""
    assert not is_foreign(make_mocked_request("GET", "/v1/x"))


@pytest.mark.slow
async def test_an_access_point_may_come_with_thousands(place: Place) -> None:
    """Right after a start, one after the other from one address: none has to come again."""
    assert set(await place.scan(*range(FILES))) == {200}


@pytest.mark.slow
async def test_the_dead_among_them_cost_the_living_nothing(place: Place) -> None:
    """However many there are, and though they come first: what is too much waits for its turn."""
    dead, living = range(3 * BURST), range(3 * BURST, 4 * BURST)
    place.vault.known = place.vault.known[dead.stop :]
    began = place.clock.elapsed()
    assert set(await place.scan(*dead)) == {LegacyUnavailable}
    assert set(await place.scan(*living)) == {200}
    assert place.clock.elapsed() - began >= (len(dead) - BURST) / PER_SECOND


async def test_an_hour_of_refusals_of_grants_turns_nobody_away(place: Place) -> None:
    """With its issuer down, an HTVault says 400 to all whose token ran out."""
    place.vault.given = HttpAnswer(400, {}, b'{"errors":["refresh failed"]}')
    assert set(await place.scan(*range(2 * BURST))) == {400}
    place.vault.given = HttpAnswer(200, {}, b'{"data":{}}')
    assert set(await place.scan(*range(2 * BURST, 3 * BURST))) == {200}


async def test_an_htvault_that_refuses_all_for_a_moment_is_forgiven(place: Place) -> None:
    """A minute later, when an access point comes again, everybody is served at once."""
    known, place.vault.known = place.vault.known, []
    assert set(await place.scan(*range(2 * BURST))) == {LegacyUnavailable}
    place.vault.known = known
    await place.clock.pass_time(60)
    asked_at = place.clock.elapsed()
    assert set(await place.scan(*range(2 * BURST))) == {200}
    assert place.clock.elapsed() - asked_at < 2 * BURST / PER_SECOND + 1


async def test_a_refusal_that_lasts_is_told(place: Place) -> None:
    """Of that one vault token; the next is still served."""
    place.vault.known = place.vault.known[1:]
    assert await place.scan(0, 1) == [LegacyUnavailable, 200]
    await place.clock.pass_time(SURE_SECONDS)
    assert await place.scan(0, 1) == [LeaseEnded, 200]


async def test_a_turn_that_is_far_off_is_not_waited_for(clock: FakeClock) -> None:
    """Whoever floods holds no connection for long."""
    place = Place(clock, per_second=1 / (2 * PATIENCE_SECONDS))
    place.vault.known = []
    told = await place.scan(*range(BURST + 1))
    assert told[-1] is TooManyRequests


async def test_a_flood_waits_once_and_is_turned_away(place: Place) -> None:
    """Many at once from one address: of those beyond the limit one for each turn is let in."""
    place.vault.known = []
    asking = [
        asyncio.ensure_future(place.passing.pass_on(asked(f"s.{number}")))
        for number in range(3 * BURST)
    ]
    await place.clock.pass_time(1)
    told = await asyncio.gather(*asking, return_exceptions=True)
    assert len(place.vault.asked) == BURST + 1
    assert sum(isinstance(one, TooManyRequests) for one in told) == 2 * BURST - 1


@pytest.mark.parametrize(
    "address",
    [
        "%2Fv1/secret/oauth/creds/egi/ada:default",
        "/%761/secret/oauth/creds/egi/ada:default",
        "/v1/secret/oauth/creds/egi/ada%:default",
        "/v1/secret/oauth/creds/egi/ad\xe9:default",
        "/v1/secret/oauth/creds/egi/a\r\nX-Other: b:default",
        "/v1/secret/oauth/creds/egi/..%2f..%2fx:default",
    ],
)
async def test_what_is_no_plain_address_is_sent_nowhere(place: Place, address: str) -> None:
    """It is put behind the HTVault's own address, so it must be a path and stay one."""
    with pytest.raises(LeaseUnknown):
        await place.ask("s.0", address)
    assert place.vault.asked == []


@pytest.mark.parametrize("before", ["https://elsewhere.test", "//elsewhere.test", "//x@elsewhere"])
async def test_a_host_in_the_target_leads_nowhere_else(place: Place, before: str) -> None:
    """What is passed on is the path alone."""
    assert (await place.ask("s.0", before + ADA)).status == 200
    assert [one.address for one in place.vault.asked] == [ADA]
