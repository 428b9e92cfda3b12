"""A job's agent as a process of its own, killed wherever it hurts, against a real broker and OpenBao.

The agents here renew at once, three times, instead of every half hour; all else is the product's.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import ssl
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from credbroker.delivery import lease_file
from credbroker.delivery.lease_file import LeaseFile
from credbroker.domain.leases import LeaseToken
from credbroker.domain.secret import Secret
from credbroker.domain.starts import mark_of, next_secret
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.wire import native

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.broker_world import Asked, BrokerWorld, Served

SCOPE, AUDIENCE = "storage.read:/job", "https://se"
POINTS = 20 + 14 + 14
"""Before and after: a request, and three swaps of files with two flushes each; the token's swap once."""
POINTS_OF_A_FOLLOWER = 14 + 14 + 14
"""It may begin with the pair that it finds, and writes that down once less."""
NEVER = -1

# Runs the agent's command, renews three times without waiting, and dies at the given point.
DRIVER = """
import os, sys
from credbroker.__main__ import main
from credbroker.client.blocking import Door
from credbroker.edge.job import keeping
from credbroker.edge.plan import Renew, Stop

dies_at, passed, renewed = int(sys.argv[1]), 0, 0

def point():
    global passed
    if passed == dies_at:
        os.kill(os.getpid(), 9)
    passed += 1

def around(deed):
    def done(*args, **more):
        point()
        result = deed(*args, **more)
        point()
        return result
    return done

def at_once(now, held, failed, spread):
    global renewed
    if failed is not None:
        return Stop(failed.error)
    if renewed == 3:
        raise KeyboardInterrupt
    renewed += 1
    return Renew()

os.fsync, os.rename, Door.send = around(os.fsync), around(os.rename), around(Door.send)
keeping.next_step = at_once
code = main(sys.argv[2:])
print(passed)
sys.exit(code)
"""


@dataclass(frozen=True)
class Ended:
    """How an agent ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass
class Job:
    """One job: its lease, and the sandbox that it runs in."""

    broker: Asked
    lease: LeaseFile
    folder: Path

    @property
    def path(self) -> Path:
        """Its lease file."""
        return self.folder / "lease.json"

    async def agent(self, dies_at: int = NEVER, folder: Path | None = None) -> Ended:
        """Run an agent to its end, or to its death."""
        folder = folder or self.folder
        return await run(
            sys.executable, "-c", DRIVER, str(dies_at),
            "agent", "--job", str(folder / "lease.json"), "--token-file", str(folder / "token"),
        )  # fmt: skip

    def copied(self, *, only_lease: bool = False) -> Path:
        """Return a folder with all that lies in the sandbox, as a thief copies it."""
        stolen = self.folder.with_name(f"stolen-from-{self.folder.name}")
        stolen.mkdir()
        if only_lease:
            shutil.copy2(self.path, stolen)
        else:
            shutil.copytree(self.folder, stolen, dirs_exist_ok=True)
        return stolen

    async def starts(self) -> int:
        """Return how often the broker says that the job was started."""
        shown = await self.broker.ask("GET", native.LEASE_SELF, self.lease.lease_token.reveal())
        assert shown.status == 200, shown
        return len(shown.json["starts"])


async def run(*words: str, environ: dict[str, str] | None = None) -> Ended:
    """Run a program to its end."""
    child = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], **(environ or {})},
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            out, err = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode is not None
    return Ended(child.returncode, out.decode(), err.decode())


async def job_of(broker: Asked, login: str, folder: Path, name: str) -> Job:
    """Make a job's lease and put its file into a sandbox."""
    world = broker.world
    token = await broker.job_lease(login, job=name, scopes=[SCOPE], audiences=[AUDIENCE], starts=3)
    lease = LeaseFile(
        broker=broker.url,
        lease_token=Secret("lease token", token),
        issuer=world.issuer_name,
        role="default",
        credkey="alice",
        scopes=[SCOPE],
        audiences=[AUDIENCE],
        lease_ends_at=SystemClock().now().replace(year=2099, day=1, microsecond=0),
        job=name,
        ca_pem=world.authority.ca_file.read_text(),
        starts=3,
    )
    (folder / name).mkdir()
    lease_file.write(folder / name / "lease.json", lease, SystemEntropy())
    return Job(broker, lease, folder / name)


@pytest.fixture
async def served(broker_world: BrokerWorld, unused_tcp_port: int) -> Served:
    """A broker in a process of its own."""
    return await broker_world.serve(port=unused_tcp_port)


