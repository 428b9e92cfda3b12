"""A login host whole: operator, agent, a person with a uid of the own, a real broker, real files."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io
import os
import pwd
import signal
import stat
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from credbroker.__main__ import main
from credbroker.config.schema import Tls
from credbroker.delivery import lease_file
from credbroker.delivery.acting import rights_of
from credbroker.delivery.lease_file import LeaseFile
from credbroker.domain.errors import NotAllowed
from credbroker.domain.secret import Secret
from credbroker.edge.sessions import command
from credbroker.edge.sessions.settings import SessionsSettings
from credbroker.host.entropy import SystemEntropy
from credbroker.wire.jwt import read_access_token
from tests.integration.broker_world import BrokerWorld, Served
from tests.integration.test_host_certificates import HostAuthority
from tests.people import EVE, as_root, hall, move_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["hall"]

pytestmark = as_root

NOBODY = (pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
HOST = "login1"
NARROW = "storage.read:/home"

# A forked child of another uid may not be able to read these.
for needed in ("_strptime", "encodings.idna", "credbroker.cli.deliver"):
    importlib.import_module(needed)


@dataclass
class LoginHost:
    """A host with an agent, people's folders in `hall`, and `nobody` as its person."""

    hall: Path
    world: BrokerWorld
    broker: Served
    agent: asyncio.subprocess.Process | None = None
    starts: int = 0

    @property
    def name(self) -> str:
        """Worlds share an OpenBao, and no hosts."""
        return f"{HOST}.{self.world.issuer_name}.example.org"

    @property
    def socket(self) -> Path:
        """Where the agent listens."""
        return self.hall / "agent.sock"

    @property
    def file(self) -> Path:
        """Where the person finds the token."""
        return self.hall / str(NOBODY[0]) / f"bt_u{NOBODY[0]}"

    def write_settings(self) -> None:
        """As docs/sessions.md says."""
        (self.hall / "sessions.yaml").write_text(
            f"broker: {self.broker.url}\n"
            f"ca_file: {self.world.authority.ca_file}\n"
            f"state_folder: {self.hall}/state\n"
            f"socket: {self.socket}\n"
            f"sessions_folder: {self.hall}\n"
        )

    async def run(self, *arguments: str) -> str:
        """Run a command as root; return what it answers."""
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "credbroker", *arguments,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(child.communicate(), 30)
        assert child.returncode == 0, err.decode()
        return out.decode()

    async def join(self) -> None:
        """Have the operator invite this host, and join."""
        token = await self.run("admin", "host-join", self.name, "--config", str(self.broker.folder))
        (self.hall / "join").write_text(token)
        (self.hall / "join").chmod(0o600)
        await self.run("agent", "--sessions", "--settings", self._settings, "--join",
                       str(self.hall / "join"))  # fmt: skip

    async def start(self) -> None:
        """Start the agent; return when people can reach it."""
        self.starts += 1
        with (self.hall / "agent.log").open("ab") as log:
            self.agent = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "credbroker", "agent", "--sessions",
                "--settings", self._settings, stderr=log,
            )  # fmt: skip
        await self.world.until(self._is_up)

    async def end(self, how: signal.Signals) -> int:
        """Send the agent a signal; return its exit code."""
        assert self.agent is not None
        self.agent.send_signal(how)
        return await asyncio.wait_for(self.agent.wait(), 15)

    async def person(self, *arguments: str) -> tuple[int, str]:
        """Run a command as the person; return its exit code and all that it says."""
        return await asyncio.to_thread(self._as_person, *arguments, "--socket", str(self.socket))

    def log_in(self, lease: str) -> None:
        """Put the person's lease file there, as a login on this host does."""
        home = self.hall / "home"
        home.mkdir(mode=0o700)
        os.chown(home, *NOBODY)
        login = LeaseFile(
            broker=self.broker.url,
            lease_token=Secret("lease token", lease),
            issuer=self.world.issuer_name,
            role="default",
            credkey="alice",
            scopes=[NARROW],
            lease_ends_at=self.world.clock.now().replace(year=2099),
            ca_pem=self.world.authority.ca_file.read_text(),
        )
        with rights_of(NOBODY):
            environ = {"XDG_STATE_HOME": str(home)}
            lease_file.make_leases_folder(environ, SystemEntropy())
            path = lease_file.person_path(environ, login.issuer, login.role)
        lease_file.write(path, login, SystemEntropy())
        os.chown(path, *NOBODY)

    def mints(self) -> int:
        """Return how many tokens the broker has given out."""
        return sum(line["event"] == "token_minted" for line in self.world.audit_lines())

    @property
    def _settings(self) -> str:
        return str(self.hall / "sessions.yaml")

    def _is_up(self) -> bool:
        assert self.agent is not None
        assert self.agent.returncode is None, (self.hall / "agent.log").read_text()
        return (self.hall / "agent.log").read_text().count(" serving ") == self.starts

    def _as_person(self, *arguments: str) -> tuple[int, str]:
        reads, writes = os.pipe()
        child = os.fork()
        if child == 0:
            said, code = io.StringIO(), 1
            try:
                with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                    os.environ["XDG_STATE_HOME"] = str(self.hall / "home")
                    os.setgroups([])
                    os.setresgid(NOBODY[1], NOBODY[1], NOBODY[1])
                    os.setresuid(NOBODY[0], NOBODY[0], NOBODY[0])
                    code = main([arguments[0], "--debug", *arguments[1:]])
            finally:  # whatever happens, this is not a second run of the tests
                os.write(writes, said.getvalue().encode())
                os._exit(code)
        os.close(writes)
        with os.fdopen(reads) as said_there:
            text = said_there.read()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


