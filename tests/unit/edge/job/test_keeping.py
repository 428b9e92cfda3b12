"""The agent of one job: the file stays good through whatever happens."""

from __future__ import annotations

import dataclasses
import datetime
import errno
import io
import os
from typing import TYPE_CHECKING

import pytest

from credbroker.client.broker import Broker
from credbroker.delivery.discovery import read_file
from credbroker.delivery.lease_file import LeaseFile
from credbroker.domain.errors import (
    BrokerUnreachable,
    CredbrokerError,
    IssuerGaveLess,
    IssuerUnreachable,
    LeaseEnded,
    LeaseUnknown,
    LocalFileUnfit,
    LoginNeeded,
    NotAllowed,
    NotFound,
)
from credbroker.edge.job import keeping
from credbroker.edge.job.keeping import Agent
from credbroker.edge.job.log import Log
from credbroker.host.entropy import SystemEntropy
from credbroker.wire.jwt import read_access_token
from credbroker.wire.native import TOKENS
from tests.fakes.broker import FakeBroker, lease_token
from tests.fakes.step_clock import StepClock, TrueTime

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3600.0

LEASE = LeaseFile(
    broker="https://localhost:1",
    lease_token=lease_token(1),
    issuer="cms",
    role="default",
    credkey="alice",
    scopes=["storage.read:/a"],
    audiences=["https://dav"],
    lease_ends_at=datetime.datetime(2026, 6, 28, tzinfo=datetime.UTC),
    job="run42",
)


@pytest.fixture(autouse=True)
def _fewer_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the clock every ten seconds instead of every one: days pass quicker in a test."""
    monkeypatch.setattr(keeping, "SLICE_SECONDS", 10.0)


@dataclasses.dataclass
class Scene:
    """One job: its broker, its agent, its file, and what the agent said."""

    clock: StepClock
    broker: FakeBroker
    agent: Agent
    path: Path
    log: io.StringIO

    def run_for(self, seconds: float) -> None:
        """Let the agent work for `seconds`, then tell it to stop."""

        def stop() -> None:
            raise KeyboardInterrupt

        self.clock.after(seconds, stop)
        with pytest.raises(KeyboardInterrupt):
            self.agent.run()

    def seconds_left(self) -> float:
        """Return how long the token in the file still lives by the true clock."""
        value = read_file(self.path)
        assert value is not None
        now = self.broker.clock.now()
        return read_access_token(value, now).seconds_left(now)

    def watch(self, every: float) -> list[float]:
        """Note from now on how long the token in the file lives, as often as said."""
        lows: list[float] = []

        def look() -> None:
            lows.append(self.seconds_left())
            self.clock.after(every, look)

        self.clock.after(every, look)
        return lows

    def events(self) -> list[str]:
        """Return the agent's log lines without their times."""
        return [line.split("credbroker-agent: ")[1] for line in self.log.getvalue().splitlines()]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A job whose agent has not begun."""
    clock, entropy, log = StepClock(), SystemEntropy(), io.StringIO()
    fake = FakeBroker(TrueTime(clock))
    lease = dataclasses.replace(LEASE, lease_token=fake.new_lease("run42"))
    agent = Agent(
        source=Broker(fake, clock, entropy, lease.lease_token),
        lease=lease,
        path=tmp_path / "token",
        clock=clock,
        entropy=entropy,
        say=Log(clock, log).say,
    )
    return Scene(clock, fake, agent, agent.path, log)


def test_the_file_is_fresh_for_as_long_as_the_job_runs(scene: Scene) -> None:
    """Six hours of one-hour tokens: never less than a few minutes are left in the file."""
    lows = scene.watch(every=60)
    scene.run_for(6 * HOUR)
    assert min(lows) > 300
    assert 6 <= scene.broker.count(TOKENS) <= 13
    assert scene.events()[0].startswith(f"ready token_file={scene.path} jti=jti-1 expires=2026-")
    assert scene.events()[1].startswith("renewed")


def test_half_an_hour_without_a_broker_is_not_noticed(scene: Scene) -> None:
    """Inside a one-hour token an outage of 30 minutes leaves no moment without a valid token."""
    lows = scene.watch(every=10)
    scene.clock.after(
        1500, lambda: scene.broker.problems.extend([BrokerUnreachable("Away.")] * 1000)
    )
    scene.clock.after(3300, scene.broker.problems.clear)
    scene.run_for(3 * HOUR)
    assert min(lows) > 0
    kept = [event for event in scene.events() if event.startswith("kept")]
    assert 3 <= len(kept) <= 40
    assert "why=Away." in kept[0]


@pytest.mark.parametrize("jump", [-172800, -3600, 3600, 172800])
def test_a_moved_clock_costs_no_token_and_no_flood(scene: Scene, jump: float) -> None:
    """The wall clock is set by hours or days in the middle: renewals go on as before."""
    lows = scene.watch(every=60)
    scene.clock.after(HOUR, lambda: scene.clock.jump(jump))
    scene.run_for(4 * HOUR)
    assert min(lows) > 0
    assert 4 <= scene.broker.count(TOKENS) <= 10


def test_a_full_disk_keeps_the_old_file_and_is_waited_out(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old token stays whole; once there is room the new one comes."""
    fsync = os.fsync
    full = [False]

    def maybe(descriptor: int) -> None:
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", maybe)
    scene.clock.after(60, lambda: full.__setitem__(0, True))
    scene.clock.after(2400, lambda: full.__setitem__(0, False))
    scene.run_for(HOUR)
    assert scene.seconds_left() > 0
    assert any("no space left" in event for event in scene.events())
    assert scene.events()[-1].startswith("renewed")
    assert [one.name for one in scene.path.parent.iterdir()] == ["token"]