@pytest.mark.slow
async def test_an_agent_killed_at_every_point_is_followed_by_one_that_goes_on(
    served: Served, tmp_path: Path
) -> None:
    """Agent after agent in one sandbox, each killed at another point: one login, one start, no alarm."""
    job = await job_of(served, await served.log_in(), tmp_path, "job-1")
    ends = [await job.agent(dies_at) for dies_at in range(POINTS)]
    assert {one.code for one in ends} <= {-9, 0}, ends
    assert sum(one.code == -9 for one in ends) >= POINTS_OF_A_FOLLOWER
    last = await job.agent()
    assert last.code == 0, last.err
    assert (job.folder / "token").exists()
    assert await job.starts() == 1
    events = [line["event"] for line in served.world.audit_lines()]
    assert events.count("job_started") == 1
    assert events.count("secret_reused") == 0
    assert events.count("login") <= 1


@pytest.mark.slow
@pytest.mark.parametrize("dies_at", [5, 6, 7, 8, 26, 27, 28, 29])
async def test_each_of_these_points_is_the_end_of_an_agent_and_of_nothing_else(
    served: Served, tmp_path: Path, dies_at: int
) -> None:
    """Around each sending and answer: a job of its own, whose next agent needs nobody's help."""
    job = await job_of(served, await served.log_in(), tmp_path, "job-1")
    assert (await job.agent(dies_at)).code == -9
    after = await job.agent()
    assert after.code == 0, after.err
    assert await job.starts() == 1


@pytest.mark.slow
@pytest.mark.parametrize("only_lease", [True, False])
async def test_a_thief_is_caught_and_only_the_jobs_own_lease_ends(
    served: Served, tmp_path: Path, only_lease: bool
) -> None:
    """He goes on from a copy; the job's next renewal is the alarm, told to both and on the trail."""
    login = await served.log_in()
    job, other = [await job_of(served, login, tmp_path, name) for name in ("job-1", "job-2")]
    assert (await job.agent(dies_at=27)).code == -9
    stolen = job.copied(only_lease=only_lease)
    assert (await job.agent(folder=stolen)).code == 0
    for caught in (await job.agent(), await job.agent(folder=stolen)):
        assert caught.code == 4, caught.err
        assert "copied" in caught.err
        assert "credbroker job new" in caught.err
    assert (await other.agent()).code == 0
    assert (await served.token(login)).status == 200
    (alarm,) = [one for one in served.world.audit_lines() if one["event"] == "secret_reused"]
    assert (alarm["job"], alarm["address"]) == ("job-1", "127.0.0.1")


@pytest.mark.slow
async def test_a_broker_killed_while_a_job_asks_costs_the_job_nothing(
    served: Served, tmp_path: Path
) -> None:
    """It is killed while agents ask, and started again: they show the same pair to the new one."""
    job = await job_of(served, await served.log_in(), tmp_path, "job-1")

    async def kill_and_start() -> None:
        await served.world.until((job.folder / ".credbroker").exists)
        await served.kill()
        await served.start("served")

    for _ in range(3):
        await asyncio.gather(job.agent(), kill_and_start())
    last = await job.agent()
    assert last.code == 0, last.err
    assert await job.starts() == 1


async def test_a_replica_that_was_stopped_acts_on_no_request_whose_sender_has_gone(
    served: Served,
) -> None:
    """SIGSTOP keeps it in its buffers, while the job asks another replica, twice and again."""
    world = served.world
    other = await world.replica("two")
    token = LeaseToken.parse(await served.job_lease(await served.log_in(), starts=2))
    mark = mark_of(token.secret)
    secrets = [token.secret, *(next_secret(mark, f"{number:027d}") for number in range(5))]

    async def step(number: int) -> bool:
        shown, body = _asked(token.id, secrets[number], secrets[number + 1])
        return bool((await other.ask("POST", native.TOKENS, shown, body)).json["next_taken"])

    trust = ssl.create_default_context(cafile=str(world.authority.ca_file))
    address = served.url.removeprefix("https://").partition(":")
    _, writer = await asyncio.open_connection(address[0], int(address[2]), ssl=trust)
    assert await step(0)
    assert served.child is not None
    served.child.send_signal(signal.SIGSTOP)
    try:
        shown, body = _asked(token.id, secrets[1], secrets[2])
        content = json.dumps(body)
        writer.write(
            f"POST {native.TOKENS} HTTP/1.1\r\nHost: {address[0]}\r\nAuthorization: Bearer {shown}\r\n"
            f"Content-Length: {len(content)}\r\n\r\n{content}".encode()
        )
        await writer.drain()
        writer.transport.abort()
        assert [await step(number) for number in (1, 2, 3)] == [True] * 3
    finally:
        served.child.send_signal(signal.SIGCONT)
    await world.until(
        lambda: "no_step_taken" in served.said() or "store_unavailable" in served.said()
    )
    assert await step(4)
    assert "secret_reused" not in [line["event"] for line in world.audit_lines()]


