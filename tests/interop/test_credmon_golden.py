"""HTCondor's vault credmon goes over to the broker and back with its old files, and loses none.

What it sends and deletes is what was recorded of it; `test_credmon_unmodified` tells the same
stories with the credmon itself.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from credbroker.api.answering import answering_problems
from credbroker.api.htvault_legacy import HtvaultLegacy
from credbroker.api.strangers import Strangers
from credbroker.broker.legacy import SURE_SECONDS, Legacy, LegacyServer
from credbroker.demo.issuer.endpoints import cut
from credbroker.domain.limits import Allowance
from credbroker.host.http import OutgoingHttp
from credbroker.issuers.legacy import FormerHtvault
from tests.fakes.audit import FakeAudit
from tests.fakes.entropy import FakeEntropy
from tests.interop.condor.site import (
    PEOPLE,
    SECRETS,
    AccessPoint,
    StartCredmon,
    claims_of,
    put_top,
    url_of,
    watched,
)
from tests.interop.credmon import NEW_FORM, OLD_FORM, Credmon
from tests.interop.htgettoken.client import Shell
from tests.interop.htgettoken.site import ISSUER, Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from tests.fakes.clock import FakeClock
    from tests.interop.condor.site import OldVault

pytest_plugins = ["tests.interop.htgettoken.fixtures", "tests.interop.condor.fixtures"]
pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

NARROW = {"scopes": "compute.read", "audience": "https://a"}


@pytest.fixture
def start_credmon(authority: Authority) -> StartCredmon:
    """The credmon as it was recorded."""

    def start(folder: Path, port: int) -> AccessPoint:
        return Credmon(folder, authority.ca_file, port)

    return start


@asynccontextmanager
async def passing_on(
    old: OldVault, authority: Authority, folder: Path, clock: FakeClock
) -> AsyncIterator[int]:
    """Pass on to the old server by a clock that a test moves; gives the port."""
    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(OutgoingHttp(str(authority.ca_file)))
        until = clock.now().date() + datetime.timedelta(days=30)
        servers = {ISSUER: LegacyServer(FormerHtvault(old.server.address, door), until)}
        audit, strangers = FakeAudit(), Strangers(Allowance(1000.0, 1000), clock)
        passing = HtvaultLegacy(Legacy(servers, audit, clock), strangers, clock)
        app = web.Application(middlewares=[answering_problems(FakeEntropy(), audit)])
        app.router.add_get("/{rest:.*}", passing.pass_on)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*authority.issue("passing", folder))
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield runner.addresses[0][1]
        assert runner.server is not None
        for connection in runner.server.connections:
            cut(connection.transport)  # a credmon keeps its own open


def test_two_hundred_old_files_go_over_and_back(
    credmon: AccessPoint, old: OldVault, moved: Site
) -> None:
    """Every read is answered on either side; each `.use` is valid throughout; nothing is deleted."""
    with watched(credmon.folder) as spoiled:
        for port in (moved.port, moved.port, old.port):
            credmon.port = port
            assert credmon.scan() == len(PEOPLE), credmon.complaints[:3]
    assert (spoiled, credmon.deleted, credmon.complaints) == ([], [], [])


def test_what_the_old_server_refuses_for_a_moment_is_deleted_by_nobody(
    credmon: AccessPoint, old: OldVault, moved: Site
) -> None:
    """One refusal may be a slip of its standby; the words that delete are not passed on at once."""
    credmon.port = moved.port
    assert credmon.scan() == len(PEOPLE)
    with watched(credmon.folder) as spoiled, old.refusing():
        assert credmon.scan() == 0
    assert (spoiled, credmon.deleted) == ([], [])
    assert not [one for one in credmon.complaints if "permission denied" in one]
    assert credmon.scan() == len(PEOPLE)


async def test_half_a_minute_of_refusals_less_a_second_deletes_nothing(
    credmon: AccessPoint, old: OldVault, authority: Authority, tmp_path: Path, clock: FakeClock
) -> None:
    """However often it is asked meanwhile; when the server knows its people again, so do we."""
    async with passing_on(old, authority, tmp_path, clock) as credmon.port:
        with watched(credmon.folder) as spoiled:
            with old.refusing():
                assert await asyncio.to_thread(credmon.scan) == 0
                clock.advance(SURE_SECONDS - 1)
                assert await asyncio.to_thread(credmon.scan) == 0
            assert await asyncio.to_thread(credmon.scan) == len(PEOPLE)
    assert (spoiled, credmon.deleted) == ([], [])


async def test_a_refusal_that_lasts_deletes_that_one_login(
    credmon: AccessPoint, old: OldVault, authority: Authority, tmp_path: Path, clock: FakeClock
) -> None:
    """As the old server would have had it; of the others nothing is touched."""
    ended = PEOPLE[7]
    put_top(credmon.folder, ended, ISSUER, vault_token=old.ended_token(), vault_url=url_of(ended))
    async with passing_on(old, authority, tmp_path, clock) as credmon.port:
        for seconds in (0.0, SURE_SECONDS - 1):
            clock.advance(seconds)
            assert await asyncio.to_thread(credmon.scan) == len(PEOPLE) - 1
            assert credmon.deleted == []
        clock.advance(1)
        assert await asyncio.to_thread(credmon.scan) == len(PEOPLE) - 1
    assert {path.name for path in credmon.deleted} == {f"{ISSUER}.top", f"{ISSUER}.use"}
    assert {path.parent.name for path in credmon.deleted} == {ended}
    assert "permission denied" in credmon.complaints[-1]


def test_an_old_server_that_is_down_deletes_nothing(
    credmon: AccessPoint, moved: Site, old: OldVault
) -> None:
    """The broker says so in words, and reads succeed again when it is back."""
    credmon.port = moved.port
    old.server.stop()
    try:
        with watched(credmon.folder) as spoiled:
            assert credmon.scan() == 0
    finally:
        old.server.start()
    assert all("Service Unavailable" in one for one in credmon.complaints)
    assert credmon.scan() == len(PEOPLE), credmon.complaints[:3]
    assert (spoiled, credmon.deleted) == ([], [])


def test_a_login_at_the_broker_serves_a_whole_and_narrowed_files(
    tmp_path: Path, moved: Site, htgettoken: Path, start_credmon: StartCredmon
) -> None:
    """The parent's vault token serves the children; only the end of the lease deletes them."""
    vault_token = logged_in(moved, "ada", htgettoken)
    home = put_tops(tmp_path, "ada", vault_token)
    credmon = start_credmon(tmp_path, moved.port)
    assert credmon.scan() == 4, credmon.complaints
    whole = claims_of(home / "one.use")
    assert "storage.read:/" in str(whole["scope"])
    for narrowed in ("one_low.use", "one_old.use"):
        claims = claims_of(home / narrowed)
        assert (claims["scope"], claims["aud"]) == (NARROW["scopes"], NARROW["audience"])
    elsewhere = claims_of(home / "one_aud.use")
    assert (elsewhere["scope"], elsewhere["aud"]) == (whole["scope"], NARROW["audience"])
    written = {path.name for path in home.iterdir()}

    assert moved.ask("POST", "/v1/auth/token/revoke-self", vault_token) == 204
    assert credmon.scan() == 0
    assert {path.name for path in credmon.deleted} == written