def test_a_wrong_path_is_said_at_once(scene: Scene) -> None:
    """Before the first token a file that cannot be written is the job's mistake."""
    scene.agent.path = scene.path / "nowhere" / "token"
    with pytest.raises(LocalFileUnfit, match="cannot be written"):
        scene.agent.run()


def test_the_same_token_is_not_written_again(scene: Scene) -> None:
    """While the issuer is away the broker repeats its token: the file is left alone."""
    scene.broker.same_token = True
    scene.run_for(1000)
    before = scene.path.stat()
    scene.run_for(2000)
    assert scene.path.stat().st_ino == before.st_ino
    assert any(event.startswith("unchanged") for event in scene.events())


def test_a_file_somebody_removed_comes_back_with_the_next_answer(scene: Scene) -> None:
    """Even if the answer carries the token that was held already."""
    scene.broker.same_token = True
    scene.run_for(1000)
    scene.path.unlink()
    scene.run_for(2000)
    assert scene.path.exists()


def test_a_lease_that_was_ended_ends_the_agent_and_leaves_the_file(scene: Scene) -> None:
    """What is in the file is good until it expires; what makes a new lease is named."""
    scene.clock.after(60, lambda: scene.broker.problems.append(LeaseEnded("It was ended.")))
    with pytest.raises(LeaseEnded) as ended:
        scene.agent.run()
    assert scene.path.exists()
    assert scene.broker.count(TOKENS) == 2
    assert "credbroker job new cms --role default --job run42" in ended.value.remedy


def test_a_refusal_at_the_very_start_ends_the_agent(scene: Scene) -> None:
    """Whoever starts a job with a wrong lease hears it at once."""
    scene.broker.problems.append(NotAllowed("Not you."))
    with pytest.raises(NotAllowed):
        scene.agent.run()
    assert not scene.path.exists()


@pytest.mark.parametrize("kind", [NotFound, IssuerGaveLess, NotAllowed, LeaseUnknown])
def test_an_operators_slip_costs_a_running_job_nothing(
    scene: Scene, kind: type[CredbrokerError]
) -> None:
    """A refusal is told and asked about again: what worked once may work again."""
    lows = scene.watch(every=60)
    scene.clock.after(600, lambda: scene.broker.problems.extend([kind("Not served.")] * 5))
    scene.run_for(3 * HOUR)
    assert min(lows) > 0
    assert any("kept why=" in event and "remedy=" in event for event in scene.events())


def test_refusals_are_not_asked_about_beyond_the_lease(scene: Scene) -> None:
    """A broker that has forgotten a lease that is over will never know it again."""
    scene.agent.lease = dataclasses.replace(
        scene.agent.lease, lease_ends_at=scene.clock.now() + datetime.timedelta(hours=4)
    )
    begun = scene.clock.elapsed()
    scene.clock.after(600, lambda: scene.broker.problems.extend([LeaseUnknown("Who?")] * 1000))
    with pytest.raises(LeaseUnknown):
        scene.agent.run()
    assert 4 * HOUR <= scene.clock.elapsed() - begun <= 4 * HOUR + 310