def _asked(lease_id: str, present: Secret, following: Secret) -> tuple[str, dict[str, str]]:
    """Return the lease token that is shown, and the body of the request."""
    shown = LeaseToken(lease_id, present).text().reveal()
    return shown, {"next_hash": following.digest()}


async def test_two_replicas_that_are_asked_the_same_at_once_take_one_step(
    broker_world: BrokerWorld,
) -> None:
    """With a real OpenBao between them."""
    one, two = await broker_world.replica("one"), await broker_world.replica("two")
    token = LeaseToken.parse(await one.job_lease(await one.log_in(), starts=1))
    secrets = [token.secret, *(Secret("lease", f"{number:043d}") for number in range(5))]
    for present, following in itertools.pairwise(secrets):
        shown = LeaseToken(token.id, present).text().reveal()
        body = {"next_hash": following.digest()}
        asked = [broker.ask("POST", native.TOKENS, shown, body) for broker in (one, two) * 3]
        answers = await asyncio.gather(*asked)
        assert {(one.status, one.json["next_taken"]) for one in answers} == {(200, True)}
    stranger = LeaseToken(token.id, Secret("lease", "x" * 43)).text().reveal()
    refused = await two.ask("POST", native.TOKENS, stranger, {"next_hash": "0" * 64})
    assert refused.error == "lease_unknown"
    again = await two.ask("POST", native.TOKENS, token.text().reveal(), {"next_hash": "0" * 64})
    assert (again.error, "started 1 times" in again.json["message"]) == ("not_allowed", True)


async def test_no_other_door_gives_a_token_for_a_secret_that_is_used_once(
    broker_world: BrokerWorld,
) -> None:
    """Neither a request that names no next secret, nor a batch, nor HTVault's."""
    broker = await broker_world.replica()
    token = await broker.job_lease(await broker.log_in(), starts=3)
    plainly = await broker.ask("POST", native.TOKENS, token, {})
    assert (plainly.status, plainly.error) == (403, "not_allowed")
    batch = await broker.ask("POST", native.TOKENS_BATCH, "", {"entries": [{"lease_token": token}]})
    assert batch.json["entries"][0]["problem"]["error"] == "not_allowed"
    path = f"/v1/secret/oauth/creds/{broker_world.issuer_name}/alice:default"
    read = await broker.ask("GET", path, headers={"X-Vault-Token": token})
    assert read.status >= 400
    assert b"access_token" not in read.body
    shorter = await broker.ask(
        "POST", "/v1/auth/token/create", body={}, headers={"X-Vault-Token": token}
    )
    assert shorter.status >= 400


@pytest.mark.slow
async def test_a_program_under_its_agent_reads_a_token_of_a_real_broker(
    served: Served, tmp_path: Path
) -> None:
    """`agent --job FILE -- PROGRAM`, as a batch system starts it; `job show` tells of the start."""
    job = await job_of(served, await served.log_in(), tmp_path, "job-1")
    credbroker = (sys.executable, "-m", "credbroker")
    ended = await run(
        *credbroker, "agent", "--job", str(job.path), "--",
        sys.executable, "-c", "import os; print(open(os.environ['BEARER_TOKEN_FILE']).read()); exit(3)",
    )  # fmt: skip
    assert ended.code == 3, ended.err
    assert ended.out.count(".") == 2
    assert [one.name for one in (job.folder / ".credbroker").iterdir()] == ["lease.json.state"]
    shown = await run(*credbroker, "job", "show", str(job.path))
    assert "Started 1 times, of 3" in shown.out
    assert "from 127.0.0.1" in shown.out
    state = json.loads((job.folder / ".credbroker" / "lease.json.state").read_text())
    trail = json.dumps(served.world.audit_lines())
    assert not [one for one in state.values() if one.partition(".")[2] in trail]
