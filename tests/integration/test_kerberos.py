"""Logins by ticket with a real KDC: what the GSS library takes, and what it must not."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from credbroker.api.answering import answering_problems
from credbroker.api.htvault_kerberos import HtvaultKerberos
from credbroker.api.strangers import Strangers
from credbroker.broker.logins.kerberos_logins import KerberosEntry, KerberosLogins
from credbroker.broker.running import Means
from credbroker.domain.errors import LocalFileUnfit, LoginDenied
from credbroker.domain.limits import Allowance
from credbroker.domain.names import GrantKey
from credbroker.domain.principals import PrincipalRules
from credbroker.host.kerberos import GssAcceptor
from tests.kdc import REALM, SPNEGO, Kdc, missing, running_kdc
from tests.unit.broker.world import DAY, ISSUER, KEY, ROLE, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path
    from typing import Any

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "nothing is missing")

ADA = f"ada@{REALM}"
ROBOT = "ada/cron/host1"


@pytest.fixture
def kdc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kdc]:
    """A KDC, for whose realm this process can make tokens."""
    with running_kdc(tmp_path) as kdc:
        monkeypatch.setenv("KRB5_CONFIG", str(kdc.config))
        yield kdc


@pytest.fixture
def ada(kdc: Kdc) -> Path:
    """Tickets of ada."""
    return kdc.add_person("ada")


@pytest.fixture
def keytab(kdc: Kdc) -> Path:
    """A keytab with the broker's keys."""
    return kdc.add_service("broker.keytab")


@pytest.fixture
def acceptor(keytab: Path, tmp_path: Path) -> Iterator[GssAcceptor]:
    """A broker's acceptor."""
    acceptor = GssAcceptor(keytab, tmp_path / "replays")
    yield acceptor
    acceptor.close()


async def denied(acceptor: GssAcceptor, token: bytes) -> str:
    """Show a token in vain; return what the log says of it."""
    with capture_logs() as logged, pytest.raises(LoginDenied):
        await acceptor.accept(token)
    (line,) = logged
    assert line["event"] == "ticket_not_accepted"
    return str(line["why"])


# What the library takes


async def test_a_raw_kerberos_token_is_taken(acceptor: GssAcceptor, kdc: Kdc, ada: Path) -> None:
    """As htgettoken makes it, with the first bytes it was seen to send."""
    token = kdc.token(ada)
    assert token[4:17] == bytes.fromhex("06092a864886f71201020201 00")
    assert await acceptor.accept(token) == ADA


async def test_a_token_wrapped_in_spnego_is_taken(
    acceptor: GssAcceptor, kdc: Kdc, ada: Path
) -> None:
    """As curl and browsers make it; nobody shows it twice either."""
    token = kdc.token(ada, mechanism=SPNEGO)
    assert await acceptor.accept(token) == ADA
    assert "replay" in await denied(acceptor, token)


async def test_a_replay_is_refused_also_by_the_next_process(
    acceptor: GssAcceptor, kdc: Kdc, ada: Path, keytab: Path, tmp_path: Path
) -> None:
    """The file of what was shown is the host's, and nobody else may read it."""
    token = kdc.token(ada)
    await acceptor.accept(token)
    neighbour = GssAcceptor(keytab, tmp_path / "replays")
    assert "replay" in await denied(neighbour, token)
    neighbour.close()
    assert (tmp_path / "replays").stat().st_mode & 0o077 == 0


async def test_without_room_for_replays_nothing_is_taken(
    kdc: Kdc, ada: Path, keytab: Path, tmp_path: Path
) -> None:
    """A broker that could not tell a replay refuses."""
    acceptor = GssAcceptor(keytab, tmp_path / "gone" / "replays")
    await denied(acceptor, kdc.token(ada))
    acceptor.close()


async def test_a_ticket_for_another_service_is_refused(
    acceptor: GssAcceptor, kdc: Kdc, ada: Path
) -> None:
    """The keytab lacks its key."""
    kdc.add_service("other.keytab", "host/other.test")
    assert "keytab" in await denied(acceptor, kdc.token(ada, "host/other.test"))


async def test_a_token_that_was_cut_or_changed_is_refused(
    acceptor: GssAcceptor, kdc: Kdc, ada: Path
) -> None:
    """And the whole one is good afterwards: nothing of it was used up."""
    token = kdc.token(ada)
    await denied(acceptor, token[:-1])
    await denied(acceptor, token[:-20] + bytes(20))
    assert await acceptor.accept(token) == ADA


async def test_new_keys_are_used_at_once(
    acceptor: GssAcceptor, kdc: Kdc, ada: Path, keytab: Path
) -> None:
    """From a keytab replaced while the broker runs; a ticket for keys that it lacks is refused."""
    old = kdc.token(ada)
    kdc.add_service(keytab.name)
    assert "keytab" in await denied(acceptor, old)
    assert await acceptor.accept(kdc.token(kdc.add_person("bob"))) == f"bob@{REALM}"


