"""What README and docs show is tried out: shell blocks run as they stand, settings are served.

The addresses and folders on the pages stand for real ones here: an OpenBao server without any set-up,
a development issuer, a broker that `credbroker serve` starts from the README's own settings. The
test plays the person who confirms a login.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
import yaml

from credbroker.config.load import load, read_secret, secret_files
from credbroker.demo.issuer import (
    Client,
    DevIssuer,
    Endpoint,
    IssuerSettings,
    Person,
    RefreshPolicy,
)
from credbroker.demo.openbao import find_binary
from credbroker.demo.ports import free_port
from credbroker.demo.private_files import write_private
from credbroker.domain.secret import Secret
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.wire.jwt import read_access_token
from tests.fixtures_openbao import admin_hvac

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from credbroker.demo.certificates import Authority
    from credbroker.demo.openbao import OpenBaoServer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
OPERATIONS = ROOT / "docs" / "operations.md"
JOBS = ROOT / "docs" / "jobs.md"
MIGRATION = ROOT / "docs" / "migrate-from-htvault.md"
PERSON = ROOT / "docs" / "howto" / "person.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
CHECKED = {"sh", "yaml", "text"}
# Read by test_tutorial.py, test_install_page.py and test_client_page.py beside this file, by
# tests/unit/edge/test_list_file.py, tests/unit/admin/test_issuing_page.py,
# tests/unit/config/test_rights_page.py and tests/unit/wire/test_files.py.
ELSEWHERE = {
    "tutorial.md": {"sh"},
    "install.md": {"sh", "ini", "yaml"},
    "client.md": {"python", "sh"},
    "agent.md": {"yaml"}, "issuing.md": {"yaml"}, "rights.md": {"yaml"}, "files.md": {"json"},
}  # fmt: skip
# The settings of both sides, which the tests in tests/interop/neighbours take from there.
NEIGHBOURS = {"text", "yaml", "ini", "python", "json"}

CODE = re.compile(r" {4}([A-Z0-9]{6})")
AUDIENCE = "https://dav.example.org"
PATIENCE_SECONDS = 20.0


def blocks(page: Path, language: str) -> list[str]:
    """Return what stands in fences of this language, in the order of the page."""
    return re.findall(
        rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


@dataclass
class Place:
    """The machine on which the pages are tried out."""

    folder: Path
    issuer: DevIssuer
    openbao: OpenBaoServer
    port: int
    stands_for: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the folders, and say what stands for what is written on the pages."""
        self.etc, self.log = self.folder / "etc", self.folder / "log"
        self.home, self.work = self.folder / "home", self.folder / "work"
        self.bin = self.folder / "bin"
        made = [self.etc / name for name in ("config.d", "secrets", "tls")]
        for folder in (*made, self.log, self.home, self.work, self.bin):
            folder.mkdir(parents=True)
        (self.bin / "credbroker").symlink_to(Path(sys.executable).with_name("credbroker"))
        (self.bin / "bao").symlink_to(find_binary())
        shutil.copy(ROOT / "docs" / "openbao-policy.hcl", self.work)
        (self.work / "analysis").write_text('#!/bin/sh\ncp "$BEARER_TOKEN_FILE" seen\n')
        (self.work / "analysis").chmod(0o755)
        self.stands_for = {
            "/etc/credbroker": str(self.etc),
            "/var/log/credbroker": str(self.log),
            "https://broker.example.org:8200": f"https://127.0.0.1:{self.port}",
            "https://vault.example.org:8200": self.openbao.address,
            "https://issuer.example.org/": self.issuer.url,
        }

    def here(self, text: str) -> str:
        """Put this machine's addresses and folders in the place of those on a page."""
        for written, real in self.stands_for.items():
            text = text.replace(written, real)
        return text

    def environment(self) -> dict[str, str]:
        """Return what commands find in their environment."""
        return {
            "PATH": f"{self.bin}{os.pathsep}{os.defpath}",
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.home),
            "CREDBROKER_CA_FILE": str(self.openbao.ca_file),
            "BAO_ADDR": self.openbao.address,
            "BAO_CACERT": str(self.openbao.ca_file),
        }

    async def play(self, block: str, **more: str) -> str:
        """Run a shell block to its end, with the person's yes to each code; return what it said."""
        shell = await asyncio.create_subprocess_exec(
            "/bin/sh", "-eu", "-c", self.here(block),
            cwd=self.work, env=self.environment() | more, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert shell.stdout is not None
        said = ""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                async for line in shell.stdout:
                    said += line.decode()
                    if shown := CODE.fullmatch(line.decode().rstrip("\n")):
                        self.issuer.approve(shown[1], "alice")
                assert await shell.wait() == 0, said
        finally:
            if shell.returncode is None:
                os.killpg(shell.pid, signal.SIGKILL)
                await shell.wait()
        return said

    def write_settings(self, authority: Authority, client_secret: str) -> None:
        """Put the README's settings in their place, and every file they name."""
        authority.issue("broker", self.etc / "tls")
        shutil.copy(authority.ca_file, self.etc / "tls" / "ca.pem")
        write_private(self.etc / "secrets" / "cms-client", client_secret.encode())
        (example,) = blocks(README, "yaml")
        (self.etc / "config.d" / "broker.yaml").write_text(self.here(example))
        only_here = {
            "listen": {"address": "127.0.0.1", "port": self.port},
            "issuers": {"cms": {"ca_file": str(authority.ca_file)}},
        }
        (self.etc / "config.d" / "only-here.yaml").write_text(yaml.safe_dump(only_here))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Run the README's own `credbroker serve` until SIGTERM, which must end it in good order."""
        lines = [line for block in blocks(README, "sh") for line in block.splitlines()]
        (command,) = [line for line in lines if line.startswith("credbroker serve")]
        with (self.log / "serve.log").open("wb") as log:
            broker = await asyncio.create_subprocess_exec(
                *self.here(command).split(), env=self.environment(), stdout=log, stderr=log
            )
        try:
            await self._until_listening(broker)
            yield
            broker.terminate()
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await broker.wait() == 0
        finally:
            if broker.returncode is None:
                broker.kill()
                await broker.wait()

    async def _until_listening(self, broker: asyncio.subprocess.Process) -> None:
        clock = SystemClock()
        ends = clock.elapsed() + PATIENCE_SECONDS
        while clock.elapsed() < ends and broker.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await clock.sleep(0.05)
                continue
            writer.close()
            return
        raise AssertionError((self.log / "serve.log").read_text())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(
    tmp_path_factory: pytest.TempPathFactory, shared_openbao: OpenBaoServer, authority: Authority
) -> AsyncIterator[Place]:
    """A machine with OpenBao and a broker, both set up by what the pages say."""
    folder, secret = tmp_path_factory.mktemp("docs"), "a secret word of the client"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("issuer", folder))
    settings = IssuerSettings(
        clients=(Client("credbroker", secret),),
        people=(Person("alice", "wonderland"),),
        refresh_policy=RefreshPolicy.ROTATE_REVOKE_FAMILY,
        interval=1,
    )
    issuer = DevIssuer(settings, SystemClock(), SystemEntropy(), ssl_context=context)
    await issuer.start()
    try:
        here = Place(folder, issuer, shared_openbao, free_port(SystemEntropy()))
        await prepare_openbao(here)
        here.write_settings(authority, secret)
        async with here.serving():
            yield here
    finally:
        await issuer.stop()


