"""A job's secrets on this side: killed anywhere, an agent is followed by one that goes on."""

from __future__ import annotations

import dataclasses
import fcntl
import io
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from credbroker.client.broker import Broker
from credbroker.delivery import whole_file
from credbroker.domain.errors import (
    BrokerUnreachable,
    IssuerUnreachable,
    LeaseEnded,
    LocalFileUnfit,
    NotAllowed,
)
from credbroker.domain.leases import LeaseToken
from credbroker.domain.secret import Secret
from credbroker.domain.starts import Verdict
from credbroker.edge.job import keeping
from credbroker.edge.job.chain import OTHERS_END_SECONDS, Chain, Chained, alone
from credbroker.edge.job.keeping import Agent
from credbroker.edge.job.log import Log
from credbroker.host.entropy import SystemEntropy
from tests.fakes.broker import FakeBroker, lease_token
from tests.fakes.step_clock import StepClock, TrueTime
from tests.unit.edge.job.test_keeping import LEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from credbroker.client.http11 import Answer, Request
    from credbroker.domain.starts import Starts

HOUR = 3600.0
RENEWALS = 3
FIRST = LeaseToken("i" * 22, Secret("lease", "f" * 43))


class Killed(BaseException):
    """What `kill -9` does: nothing runs any more."""


class Deaths:
    """Counts the points at which an agent may die, and kills it at one of them."""

    def __init__(self) -> None:
        """Kill nobody yet."""
        self.passed = 0
        self.at = -1

    def point(self) -> None:
        """Die here, if this is the point."""
        self.passed += 1
        if self.passed - 1 == self.at:
            raise Killed

    def around(self, deed: Callable[..., Any]) -> Callable[..., Any]:
        """Return the deed with a point before it and one after it."""

        def done(*args: Any, **more: Any) -> Any:
            self.point()
            result = deed(*args, **more)
            self.point()
            return result

        return done


@dataclasses.dataclass
class Scene:
    """A job's sandbox, the broker, and deaths to come."""

    clock: StepClock
    broker: FakeBroker
    folder: Path
    first: LeaseToken
    deaths: Deaths
    log: io.StringIO = dataclasses.field(default_factory=io.StringIO)

    @property
    def known(self) -> Starts:
        """What the broker knows of the job."""
        return self.broker.chains[self.first.id]

    def agent(self, folder: Path | None = None) -> Agent:
        """Start an agent with the files that lie there."""
        folder = folder or self.folder
        entropy = SystemEntropy()
        broker = Broker(self.send, self.clock, entropy, self.first.text())
        chain = Chain(self.first, folder / "state", entropy)
        lease = dataclasses.replace(LEASE, lease_token=self.first.text(), starts=3)
        return Agent(
            source=Chained(broker, chain),
            lease=lease,
            path=folder / "token",
            clock=self.clock,
            entropy=entropy,
            say=Log(self.clock, self.log).say,
        )

    def send(self, request: Request) -> Answer:
        """Send a request; the agent may die before, and before it sees the answer."""
        self.deaths.point()
        answer = self.broker(request)
        self.deaths.point()
        return answer

    def renew(self, agent: Agent, times: int = RENEWALS) -> None:
        """Let the agent renew so often; raise if the broker stops it."""
        for _ in range(times):
            self.clock.advance(60)
            agent._renew()
            if agent.failed is not None:
                raise agent.failed.error

    def elsewhere(self) -> Path:
        """Return an empty folder: another sandbox."""
        folder = self.folder.with_name(f"sandbox-{len(list(self.folder.parent.iterdir()))}")
        folder.mkdir()
        return folder


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A job that may start three times; each flush, swap, sending and answer may be its agent's end."""
    monkeypatch.setattr(keeping, "SLICE_SECONDS", 10.0)
    clock, deaths = StepClock(), Deaths()
    monkeypatch.setattr(os, "fsync", deaths.around(lambda _: None))  # quick: no power fails here
    monkeypatch.setattr(os, "rename", deaths.around(os.rename))
    fake = FakeBroker(TrueTime(clock))
    first = LeaseToken.parse(fake.new_lease("run42", starts=3).reveal())
    folder = tmp_path / "sandbox-0"
    folder.mkdir()
    return Scene(clock, fake, folder, first, deaths)


def deaths_of(scene: Scene) -> Iterator[int]:
    """Kill an agent at each point of its first renewals, each in a sandbox and with a job of its own."""
    scene.renew(scene.agent(scene.elsewhere()))
    for at in range(scene.deaths.passed):
        token = scene.broker.new_lease("run42", starts=3)
        scene.first, scene.folder = LeaseToken.parse(token.reveal()), scene.elsewhere()
        scene.deaths.passed, scene.deaths.at = 0, at
        with pytest.raises(Killed):
            scene.renew(scene.agent())
        scene.deaths.at = -1
        yield at