async def test_a_keytab_that_is_gone_is_the_operators_to_mend(
    acceptor: GssAcceptor, kdc: Kdc, ada: Path, keytab: Path
) -> None:
    """Asker and log are told apart: only the log names the file."""
    token = kdc.token(ada)
    keytab.rename(keytab.with_suffix(".old"))  # noqa: ASYNC240 - a rename does not wait
    with capture_logs() as logged, pytest.raises(LocalFileUnfit) as error:
        await acceptor.accept(token)
    assert str(keytab) not in error.value.sentence + error.value.remedy
    assert logged[0]["file"] == str(keytab)


async def test_the_environment_stays_as_it_was(
    acceptor: GssAcceptor, kdc: Kdc, ada: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither KRB5_KTNAME nor the cache of replays is set for everybody in this process."""
    token = kdc.token(ada)
    monkeypatch.delenv("KRB5_CONFIG")
    before = dict(os.environ)
    assert await acceptor.accept(token) == ADA
    assert dict(os.environ) == before


# Through the broker's address


class Facade:
    """A broker with a real keytab, and people's grants in memory."""

    def __init__(self, acceptor: GssAcceptor, *realms: str) -> None:
        """Let the principals of these realms log in."""
        self.world = World()
        replica = self.world.replica()
        world = self.world
        logins = KerberosLogins(
            [KerberosEntry(acceptor, PrincipalRules(realms))],
            {ISSUER: (ROLE,)},
            world.grants,
            replica.leasing,
            Means(world.audit, world.clock, world.entropy, replica.deeds),
            login_seconds=7 * DAY,
        )
        strangers = Strangers(Allowance(100.0, 100), world.clock)
        app = web.Application(middlewares=[answering_problems(world.entropy, world.audit)])
        app.add_routes(HtvaultKerberos(logins, strangers, world.clock).routes())
        self.client = TestClient(TestServer(app))

    async def log_in(self, token: bytes) -> dict[str, Any]:
        """Post as htgettoken does; return the answer, which is always a 200."""
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Authorization": f"Negotiate {base64.b64encode(token).decode()}",
        }
        path = f"/v1/auth/kerberos-{ISSUER}_{ROLE}/login"
        async with self.client.post(path, headers=headers) as answered:
            assert answered.status == 200
            read: dict[str, Any] = await answered.json()
        return read


@pytest.fixture
async def facade(acceptor: GssAcceptor) -> AsyncIterator[Facade]:
    """A broker for the KDC's realm, with a grant of ada."""
    one = Facade(acceptor, REALM)
    await one.world.give_grant()
    async with one.client:
        yield one


async def test_a_ticket_becomes_a_lease_once(facade: Facade, kdc: Kdc, ada: Path) -> None:
    """The same request again lets the client go on to the next way."""
    token = kdc.token(ada)
    auth = (await facade.log_in(token))["auth"]
    assert auth["metadata"] == {"user": "ada", "domain": REALM, "credkey": "ada"}
    again = await facade.log_in(token)
    assert again["auth"] is None
    assert "was shown before" in again["warnings"][0]
    assert facade.world.audit.events() == ["kerberos_login", "refused"]
    assert [lease.key for lease in facade.world.leases.history] == [KEY]


async def test_a_robot_gets_its_own_grant_alone(facade: Facade, kdc: Kdc) -> None:
    """Once its person placed one for it."""
    tickets = kdc.add_person(ROBOT)
    assert (await facade.log_in(kdc.token(tickets)))["auth"] is None
    await facade.world.give_grant(GrantKey(ISSUER, ROBOT, ROLE), "line-robot", "robots")
    metadata = (await facade.log_in(kdc.token(tickets)))["auth"]["metadata"]
    assert metadata == {"user": ROBOT, "domain": REALM, "credkey": ROBOT}


async def test_who_is_known_to_the_kdc_and_not_to_the_broker_goes_on(
    facade: Facade, kdc: Kdc
) -> None:
    """To the browser, as on a first login."""
    read = await facade.log_in(kdc.token(kdc.add_person("dora")))
    assert read["auth"] is None
    assert "Log in through the browser" in read["warnings"][0]


async def test_a_realm_that_is_not_listed_opens_nothing(
    acceptor: GssAcceptor, kdc: Kdc, ada: Path
) -> None:
    """Although its KDC is trusted, the ticket is good and the name is the same."""
    one = Facade(acceptor, "HOME.LOCAL")
    await one.world.give_grant()
    async with one.client:
        read = await one.log_in(kdc.token(ada))
    assert read["auth"] is None
    assert REALM in read["warnings"][0]
