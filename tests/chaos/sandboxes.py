"""Jobs' sandboxes: a real agent in each, and a look at its token file twenty times a second.

A file that held a good token must hold a good one, whole and private, at every look until that
token's own end; after that, while there is nothing to be had, it may be anything but open to others.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from credbroker.wire import native
from tests.chaos.disks import SmallDisk

if TYPE_CHECKING:
    from tests.chaos.people import Member
    from tests.chaos.world import World

LOOK_SECONDS = 0.05
_AGAIN_SECONDS = 2.0
_DISK_KIB = 64
# No broker's clock is off by as much.
_LEASE_SECONDS = 6 * 86400
SCOPE, AUDIENCE = "storage.read:/job", "https://se.example.org"


@dataclass
class Sandbox:
    """One job: its person, its folder, its agent."""

    member: Member
    disk: SmallDisk
    home: Path
    keys: KeySet
    child: asyncio.subprocess.Process | None = None
    samples: int = 0
    good_samples: int = 0
    good_until: float = 0.0
    tokens: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    _known: tuple[str, dict[str, Any] | None] = ("", None)

    @property
    def token_file(self) -> Path:
        """What the job reads."""
        return self.disk.folder / "bearer_token"

    @property
    def log_file(self) -> Path:
        """What the agent says."""
        return self.home / "agent.log"

    def failures(self) -> int:
        """Return how often the agent has said that it could not write the file."""
        said = self.log_file.read_text() if self.log_file.exists() else ""
        return said.count("cannot be written")

    def look(self, now: float) -> None:
        """Look at the file once; `now` is in seconds since the epoch."""
        self.samples += 1
        fault, claims = self._read()
        if claims is not None and claims["nbf"] <= now < claims["exp"] and not fault:
            self.good_samples += 1
            self.good_until = float(claims["exp"])
            self.tokens.add(str(claims["jti"]))
        elif now < self.good_until or fault == _OPEN:
            self.faults.append(fault or "the token is not in force")

    def _read(self) -> tuple[str, dict[str, Any] | None]:
        try:
            if stat.S_IMODE(self.token_file.stat().st_mode) != 0o600:
                return _OPEN, None
            text = self.token_file.read_text("ascii")
        except (OSError, ValueError) as error:
            return f"the file cannot be read ({type(error).__name__})", None
        if text != self._known[0]:
            self._known = (text, self._decoded(text))
        claims = self._known[1]
        if claims is None:
            return "no token with a good signature is in the file", None
        if (claims["scope"], claims["aud"]) != (SCOPE, AUDIENCE):
            return "the token is for another right", claims
        return "", claims

    def _decoded(self, text: str) -> dict[str, Any] | None:
        try:
            return jwt.decode(text, self.keys, algorithms=["RS256", "ES256"]).claims
        except (JoseError, ValueError):
            return None


_OPEN = "the file is not private"


class Sandboxes:
    """All jobs of a campaign; the first one has a disk that can be filled."""

    def __init__(self, world: World) -> None:
        """Have as many as the pace says, each for another person."""
        self._world = world
        members = world.people.members
        step = max(1, len(members) // max(1, world.pace.sandboxes))
        chosen = members[::step][: world.pace.sandboxes]
        self.all = [self._sandbox(number, member) for number, member in enumerate(chosen)]

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Let agents run and watch their files."""
        for number, sandbox in enumerate(self.all):
            tasks.create_task(self._watch(sandbox))
            tasks.create_task(self._keep_running(sandbox, number))

    async def close(self) -> None:
        """End every agent."""
        for sandbox in self.all:
            if sandbox.child is not None and sandbox.child.returncode is None:
                sandbox.child.kill()
                await sandbox.child.wait()
            sandbox.disk.close()

    def _sandbox(self, number: int, member: Member) -> Sandbox:
        home = self._world.folder / f"job-{number}"
        home.mkdir(mode=0o700)
        disk = SmallDisk(home / "sandbox", _DISK_KIB)
        disk.open()
        keys = KeySet.import_key_set(json.loads(json.dumps(member.house.issuer.keys.jwks())))
        return Sandbox(member, disk, home, keys)

    async def _watch(self, sandbox: Sandbox) -> None:
        while True:
            sandbox.look(self._world.clock.now().timestamp())
            await self._world.clock.sleep(LOOK_SECONDS)

    async def _keep_running(self, sandbox: Sandbox, number: int) -> None:
        """Start the agent, and a new one under a new lease whenever it has ended."""
        brokers = list(self._world.fleet.brokers.values())
        broker = brokers[number % len(brokers)]
        while True:
            if await self._made_lease(sandbox, broker.url):
                with sandbox.log_file.open("ab") as log:
                    sandbox.child = await asyncio.create_subprocess_exec(
                        sys.executable, "-m", "credbroker", "agent",
                        "--job", str(sandbox.home / "lease.json"),
                        "--token-file", str(sandbox.token_file),
                        stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                        env={"PATH": os.defpath, "HOME": str(sandbox.home)},
                        start_new_session=True,
                    )  # fmt: skip
                await sandbox.child.wait()
            await self._world.clock.sleep(_AGAIN_SECONDS)

    async def _made_lease(self, sandbox: Sandbox, url: str) -> bool:
        broker, member = self._world.any_well(), sandbox.member
        if broker is None or not member.lease:
            return False
        asked = {
            "job": "job 1", "scopes": [SCOPE], "audiences": [AUDIENCE], "lifetime_seconds": _LEASE_SECONDS,
        }  # fmt: skip
        said = await self._world.people.ask(broker, native.LEASES, member.lease, asked)
        if said is None or said.status != 201:
            return False
        lease = sandbox.home / "lease.json"
        lease.unlink(missing_ok=True)
        lease.touch(mode=0o600)
        content = {
            "broker": url, "lease_token": said.body["lease_token"], "issuer": member.house.name,
            "role": "default", "credkey": member.person, "scopes": [SCOPE],
            "audiences": [AUDIENCE], "lease_ends_at": said.body["ends_at"], "job": "job 1",
        }  # fmt: skip
        lease.write_text(json.dumps(content))
        return True