def test_killed_at_any_point_an_agent_is_followed_by_one_that_goes_on(scene: Scene) -> None:
    """Before and after each flush, swap, sending and answer: no new login, no start, no alarm."""
    points = 0
    for _ in deaths_of(scene):
        scene.renew(scene.agent())
        assert scene.known.alarm is None
        assert len(scene.known.made) == 1
        points += 1
    assert points == RENEWALS * 20
    assert not {Verdict.REUSED, Verdict.UNKNOWN, Verdict.SPENT} & set(scene.broker.verdicts)


def test_killed_again_and_again_the_job_goes_on(scene: Scene) -> None:
    """Each agent dies at another point than the one before."""
    for at in range(60):
        scene.deaths.passed, scene.deaths.at = 0, at % 23
        with pytest.raises(Killed):
            scene.renew(scene.agent(), 10)
    scene.deaths.at = -1
    scene.renew(scene.agent())
    assert (scene.known.alarm, len(scene.known.made)) == (None, 1)


def test_whoever_copies_the_files_of_a_killed_agent_is_caught_each_time(scene: Scene) -> None:
    """He goes on from the copy, the job's next agent from the files: the later one meets the alarm.

    Where there was no more than the lease file to copy, it is the one whose chain has been ended.
    """
    for at in deaths_of(scene):
        stolen = scene.elsewhere()
        shutil.copytree(scene.folder, stolen, dirs_exist_ok=True)
        first, second = scene.agent(stolen), scene.agent()
        if at % 2:
            first, second = second, first
        scene.renew(first)
        with pytest.raises(LeaseEnded):  # noqa: PT012 - whichever of them meets it
            scene.renew(second)
            scene.renew(first)
        assert scene.known.alarm is not None
        for one in (first, second):
            with pytest.raises(LeaseEnded):
                scene.renew(one, 1)


def test_whoever_has_the_lease_file_alone_is_caught_at_the_next_renewal(scene: Scene) -> None:
    """His start is one that the job did not make; it ends the job's chain, and is seen by that."""
    agent = scene.agent()
    scene.renew(agent)
    scene.renew(scene.agent(scene.elsewhere()), 1)
    assert len(scene.known.made) == 2
    with pytest.raises(LeaseEnded):
        scene.renew(agent, 1)


def test_a_batch_system_may_start_the_job_again_as_often_as_was_said(scene: Scene) -> None:
    """In a new sandbox, with the lease file alone; the start too many is told in words."""
    for _ in range(3):
        scene.renew(scene.agent(scene.elsewhere()))
    with pytest.raises(NotAllowed, match="started"):
        scene.renew(scene.agent(scene.elsewhere()))
    assert scene.known.alarm is None


@pytest.mark.parametrize("step_was_taken", [True, False])
def test_an_answer_with_an_error_leaves_the_pair_as_it_is(
    scene: Scene, step_was_taken: bool
) -> None:
    """The step may have been taken or not: the same pair fits either way."""
    agent = scene.agent()
    scene.renew(agent)
    if step_was_taken:
        scene.broker.claims = {"scope": "storage.read:/other"}  # the agent refuses the token
    else:
        scene.broker.problems.append(IssuerUnreachable("The issuer is away."))
    agent._renew()
    assert agent.failed is not None
    sent = (scene.folder / "state").read_bytes()
    scene.broker.claims, agent.failed = {}, None
    assert Chain(scene.first, scene.folder / "state", SystemEntropy()).pair()
    assert (scene.folder / "state").read_bytes() == sent
    scene.renew(agent, 1)
    assert scene.broker.verdicts[-1] is (Verdict.REPEAT if step_was_taken else Verdict.STEP)
    scene.renew(agent)
    assert scene.known.alarm is None


def test_while_no_step_is_taken_the_pair_stays_and_the_job_has_its_tokens(scene: Scene) -> None:
    """The broker serves what it holds while OpenBao/Vault is away."""
    agent = scene.agent()
    scene.renew(agent)
    scene.broker.takes_no_step, known = True, scene.known
    scene.renew(agent, 5)
    assert scene.known == known
    scene.broker.takes_no_step = False
    scene.renew(agent)
    assert scene.known.alarm is None