def test_an_outage_and_a_restart_delete_nothing(
    tmp_path: Path, moved: Site, htgettoken: Path, start_credmon: StartCredmon
) -> None:
    """With the issuer away, then the broker, then both as it comes back: each `.use` is valid."""
    put_tops(tmp_path, "bob", logged_in(moved, "bob", htgettoken))
    credmon = start_credmon(tmp_path, moved.port)
    assert credmon.scan() == 4, credmon.complaints
    with watched(tmp_path) as spoiled:
        moved.issuer.call(lambda dev: dev.go_dark())
        try:
            assert credmon.scan() == 4, credmon.complaints
            moved.kill_broker()
            assert credmon.scan() == 0
            moved.start_broker()
            credmon.scan()
        finally:
            moved.issuer.call(lambda dev: dev.come_back())
        moved.until(lambda: credmon.scan() == 4, "the credmon renewed too little")
    assert (spoiled, credmon.deleted) == ([], [])


@pytest.mark.parametrize("form", [NEW_FORM, OLD_FORM], ids=["urllib3 2", "urllib3 1.26"])
@pytest.mark.parametrize(
    ("target", "status"),
    [
        (f"{SECRETS}/user001:default?minimum_seconds=2400", 200),
        (f"{SECRETS}/user001:default?minimum_seconds=2400&scopes=storage.read%3A%2F", 200),
        (f"{SECRETS}/nobody:default?minimum_seconds=2400", 404),
        ("/v1/secret/oauth/creds/unheard/user001:default?minimum_seconds=2400", 403),
    ],
)
def test_the_recorded_requests_are_answered_as_recorded(
    form: str, old: OldVault, moved: Site, target: str, status: int
) -> None:
    """Status and form are those of the old server; an error is a list of texts."""
    credmon = Credmon(moved.folder, moved.ca_file, moved.port, form)
    answered, body = credmon.send(target, old.vault_tokens["user001"])
    assert answered == status, body
    answer = json.loads(body)
    if status == 200:
        assert answer["data"]["access_token"].count(".") == 2
    else:
        assert all(isinstance(one, str) for one in answer["errors"])
        assert b"permission denied" not in body


def logged_in(site: Site, person: str, commands: Path) -> str:
    """Log somebody in at the broker; return the vault token, which is a lease."""
    shell = Shell(site, person, commands)
    said = shell.log_in("--nokerberos", "--nossh")
    assert said.code == 0, said.all
    return shell.token_of_vault()


def put_tops(folder: Path, person: str, vault_token: str) -> Path:
    """Put down one login, whole, and narrowed in each way that a storer or its forebear asks for."""
    put_top(folder, person, "one", vault_token=vault_token, vault_url=url_of(person))
    put_top(folder, person, "one_low", vault_url=url_of(person, "sts"), **NARROW)
    put_top(folder, person, "one_aud", vault_url=url_of(person, "sts"), audience=NARROW["audience"])
    put_top(folder, person, "one_old", vault_url=url_of(person), **NARROW)
    return folder / person
