"""People are told in time, by a real mail server and a real webhook, over a real OpenBao."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from credbroker.demo.issuer import Lifetimes, faults
from credbroker.demo.private_files import write_private
from credbroker.domain.grants import GrantState
from credbroker.host.webhook import SIGNATURE
from credbroker.wire.choosing import NOTICES
from credbroker.wire.native import GRANT_SELF
from tests.contract.test_channel import Receiver, receiving
from tests.integration.broker_world import ACCESS_SECONDS, ROLE_SCOPES
from tests.mail_server import MailServer, mail_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from credbroker.broker.notices.telling import Telling
    from credbroker.telemetry.canaries import Canaries
    from tests.integration.broker_world import BrokerWorld, Replica
    from tests.integration.conftest import WorldFactory

DAY = 86400
PASSWORD, SECRET = "mail-Fq81Zk0pXw3vTn6r", "hook-Yb27Lc9sHd4gUj5m"
ROLES = {"default": {"scopes": [*ROLE_SCOPES, "email"]}}
DEAD = faults.oauth_error("invalid_grant", "it was revoked")


@dataclass
class Told:
    """A world whose brokers tell by mail and webhook, and what arrived there."""

    world: BrokerWorld
    mail: MailServer
    hook: Receiver

    async def broker(self, name: str = "one") -> Replica:
        """Start a broker that tells."""
        password, secret = self.world.folder / "password", self.world.folder / "secret"
        if not password.exists():
            write_private(password, PASSWORD.encode())
            write_private(secret, SECRET.encode())
        ca_file = str(self.world.authority.ca_file)
        notify = {
            "mail": {
                "server": "127.0.0.1", "port": self.mail.port, "sender": "broker@example.org",
                "ca_file": ca_file, "user": "broker", "password_file": str(password),
            },
            "webhook": {"url": self.hook.url, "secret_file": str(secret)},
        }  # fmt: skip
        return await self.world.replica(name, more={"notify": notify}, roles=ROLES)

    async def rounds(self, *brokers: Replica, seconds: float = 600.0) -> None:
        """Let time pass, then have each broker look once."""
        self.world.clock.leap(seconds)
        await asyncio.gather(*(telling(one).once() for one in brokers))

    def events(self) -> list[dict[str, object]]:
        """Return what the webhook got."""
        return [json.loads(body) for body, _ in self.hook.got]


def telling(broker: Replica) -> Telling:
    """Return what tells at a broker."""
    assert broker.daemon is not None
    found: Telling = getattr(broker.daemon.also["telling"], "__self__")  # noqa: B009 - of a method
    return found


@pytest.fixture
async def told(open_world: WorldFactory) -> AsyncIterator[Told]:
    """A world in which nothing was told."""
    world = await open_world()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*world.authority.issue("mail", world.folder))
    async with AsyncExitStack() as stack:
        mail = await stack.enter_async_context(mail_server(tls, password=PASSWORD))
        hook, _ = await stack.enter_async_context(receiving())
        yield Told(world, mail, hook)


async def lose(told: Told, broker: Replica, lease: str) -> None:
    """Have the issuer say that a person's login is dead."""
    told.world.clock.leap(ACCESS_SECONDS)
    told.world.on_refresh(DEAD)
    refused = await broker.token(lease)
    assert refused.error == "login_needed"


