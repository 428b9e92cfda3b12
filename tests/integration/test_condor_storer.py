"""`credbroker condor-storer` as `condor_submit` runs it: many at once, before a real broker.

HTCondor's tools are programs that behave as the real ones were seen to, with the settings that the
page for access points shows; a credmon is played by the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import sys
import tty
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from credbroker.demo.issuer import Endpoint
from credbroker.domain.secret import Secret
from credbroker.host.clock import SystemClock
from credbroker.wire.jwt import read_access_token
from tests.fakes.condor_config import condor_settings
from tests.fakes.condor_tools import CondorTools
from tests.integration.broker_world import ACCESS_SECONDS, BrokerWorld, Served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.conftest import WorldFactory

pytestmark = pytest.mark.slow

AT_ONCE = 50
CODE = re.compile(r"^ {4}([A-Z0-9]{6})\r?$", re.MULTILINE)
PATIENCE_SECONDS = 150.0
AUDIENCE = "https://dav.example.org"


@dataclass(frozen=True)
class Done:
    """How a storer ended."""

    code: int
    out: str
    said: str
    seconds: float


@dataclass
class AccessPoint:
    """A person on an access point, whose terminal the storers share."""

    world: BrokerWorld
    tools: CondorTools
    settings: dict[str, str]
    folder: Path
    broker: Served
    said: str = ""
    approved: list[str] = field(default_factory=list)
    credmon: asyncio.Task[None] | None = None

    @property
    def issuer(self) -> str:
        """The service to ask for."""
        return self.world.issuer_name

    def environment(self, **more: str) -> dict[str, str]:
        """Return what a storer finds: no other way to the broker than what HTCondor is told."""
        return {
            "PATH": f"{self.tools.bin}{os.pathsep}{os.defpath}",
            "HOME": str(self.folder / "home"),
            "CREDBROKER_CA_FILE": str(self.world.authority.ca_file),
            "CONDOR_CREDENTIAL_STORER_MODE": "vault",
        } | more

    async def submit(self, *arguments: str, terminal: int | None = None, **more: str) -> Done:
        """Run a storer to its end, on the terminal or without one."""
        clock = SystemClock()
        begun = clock.elapsed()
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "credbroker", "condor-storer",
            "--storage-folder", str(self.folder / "storage.d"), *arguments,
            env=self.environment(**more),
            stdin=asyncio.subprocess.DEVNULL if terminal is None else terminal,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE if terminal is None else terminal,
        )  # fmt: skip
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                out, err = await child.communicate()
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        seconds = clock.elapsed() - begun
        return Done(child.returncode or 0, out.decode(), (err or b"").decode(), seconds)

    async def play(self) -> None:
        """Be the credmon, while it runs."""
        while True:
            self.tools.serve()
            await SystemClock().sleep(0.05)

    @contextlib.asynccontextmanager
    async def terminal(self, *, answers: bool = True) -> AsyncIterator[int]:
        """A terminal before which alice sits, who confirms each code that she sees, or none."""
        ours, theirs = pty.openpty()
        tty.setraw(theirs)

        def read() -> None:
            self.said += os.read(ours, 65536).decode()
            for code in CODE.findall(self.said) if answers else ():
                if code not in self.approved:
                    self.approved.append(code)
                    self.world.issuer.approve(code, "alice")

        loop = asyncio.get_running_loop()
        loop.add_reader(ours, read)
        try:
            yield theirs
        finally:
            loop.remove_reader(ours)
            os.close(ours)
            os.close(theirs)

    def stores(self) -> list[list[str]]:
        """Return the calls by which the credd was asked, or given something."""
        return [call for call in self.tools.calls() if call[0] == "condor_store_cred"]

    def logins_begun(self) -> int:
        """Return how many device logins the issuer has seen."""
        seen = self.world.issuer.journal
        return sum(one.endpoint is Endpoint.DEVICECODE for one in seen)


@pytest.fixture
async def access_point(
    open_world: WorldFactory, tmp_path: Path, unused_tcp_port: int
) -> AsyncIterator[AccessPoint]:
    """An access point set up as its page shows, at a broker that runs."""
    world = await open_world(interval=1)
    broker = await world.serve(port=unused_tcp_port)
    address = broker.url.removeprefix("https://")
    settings = condor_settings(
        SEC_CREDENTIAL_GETTOKEN_OPTS=f"-a {address}",
        TRUSTED_VAULT_HOSTS=address,
        CREDMON_OAUTH_TOKEN_MINIMUM=str(ACCESS_SECONDS // 2),
    )
    (tmp_path / "home").mkdir()
    here = AccessPoint(
        world, CondorTools(tmp_path / "condor", settings), settings, tmp_path, broker
    )
    here.credmon = asyncio.get_running_loop().create_task(here.play())
    yield here
    here.credmon.cancel()


@pytest.mark.timeout(200)
async def test_fifty_submits_at_once_are_one_login(access_point: AccessPoint) -> None:
    """Mixed handles, two credds; each name is stored once at each, and no secret is an argument."""
    here, credds = access_point, ("one.example.org", "two.example.org")
    kinds = (
        here.issuer,
        f"{here.issuer}&handle=ro&scopes=storage.read:/a&audience={AUDIENCE}",
        f"{here.issuer}&handle=rw&scopes=storage.read:/a,storage.create:/a&audience={AUDIENCE}",
    )
    async with here.terminal() as terminal:
        done = await asyncio.gather(
            *(
                here.submit(kinds[n % 3], terminal=terminal, _CONDOR_CREDD_HOST=credds[n % 2])
                for n in range(AT_ONCE)
            )
        )
    assert [one.code for one in done] == [0] * AT_ONCE, here.said
    assert (here.logins_begun(), len(here.approved)) == (1, 1)
    stored = here.tools.stored(credds[0])
    assert stored == here.tools.stored(credds[1])
    url = f"{here.broker.url}/v1/secret/oauth/creds/{here.issuer}/alice:default"
    narrow = {"scopes": "storage.read:/a", "audience": AUDIENCE, "vault_url": url}
    wide = narrow | {"scopes": "storage.create:/a,storage.read:/a"}
    lease = stored[here.issuer].pop("vault_token")
    assert stored == {
        here.issuer: {"vault_url": url},
        f"{here.issuer}_ro": narrow,
        f"{here.issuer}_rw": wide,
    }
    calls = here.tools.calls()
    added = [call[call.index("-s") + 1] for call in calls if "add-oauth" in call]
    assert sorted(added) == sorted([*stored, *stored])
    assert lease.startswith("cb_")
    assert lease not in json.dumps(calls)
    assert lease not in here.said + "".join(one.out for one in done)


async def test_two_credds_get_the_same_and_the_next_submit_finds_it_there(
    access_point: AccessPoint,
) -> None:
    """A second access point costs no second login; what is in place is neither stored nor asked for."""
    here = access_point
    both = ("--credd", "one.example.org", "--credd", "two.example.org")
    request = f"{here.issuer}&handle=ro&scopes=storage.read:/a, storage.read:/b"
    async with here.terminal() as terminal:
        assert (await here.submit(*both, request, terminal=terminal)).code == 0, here.said
    before = here.tools.calls()
    assert here.tools.stored("one.example.org") == here.tools.stored("two.example.org")
    swapped = f"{here.issuer}&handle=ro&scopes=storage.read:/b,storage.read:/a"
    again = await here.submit(*both, swapped)
    assert (again.code, again.out, again.said) == (0, "", "")
    new = here.tools.calls()[len(before) :]
    assert not [call for call in new if "add-oauth" in call]
    assert here.logins_begun() == 1


async def test_without_a_terminal_nobody_is_asked(access_point: AccessPoint) -> None:
    """Nor under DAGMan, which may have one: one line with the command, in the exit code of a login."""
    here = access_point
    alone = await here.submit(here.issuer)
    async with here.terminal() as terminal:
        dagman = await here.submit(
            here.issuer, terminal=terminal, _CONDOR_DAGMAN_LOG="a.dagman.out"
        )
    line = (
        f"credbroker: You are not logged in at {here.issuer}."
        f" Log in with: credbroker login {here.issuer}\n"
    )
    assert (alone.code, alone.said) == (4, line)
    assert (dagman.code, here.said) == (4, f"\n{line}")
    assert here.logins_begun() == 0
    assert not here.tools.calls()


async def test_a_prompt_that_nobody_answers_holds_up_nobody_else(access_point: AccessPoint) -> None:
    """Who has no terminal is sent away at once meanwhile, and tokens that are due are fetched."""
    here = access_point
    async with here.terminal() as terminal:
        assert (await here.submit(here.issuer, terminal=terminal)).code == 0, here.said
    lease = here.tools.stored()[here.issuer]["vault_token"]
    for file in (here.folder / "home").rglob("leases/*.json"):
        file.unlink()
    async with here.terminal(answers=False) as terminal:
        loop = asyncio.get_running_loop()
        hanging = loop.create_task(here.submit(here.issuer, terminal=terminal))
        await here.world.until(lambda: here.logins_begun() == 2)
        other = await here.submit(here.issuer)
        assert (other.code, other.said.count("\n")) == (4, 1)
        assert (await here.broker.token(lease, "storage.read:/a")).status == 200
        assert not hanging.done()
        hanging.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await hanging


async def test_what_is_wrong_is_said_at_submit(access_point: AccessPoint) -> None:
    """A path outside the right, a misspelled audience, a handle that is taken: nothing is stored."""
    here = access_point
    (here.folder / "storage.d").mkdir()
    (here.folder / "storage.d" / "dav.yaml").write_text(
        f"- name: dav\n  url: {AUDIENCE}:443/\n  audience: {AUDIENCE}\n  prefix: /store\n"
    )
    async with here.terminal() as terminal:
        first = f"{here.issuer}&handle=h&scopes=storage.read:/store"
        assert (await here.submit(first, terminal=terminal)).code == 0, here.said
    before = here.tools.stored()
    tried = {
        "&handle=w&scopes=storage.modify:/store": (5, "Outside the grant: storage.modify:/store."),
        "&handle=x&scopes=storage.read:store": (2, "A storage path must begin with a slash."),
        "&handle=y&audience=https://DAV.example.org/": (2, f"the audience of dav is {AUDIENCE}"),
        "&handle=h&scopes=storage.read:/other": (5, "with other scopes or another audience"),
        "&scopes=storage.read:/store": (2, "need a handle"),
        "&options=for=60d": (6, f"Log in again first: credbroker login {here.issuer}"),
    }
    for request, (code, words) in tried.items():
        done = await here.submit(here.issuer + request)
        assert (done.code, words in done.said) == (code, True), done
    assert here.tools.stored() == before


async def test_check_says_whether_a_submit_would_go_through(access_point: AccessPoint) -> None:
    """In one line, or in JSON; without the login that is missing being asked for."""
    here = access_point
    no = await here.submit("--check", here.issuer)
    assert (no.code, no.out.count("\n")) == (4, 1)
    async with here.terminal() as terminal:
        assert (await here.submit(here.issuer, terminal=terminal)).code == 0, here.said
    before = here.stores()
    yes = await here.submit("--check", here.issuer, "--for", "12h", "--json")
    (told,) = json.loads(yes.out)
    assert (yes.code, told["goes_through"], told["exit_code"]) == (0, True, 0)
    assert (await here.submit("--check", here.issuer, "--for", "60d")).code == 6
    await here.broker.kill()
    assert (await here.submit("--check", here.issuer)).code == 3
    assert here.stores() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="a credmon writes files of root's")
async def test_what_is_stored_is_served_by_the_credmon(access_point: AccessPoint) -> None:
    """Run with the same settings, it has made a token of each kind before the submit goes on."""
    here = access_point
    assert here.credmon is not None
    here.credmon.cancel()
    here.tools.configure(
        here.settings
        | {
            "SEC_CREDENTIAL_DIRECTORY_OAUTH": str(here.tools.credd),
            "AUTH_SSL_CLIENT_CAFILE": str(here.world.authority.ca_file),
        }
    )
    log = here.folder / "credmon.log"
    credmon = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "credbroker", "credmon", "--log-file", str(log),
        env=here.environment(), stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        request = f"{here.issuer}&handle=ro&scopes=storage.read:/a&audience={AUDIENCE}"
        async with here.terminal() as terminal:
            done = await here.submit(request, terminal=terminal)
        assert done.code == 0, here.said + log.read_text()
    finally:
        credmon.terminate()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await credmon.wait() == 0
    found = {one.name: one for one in here.tools.of_person.glob("*.use")}
    assert set(found) == {f"{here.issuer}.use", f"{here.issuer}_ro.use"}
    value = Secret("access token", found[f"{here.issuer}_ro.use"].read_text().rstrip("\n"))
    token = read_access_token(value, here.world.clock.now())
    assert (token.scopes.texts(), token.audiences) == (["storage.read:/a"], (AUDIENCE,))