@pytest.fixture
async def login_host(
    hall: Path, broker_world: BrokerWorld, unused_tcp_port: int
) -> AsyncIterator[LoginHost]:
    """A host that has joined, with its agent up."""
    broker = await broker_world.serve(port=unused_tcp_port)
    host = LoginHost(hall, broker_world, broker)
    host.write_settings()
    await host.join()
    await host.start()
    yield host
    if host.agent is not None and host.agent.returncode is None:
        await host.end(signal.SIGKILL)


async def test_from_a_join_token_to_a_fresh_file_and_back(login_host: LoginHost) -> None:
    """Ordered by the person, consented to, there after the login, kept over a kill, taken back."""
    world = login_host.world
    login_host.log_in(await login_host.broker.log_in())
    code, said = await login_host.person(
        "deliver", "new", "--scope", NARROW, "--audience", "https://se", "--yes"
    )
    assert code == 0, said
    for part in (login_host.name, f"uid {NOBODY[0]}", NARROW, "https://se"):
        assert part in said
    assert login_host.mints() == 0

    move_in(login_host.hall, EVE)
    move_in(login_host.hall, NOBODY)
    await world.until(login_host.file.exists)
    found = login_host.file.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (*NOBODY, 0o600)
    content = login_host.file.read_text()
    token = read_access_token(Secret("access token", content), world.clock.now())
    assert token.scopes.texts() == [NARROW]
    assert token.audiences == ("https://se",)
    assert list((login_host.hall / str(EVE[0])).iterdir()) == []

    assert await login_host.end(signal.SIGKILL) == -signal.SIGKILL
    mints = login_host.mints()
    await login_host.start()
    async with asyncio.timeout(15):  # until the agent knows again what stands
        while f"here in {login_host.file}" not in said:
            code, said = await login_host.person("deliver", "list")
            assert code == 0, said
            assert login_host.name in said
    order = said.split()[0]
    log = login_host.hall / "agent.log"
    assert (login_host.mints(), login_host.file.read_text()) == (mints, content)

    code, said = await login_host.person("deliver", "end", order)
    assert code == 0, said
    assert "You have no orders" in (await login_host.person("deliver", "list"))[1]
    assert login_host.file.read_text() == content
    assert await login_host.end(signal.SIGTERM) == 0
    assert "told to stop" in log.read_text()
    for secret in (content, "cb_", "ch_", "cc_", "cj_"):
        assert secret not in log.read_text()


async def test_a_host_with_a_certificate_needs_no_join(
    hall: Path, broker_world: BrokerWorld, unused_tcp_port: int
) -> None:
    """It shows it where it says who it is; one that is not listed is refused in words."""
    authority = HostAuthority(broker_world.folder)
    broker = await broker_world.serve(
        port=unused_tcp_port,
        hosts={"ca_file": str(authority.ca_file), "names": ["lx*.example.org"]},
    )
    names = {}
    for name in ("lx7.example.org", "db1.example.org"):
        certificate = authority.issue(name)
        wanted = SessionsSettings(
            broker=broker.url,
            ca_file=broker_world.authority.ca_file,
            certificate=Tls(certificate_file=certificate, key_file=certificate),
            state_folder=hall,
        )
        with contextlib.suppress(NotAllowed):
            async with command.host_at(wanted, lambda: None) as host:
                names[name] = await host.name()
                assert await host.standing() == []
    assert names == {"lx7.example.org": "lx7.example.org"}


async def test_nobody_orders_for_somebody_else(login_host: LoginHost) -> None:
    """A person without a login is sent to log in; another's order is not there for root either."""
    code, said = await login_host.person(
        "deliver", "new", "--scope", NARROW, "--audience", "https://se", "--yes"
    )
    assert code == 4, said
    assert "credbroker login" in said
    code, said = await login_host.person("deliver", "end", "no-such-order")
    assert code == 2, said