async def test_a_lost_login_is_told_once_by_whichever_replica(
    told: Told, canaries: Canaries
) -> None:
    """To the address that the issuer verified; no token or secret is in what is told."""
    one, two = await told.broker("one"), await told.broker("two")
    lease = await one.log_in()
    assert told.world.grant_of().mail == "alice@example.org"
    await one.token(lease)
    job = await one.job_lease(lease, job="run42")
    for value in told.world.issuer.refresh_tokens_issued:
        canaries.plant("refresh token", value)
    for kind, value in (
        ("lease", lease),
        ("lease", job),
        ("mail password", PASSWORD),
        ("webhook secret", SECRET),
        ("client secret", told.world.client_secret),
    ):
        canaries.plant(kind, value)  # fmt: skip
    await lose(told, one, lease)
    telling(two).learn(told.world.grant_of())
    await told.rounds(one, two)
    three = await told.broker("three")
    telling(three).learn(told.world.grant_of())
    for _ in range(3):
        await told.rounds(one, two, three)
    (letter,) = told.mail.mails
    assert letter["To"] == "alice@example.org"
    assert f"credbroker login {told.world.issuer_name} --role default" in letter.get_content()
    assert "run42 (127.0.0.1)" in letter.get_content()
    assert told.mail.over_tls == [True]
    (event,) = told.events()
    assert (event["cause"], event["jobs"], event["credkey"]) == ("lost", 1, "alice")
    assert told.hook.got[0][1].startswith("t=")
    assert SIGNATURE == "X-Credbroker-Signature"
    canaries.search_text("mail", told.mail.raw[0])
    canaries.search_text("event", told.hook.got[0][0] + told.hook.got[0][1].encode())
    trail = [one for one in told.world.audit_lines() if one["event"] == "notice_sent"]
    assert sorted(str(line["channel"]) for line in trail) == ["mail", "webhook"]
    assert "alice@example.org" not in json.dumps(told.world.audit_lines())
    metrics = (await one.ask("GET", "/metrics")).body.decode()
    assert "credbroker_notices_waiting 0.0" in metrics
    assert told.world.grant_of().state is GrantState.LOST


async def test_who_wants_no_mails_says_so_and_gets_none(told: Told) -> None:
    """By the lease of a login; a job's lease chooses for nobody."""
    broker = await told.broker()
    lease = await broker.log_in()
    job = await broker.job_lease(lease)
    shown = await broker.ask("GET", NOTICES, lease)
    assert shown.json == {"mail": True, "offered": True, "address": "alice@example.org"}
    assert (await broker.ask("PUT", NOTICES, job, {"mail": False})).status == 403
    chosen = await broker.ask("PUT", NOTICES, lease, {"mail": False})
    assert chosen.json["mail"] is False
    other = await told.broker("other")
    assert (await other.ask("GET", NOTICES, lease)).json["mail"] is False
    await lose(told, broker, lease)
    await told.rounds(broker)
    assert told.mail.mails == []
    assert [event["cause"] for event in told.events()] == ["lost"]


async def test_a_mail_server_that_is_down_delays_no_token_and_is_tried_again(told: Told) -> None:
    """The mail goes out when it is back; what was told by then is not told twice."""
    broker = await told.broker()
    lease = await broker.log_in()
    told.mail.answer_to_recipient = "451 Come back later"
    await lose(told, broker, lease)
    await told.rounds(broker)
    assert (len(told.mail.mails), len(told.hook.got)) == (0, 1)
    again = await broker.log_in("bob")
    assert (await broker.token(again)).status == 200
    told.mail.answer_to_recipient = "250 OK"
    for _ in range(3):
        await told.rounds(broker, seconds=300)
    assert (len(told.mail.mails), len(told.hook.got)) == (1, 1)


async def test_a_logout_takes_the_address_away(told: Told) -> None:
    """The tombstone of a login says nothing about its person's mail."""
    broker = await told.broker()
    lease = await broker.log_in()
    assert told.world.grant_of().mail
    assert (await broker.ask("DELETE", GRANT_SELF, lease)).status == 200
    ended = told.world.grant_of()
    assert (ended.state, ended.mail) == (GrantState.ENDED, "")


async def test_without_mail_in_the_settings_no_address_is_kept(open_world: WorldFactory) -> None:
    """Nor is the issuer asked for one."""
    world = await open_world(lifetimes=Lifetimes(access=ACCESS_SECONDS, refresh=9 * DAY))
    broker = await world.replica(roles=ROLES)
    lease = await broker.log_in()
    assert world.grant_of().mail == ""
    assert (await broker.ask("GET", NOTICES, lease)).json == {"mail": True, "offered": False}
    assert broker.daemon is not None
    assert "telling" not in broker.daemon.also