def test_a_pair_that_cannot_be_written_is_not_sent(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a crash would leave an older one, which looks like a thief's."""
    agent = scene.agent()
    scene.renew(agent, 1)
    asked = len(scene.broker.requests)
    scene.renew(agent, 1)
    full = os.fsync

    def no_room(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(LocalFileUnfit, match="no space left"):
        scene.renew(agent, 1)
    assert len(scene.broker.requests) == asked + 1
    monkeypatch.setattr(os, "fsync", full)
    agent.failed = None
    scene.renew(scene.agent())
    assert scene.known.alarm is None


def run_for(scene: Scene, seconds: float) -> None:
    """Let one agent work for so long, then stop it."""

    def stop() -> None:
        raise KeyboardInterrupt

    scene.clock.after(seconds, stop)
    with pytest.raises(KeyboardInterrupt):
        scene.agent().run()


@pytest.mark.parametrize("jump", [-172800, 3600, 172800])
def test_outages_moved_clocks_and_hours_of_standstill_cost_no_alarm(
    scene: Scene, jump: float
) -> None:
    """As for a lease whose secret lasts: one start, and a token in the file until the last moment."""
    away = [BrokerUnreachable("Away.")] * 1000
    scene.clock.after(1500, lambda: scene.broker.problems.extend(away))
    scene.clock.after(3300, scene.broker.problems.clear)
    scene.clock.after(HOUR, lambda: scene.clock.jump(jump))
    scene.clock.after(2 * HOUR, lambda: scene.clock.advance(5 * HOUR))  # as a SIGSTOP does
    run_for(scene, 10 * HOUR)
    assert (scene.known.alarm, len(scene.known.made)) == (None, 1)
    assert set(scene.broker.verdicts) <= {Verdict.START, Verdict.STEP, Verdict.REPEAT}
    run_for(scene, HOUR)
    assert (scene.known.alarm, len(scene.known.made)) == (None, 1)


def test_no_secret_of_the_chain_is_in_the_log(scene: Scene) -> None:
    """Neither the first nor a later one."""
    run_for(scene, 3 * HOUR)
    pair = Chain(scene.first, scene.folder / "state", SystemEntropy()).pair()
    for one in (scene.first, *pair):
        assert one.secret.reveal() not in scene.log.getvalue()


# The file


def test_a_pair_is_the_same_until_it_is_taken(tmp_path: Path) -> None:
    """Also for an agent that comes after; then the next pair follows from it, for that one, too."""
    path = tmp_path / "state"
    chain = Chain(FIRST, path, SystemEntropy())
    pair = chain.pair()
    assert pair[0] == FIRST
    assert chain.pair() == pair == Chain(FIRST, path, SystemEntropy()).pair()
    chain.taken()
    chain.taken()
    after = Chain(FIRST, path, SystemEntropy()).pair()
    assert after[0] == pair[1]
    assert after[1] not in pair


def test_a_taken_secret_that_cannot_be_written_is_gone_on_from_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pair on disk fits as well: it is the request that was made last."""
    path = tmp_path / "state"
    chain = Chain(FIRST, path, SystemEntropy())
    pair = chain.pair()

    def no_room(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", no_room)
        chain.taken()
    assert Chain(FIRST, path, SystemEntropy()).pair() == pair
    assert chain.pair()[0] == pair[1]


def test_what_another_lease_has_left_behind_begins_a_new_chain(tmp_path: Path) -> None:
    """So does a file that holds nothing."""
    path = tmp_path / "state"
    whole_file.replace(path, b"rubbish", SystemEntropy())
    assert Chain(FIRST, path, SystemEntropy()).pair()[0] == FIRST
    another = LeaseToken.parse(lease_token(9).reveal())
    assert Chain(another, path, SystemEntropy()).pair()[0] == another


# One at a time


def test_two_agents_do_not_go_by_one_lease_file_at_once(tmp_path: Path) -> None:
    """The second waits for the first to end, and says so; after a while it gives up."""
    path, clock, log = tmp_path / "lease.json", StepClock(), io.StringIO()
    path.write_text("{}")
    say = Log(clock, log).say
    with alone(path, clock, say):
        begun = clock.elapsed()
        with pytest.raises(LocalFileUnfit, match="Another agent"), alone(path, clock, say):
            raise AssertionError
        assert clock.elapsed() - begun == pytest.approx(OTHERS_END_SECONDS, abs=2)
        assert log.getvalue().count("waiting") == 1
    first = alone(path, clock, say)
    first.__enter__()
    clock.after(3, lambda: first.__exit__(None, None, None))
    with alone(path, clock, say):
        pass


def test_a_file_system_without_locks_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing lease file is."""

    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / "lease.json").write_text("{}")
    clock = StepClock()
    with alone(tmp_path / "lease.json", clock, print):
        pass
    with pytest.raises(LocalFileUnfit), alone(tmp_path / "nowhere", clock, print):
        raise AssertionError


def test_on_a_file_system_whose_locks_want_a_writer_two_agents_are_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS, where the nodes of a job share a folder (flock(2)); a file of others is read only."""
    lock = fcntl.flock

    def as_on_nfs(descriptor: int, operation: int) -> None:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", as_on_nfs)
    path, clock = tmp_path / "lease.json", StepClock()
    path.write_text("{}")
    say = Log(clock, io.StringIO()).say
    with (
        alone(path, clock, say),
        pytest.raises(LocalFileUnfit, match="Another agent"),
        alone(path, clock, say),
    ):
        raise AssertionError
    opened = os.open

    def only_readable(path: Path, flags: int, *more: int) -> int:
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, *more)

    monkeypatch.setattr(os, "open", only_readable)
    with alone(path, clock, say):
        pass