def test_a_log_that_cannot_be_written_costs_no_token(scene: Scene) -> None:
    """The disk that holds the log is full for hours, or there is no log at all."""

    class FullDisk(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    for out in (FullDisk(), None):
        scene.agent.say = Log(scene.clock, out).say
        scene.run_for(2 * HOUR)
        assert scene.seconds_left() > 0


def test_an_older_token_does_not_take_the_place_of_a_younger_one(scene: Scene) -> None:
    """A replica that has not seen the last refresh yet answers; then all brokers go away."""
    lows = scene.watch(every=10)
    scene.clock.after(600, lambda: setattr(scene.broker, "lifetime_seconds", 30))
    away = [BrokerUnreachable("Away.")] * 1000
    scene.clock.after(2150, lambda: scene.broker.problems.extend(away))
    scene.clock.after(2750, scene.broker.problems.clear)
    scene.clock.after(2750, lambda: setattr(scene.broker, "lifetime_seconds", 3600))
    scene.run_for(3300)
    assert min(lows) > 0
    assert any(event.startswith("unchanged") for event in scene.events())
    assert scene.events()[-1].startswith("renewed")


def test_the_end_of_a_job_leaves_the_file_of_another_agent(scene: Scene) -> None:
    """The wrapper was started again: the new agent's file is there, and the old one ends."""
    over: list[bool] = []
    scene.agent.job_runs = lambda: not over
    second = dataclasses.replace(scene.agent, job_runs=lambda: True)
    scene.clock.after(60, second._renew)
    scene.clock.after(60, lambda: over.append(True))
    scene.agent.run()
    assert scene.seconds_left() > 0
    assert scene.events()[-1] == "job over"


def test_a_lost_grant_is_told_and_waited_for(scene: Scene) -> None:
    """Once the person has logged in again the job goes on by itself."""
    lost = LoginNeeded("The issuer ended the login.")
    scene.clock.after(60, lambda: scene.broker.problems.extend([lost] * 3))
    scene.run_for(HOUR)
    told = next(event for event in scene.events() if event.startswith("kept"))
    assert 'remedy="Log in again with: credbroker login cms --role default"' in told
    assert scene.events()[-1].startswith("renewed")


def test_a_broker_that_is_away_at_the_start_is_waited_for(scene: Scene) -> None:
    """A job that begins in an outage gets its token when the outage ends."""
    scene.broker.problems.extend([IssuerUnreachable("The issuer is away.")] * 5)
    scene.run_for(600)
    assert scene.seconds_left() > 0


def test_the_file_goes_when_the_job_is_over(scene: Scene) -> None:
    """The watched program's end is noticed within a second or so."""
    over: list[float] = []
    scene.agent.job_runs = lambda: not over
    scene.clock.after(100, lambda: over.append(scene.clock.elapsed()))
    scene.agent.run()
    assert not scene.path.exists()
    assert scene.clock.elapsed() - over[0] <= 1
    assert scene.events()[-1] == f"job over removed={scene.path}"


def test_no_secret_is_in_the_log(scene: Scene) -> None:
    """Neither a token nor a lease shows, in good times and bad."""
    scene.clock.after(1000, lambda: scene.broker.problems.extend([BrokerUnreachable("Away.")] * 3))
    scene.run_for(3 * HOUR)
    log = scene.log.getvalue()
    assert lease_token(1).reveal() not in log
    for given in scene.broker.given:
        assert given.access_token.reveal() not in log


def test_a_log_line_holds_one_event_whatever_its_words(scene: Scene) -> None:
    """Line ends and quotes from elsewhere cannot forge a second line."""
    scene.agent.say("kept", why='a\n"b"', nothing=None, times=2)
    assert scene.events() == ['kept why="a\\n\\"b\\"" times=2']


def test_the_file_stays_when_the_agent_is_stopped(scene: Scene) -> None:
    """Whoever reads it may not be done."""

    def stop() -> None:
        raise KeyboardInterrupt

    scene.clock.after(100, stop)
    with pytest.raises(KeyboardInterrupt):
        scene.agent.run()
    assert scene.path.exists()