async def prepare_openbao(here: Place) -> None:
    """Undo the set-up that the fixture's server came with; then do what the page says."""
    admin = admin_hvac(here.openbao)
    admin.delete("sys/mounts/credbroker")
    admin.delete("sys/auth/approle")
    (block,) = [one for one in blocks(OPERATIONS, "sh") if one.startswith("bao ")]
    await here.play(block, BAO_TOKEN=admin.token)


async def test_the_commands_on_the_pages_work_in_their_order(place: Place) -> None:
    """From login to logout, as a person, a job and an operator type them."""
    told = "".join([await place.play(block) for block in played_blocks()])
    assert "Logged in to cms as alice in the role default" in told
    assert "The lease of job run42 is ended." in told
    assert "Started 1 times, of 10 at the most:" in told
    assert "Logged out of cms in the role default." in told
    assert "the settings are right (1 issuer)" in told
    assert '"event": "delivery"' in told  # the job's right is one that was minted for alice before

    seen = Secret("access token", (place.work / "seen").read_text())
    token = read_access_token(seen, SystemClock().now())
    assert (str(token.scopes), token.audiences) == ("storage.read:/store/mc", (AUDIENCE,))
    left = {path.name for folder in (place.work, place.home) for path in folder.rglob("*.json")}
    assert not left
    assert not (place.work / "bearer_token").exists()
    assert place.issuer.journal[-1].endpoint is Endpoint.REVOKE


def played_blocks() -> list[str]:
    """Return what is typed once the broker runs: all but its own start, its set-up, and make."""
    shown = [block for page in (README, PERSON, JOBS, OPERATIONS) for block in blocks(page, "sh")]
    typed = [block for block in shown if not block.startswith(("bao ", "make "))]
    return [re.sub(r"^credbroker serve .*$", "", block, flags=re.MULTILINE) for block in typed]


async def test_the_jobs_wrapper_ends_if_there_can_be_no_token(tmp_path: Path) -> None:
    """Neither a token file of an earlier run nor waiting for ever hides that the agent has ended."""
    (wrapper,) = [block for block in blocks(JOBS, "sh") if "--while-pid" in block]
    (tmp_path / "bearer_token").write_text("of an earlier run")
    for name, script in (("credbroker", "exit 4"), ("analysis", "touch ran")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    shell = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", wrapper, cwd=tmp_path, stderr=subprocess.DEVNULL,
        env={"PATH": f"{tmp_path}{os.pathsep}{os.defpath}"},
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await shell.wait() == 1
    assert not (tmp_path / "ran").exists()


async def test_the_settings_on_the_page_are_right(place: Place) -> None:
    """They load as they stand, and every secret they name can be read."""
    settings = load(place.etc / "config.d")
    assert list(settings.issuers) == ["cms"]
    assert all(read_secret(file, kind) for kind, file in secret_files(settings))


async def test_every_make_command_on_the_pages_exists() -> None:
    """As a target that make knows the way to."""
    typed = [line for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()]
    targets = {line.split()[1] for line in typed if line.startswith("make ")}
    assert {"demo", "test"} <= targets
    tried = await asyncio.create_subprocess_exec(
        "make", "--dry-run", *targets, cwd=ROOT, stdout=subprocess.DEVNULL
    )
    assert await tried.wait() == 0


async def test_every_block_on_the_pages_is_of_a_kind_that_is_checked() -> None:
    """Commands and settings stand nowhere else than on the pages that are tried out."""
    for page in PAGES:
        opened = re.findall(r"^```(.*)$", page.read_text("utf-8"), re.MULTILINE)[::2]
        allowed = CHECKED if page in {README, PERSON, JOBS, OPERATIONS, MIGRATION} else {"text"}
        allowed = allowed | ELSEWHERE.get(page.name, set())
        if page.parent.name == "neighbours":
            allowed = NEIGHBOURS
        assert set(opened) <= allowed, page
