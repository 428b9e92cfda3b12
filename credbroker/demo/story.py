"""The demo's plot: a person logs in once, and a job has a good token whatever happens around it.

Nothing is said to have held before it was looked at. Refresh tokens are searched for while the job
runs, before the logout takes files away, and at the very end.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from credbroker.demo.report import Report
from credbroker.demo.stage import ALICE, Stage, StageError

T = TypeVar("T")

JOB_SCOPE = "storage.read:/home/alice"
JOB_AUDIENCE = "https://se.example.org"
_STEP_SECONDS = 40.0
_END_SECONDS = 10.0
_POLL_SECONDS = 0.1
_CODE = re.compile(r"\b(?=[A-Z0-9]*[A-Z])([A-Z0-9]{6})\b")

_IN_VAIN = re.compile(r"credbroker-agent: (?:kept|unchanged) ")


@dataclass(frozen=True, slots=True)
class Outage:
    """How long the issuer was away, in seconds, and how often the agent asked in vain meanwhile."""

    seconds: float
    asked_in_vain: int


@dataclass(frozen=True, slots=True)
class End:
    """What the job saw, by its own account; how its agent ended; whether the token file is gone."""

    seen: dict[str, Any]
    agent_exit_code: int
    token_file_gone: bool


class Story:
    """Plays the demo on a stage and tells it line by line."""

    def __init__(self, stage: Stage, say: Callable[[str], None]) -> None:
        """Play on `stage`, telling each step through `say`."""
        self._stage = stage
        self._say = say
        self._agent: subprocess.Popen[bytes] | None = None
        self._reader: subprocess.Popen[bytes] | None = None
        self._restarts = 0
        self._renewals_told = 0

    @property
    def _agent_log(self) -> Path:
        return self._stage.logs / "agent.log"

    async def play(self, *, log_out: bool) -> Report:
        """Tell the whole story and return its figures."""
        started = self._stage.clock.elapsed()
        await self._set_up()
        await self._log_in()
        await self._start_job()
        await self._until_renewals(2)
        await self._crash_broker()
        await self._until_renewals(3)
        outage = await self._issuer_outage()
        await self._until_renewals(5)
        self._look_around()
        end = await self._end_job()
        self._look_around()
        if log_out:
            await self._log_out()
        return Report(
            samples=end.seen["samples"],
            invalid_samples=end.seen["invalid_samples"],
            renewals=end.seen["renewals"],
            issuer_refreshes=self._stage.issuer.count_refreshes(),
            broker_restarts=self._restarts,
            outage_seconds=round(outage.seconds, 1),
            refresh_token_found_outside=self.search(),
            seconds=round(self._stage.clock.elapsed() - started, 1),
            longest_gap_seconds=end.seen["longest_gap_seconds"],
            asked_in_vain=outage.asked_in_vain,
            agent_exit_code=end.agent_exit_code,
            token_file_gone=end.token_file_gone,
        )

    async def _set_up(self) -> None:
        await self._stage.open()
        self._say("OpenBao runs (raft storage, TLS), and so does a small token issuer")
        await self._stage.start_broker()
        self._say(f"the broker answers at {self._stage.broker_url}")

    async def _log_in(self) -> None:
        self._say("alice types: credbroker login demo")
        login = self._stage.start("login", "login", "demo")
        log = self._stage.logs / "login.log"
        code = await self._until(lambda: _user_code(log), "the login showed no code")
        self._say(f"she is shown a web address and the code {code}; she signs in and says yes")
        self._stage.issuer.approve(code, ALICE.name)
        if await asyncio.to_thread(login.wait, 30) != 0:
            raise StageError(f"The login failed; see {log}")
        held = self._held_in_vault()
        self._say(f"her refresh token is in OpenBao ({held} record), and she has a lease, no token")
        path = (await self._run("token", "--minimum", "5")).strip()
        self._say(f"credbroker token gives her a short-lived one, in .../{Path(path).name}")

    async def _start_job(self) -> None:
        sandbox = self._stage.sandbox
        lease, token_file = sandbox / "lease.json", sandbox / "bearer_token"
        await self._run(
            "job", "new", "--job", "job 1", "--scope", JOB_SCOPE, "--audience", JOB_AUDIENCE,
            "--for", "1h", "--out", str(lease),
        )  # fmt: skip
        self._say(f"a job gets a lease that is good for {JOB_SCOPE} at {JOB_AUDIENCE} alone")
        jwks = sandbox / "jwks.json"
        jwks.write_text(json.dumps(self._stage.issuer.keys.jwks()))
        self._reader = self._stage.start_python(
            "reader", "credbroker.demo.reader", str(token_file), "--jwks", str(jwks),
            "--scope", JOB_SCOPE, "--audience", JOB_AUDIENCE,
        )  # fmt: skip
        self._agent = self._stage.start(
            "agent", "agent", "--job", str(lease), "--token-file", str(token_file),
            "--while-pid", str(self._reader.pid),
        )  # fmt: skip
        await self._until(token_file.exists, "the agent wrote no token")
        self._say("its token file is there; the job reads and checks it every 50 ms from now on")

    async def _crash_broker(self) -> None:
        self._say("kill -9 to the broker: the file stays as it is")
        self._stage.kill_broker()
        await self._stage.clock.sleep(1.0)
        await self._stage.start_broker()
        self._restarts += 1
        self._say("the broker is back; all it needs is in OpenBao")

    async def _issuer_outage(self) -> Outage:
        seconds, clock, log = self._stage.pace.outage_seconds, self._stage.clock, self._agent_log
        self._say(f"the issuer goes away for {seconds:.0f} s, just after a renewal")
        await self._stage.issuer.go_dark()
        before, since = times_in_vain(log.read_text()), clock.elapsed()
        await clock.sleep(seconds)
        outage = Outage(clock.elapsed() - since, times_in_vain(log.read_text()) - before)
        await self._stage.issuer.come_back()
        self._say(f"the issuer is back; the agent had asked {outage.asked_in_vain}x in vain")
        return outage

    async def _until_renewals(self, count: int) -> None:
        """Wait until the agent has renewed `count` times, and tell each."""
        log = self._agent_log
        for number in range(self._renewals_told + 1, count + 1):
            await self._until(
                lambda: _renewals(log) > self._renewals_told, "the agent did not renew in time"
            )
            self._renewals_told = number
            self._say(f"renewal {number}: the agent put a new token in place of the old one")

    def _look_around(self) -> None:
        """Keep all files, and the command lines of everything that runs, for the search."""
        self._stage.canaries.search_arguments(self._stage.pids, environment=False)
        # OpenBao's own files are still there at the end, and looked at then.
        self._stage.canaries.search_folder(self._stage.folder, ["openbao"])

    async def _end_job(self) -> End:
        """End the job; the agent notices, takes the file away and ends too."""
        assert self._reader is not None
        assert self._agent is not None
        self._reader.terminate()
        await self._ended("the job", self._reader)
        seen = json.loads((self._stage.logs / "reader.log").read_text().splitlines()[-1])
        code = await self._ended("the agent", self._agent)
        gone = not (self._stage.sandbox / "bearer_token").exists()
        self._say("the job ends" + ("; the agent takes the token file away and ends" * gone))
        for fault in seen["faults"]:
            self._say(f"  the job found: {fault}")
        if not seen["invalid_samples"]:
            self._say("by its own account the job noticed nothing of crash and outage")
        return End(seen, code, gone)

    async def _ended(self, name: str, child: subprocess.Popen[bytes]) -> int:
        """Return the exit code of what has been told to end."""
        try:
            return await asyncio.to_thread(child.wait, _END_SECONDS)
        except subprocess.TimeoutExpired:
            raise StageError(f"In {_END_SECONDS:.0f} s {name} did not end.") from None

    async def _log_out(self) -> None:
        told = await self._run("logout")
        self._say("alice types: credbroker logout")
        for line in told.splitlines():
            self._say(f"  {line}")

    def search(self) -> int:
        """Return in how many places a refresh token was seen, of all that the run was and left."""
        for value in self._stage.issuer.refresh_tokens_issued:
            self._stage.canaries.plant("refresh token", value)
        # OpenBao's own files are no exception: what it stores there is encrypted.
        self._stage.canaries.search_folder(self._stage.folder)
        sightings = self._stage.canaries.report()
        for sighting in sightings:
            self._say(f"  {sighting}")
        return len(sightings)

    def _held_in_vault(self) -> int:
        """Return how many grants OpenBao keeps, as the broker's own login sees it."""
        client = self._stage.openbao.broker_client()
        path = f"{self._stage.openbao.mount}/metadata/grants"
        return len(client.adapter.request("LIST", f"v1/{path}")["data"]["keys"])

    async def _run(self, *words: str) -> str:
        """Run one of alice's commands to its end; return all it said."""
        name = words[0]
        child = self._stage.start(name, *words)
        if await asyncio.to_thread(child.wait, 30) != 0:
            raise StageError(f"credbroker {name} failed; see {self._stage.logs / name}.log")
        return (self._stage.logs / f"{name}.log").read_text()

    async def _until(self, found: Callable[[], T], complaint: str) -> T:
        """Wait until `found` gives something true, and return that."""
        ends = self._stage.clock.elapsed() + _STEP_SECONDS
        while self._stage.clock.elapsed() < ends:
            if it := found():
                return it
            await self._stage.clock.sleep(_POLL_SECONDS)
        raise StageError(f"The demo waited for {_STEP_SECONDS:.0f} s: {complaint}.")


def _user_code(log: Path) -> str:
    match = _CODE.search(log.read_text())
    return match.group(1) if match else ""


def times_in_vain(agent_log: str) -> int:
    """Return how often an agent asked and was given nothing newer than what it had."""
    return len(_IN_VAIN.findall(agent_log))


def _renewals(log: Path) -> int:
    return log.read_text().count("credbroker-agent: renewed ")
