"""Without a way to the broker a job in HTCondor has the tokens that HTCondor brings, and says so."""

from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING

import pytest

from credbroker.client.broker import Broker
from credbroker.delivery.discovery import read_file
from credbroker.domain.errors import BrokerUnreachable, LeaseEnded
from credbroker.edge.job import keeping
from credbroker.edge.job.beside_condor import BesideCondor
from credbroker.edge.job.keeping import Agent
from credbroker.edge.job.log import Log
from credbroker.host.entropy import SystemEntropy
from tests.fakes.broker import ISSUER_URL, FakeBroker, access_token
from tests.fakes.step_clock import StepClock, TrueTime
from tests.unit.edge.job.test_keeping import LEASE

if TYPE_CHECKING:
    from pathlib import Path

AWAY = BrokerUnreachable("The broker at https://localhost:1 cannot be reached.")
HOUR = 3600.0


@dataclasses.dataclass
class Scene:
    """A job in HTCondor: its broker, its agent, and what HTCondor has put there."""

    clock: StepClock
    broker: FakeBroker
    agent: Agent
    creds: Path
    log: io.StringIO

    def bring(self, name: str, **claims: object) -> str:
        """Let HTCondor bring a token; return it."""
        usual = {"scope": "storage.read:/", "jti": name, **claims}
        token = access_token(self.clock.now(), **usual).reveal()  # type: ignore[arg-type] # seconds
        (self.creds / name).write_text(token + "\n")
        return token

    def token(self) -> str | None:
        """Return what is in the job's file."""
        found = read_file(self.agent.path)
        return None if found is None else found.reveal()

    def run_for(self, seconds: float) -> None:
        """Let the agent work for `seconds`, then tell it to stop."""

        def stop() -> None:
            raise KeyboardInterrupt

        self.clock.after(seconds, stop)
        with pytest.raises(KeyboardInterrupt):
            self.agent.run()


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A job whose agent has not begun, and a broker that cannot be reached."""
    monkeypatch.setattr(keeping, "SLICE_SECONDS", 10.0)
    clock, log = StepClock(), io.StringIO()
    fake = FakeBroker(TrueTime(clock))
    fake.problems.extend([AWAY] * 10_000)
    lease = dataclasses.replace(LEASE, lease_token=fake.new_lease("run42"), issuer_url=ISSUER_URL)
    (tmp_path / "creds").mkdir()
    say = Log(clock, log).say
    broker = Broker(fake, clock, SystemEntropy(), lease.lease_token)
    agent = Agent(
        source=BesideCondor(broker, tmp_path / "creds", lease, say),
        lease=lease,
        path=tmp_path / "token",
        clock=clock,
        entropy=SystemEntropy(),
        say=say,
    )
    return Scene(clock, fake, agent, tmp_path / "creds", log)


def test_the_longest_lived_token_that_serves_is_taken(scene: Scene) -> None:
    """Not one that is too narrow, of another issuer, over, for somebody else, or no token at all."""
    best = scene.bring("a.use", seconds=1200)
    scene.bring("b.use", seconds=600)
    scene.bring("narrow.use", seconds=9000, scope="storage.read:/b")
    scene.bring("other.use", seconds=9000, iss="https://other.example.org/")
    scene.bring("over.use", seconds=-1)
    scene.bring("audience.use", seconds=9000, aud="https://elsewhere")
    scene.bring("a.top", seconds=9000)
    (scene.creds / "rubbish.use").write_text("not a token")
    (scene.creds / "empty.use").write_text("")
    (scene.creds / "folder.use").mkdir()
    scene.run_for(60)
    assert scene.token() == best
    told = scene.log.getvalue()
    assert told.count("beside the broker") == 1
    assert "serving=$_CONDOR_CREDS" in told
    assert "cannot be reached" in told


def test_what_htcondor_renews_is_followed(scene: Scene) -> None:
    """Within a minute or so; each of them is told once."""
    scene.bring("a.use", seconds=1200)
    brought: list[str] = []
    scene.clock.after(600, lambda: brought.append(scene.bring("a.use", seconds=1200, jti="2")))
    scene.run_for(700)
    assert [scene.token()] == brought
    assert scene.log.getvalue().count("beside the broker") == 2


def test_as_soon_as_the_broker_is_there_its_tokens_are_taken(scene: Scene) -> None:
    """And HTCondor's are not, unless they live longer than the broker's last."""
    scene.bring("a.use", seconds=1200)
    scene.clock.after(300, scene.broker.problems.clear)
    scene.run_for(400)
    assert scene.token() == scene.broker.given[0].access_token.reveal()
    scene.broker.problems.extend([AWAY] * 10_000)
    scene.bring("a.use", seconds=60)
    scene.run_for(HOUR / 2)
    assert scene.token() == scene.broker.given[0].access_token.reveal()
    longer = scene.bring("a.use", seconds=7200)
    scene.run_for(HOUR / 2)
    assert scene.token() == longer


def test_without_any_fit_token_the_broker_is_waited_for(scene: Scene) -> None:
    """As without HTCondor."""
    scene.clock.after(900, scene.broker.problems.clear)
    scene.run_for(1300)
    assert scene.token() == scene.broker.given[0].access_token.reveal()


def test_a_broker_that_refuses_is_not_gone_around(scene: Scene) -> None:
    """A lease that was ended is over, whatever lies there."""
    scene.bring("a.use")
    scene.broker.problems.clear()
    scene.broker.problems.append(LeaseEnded("It was ended."))
    with pytest.raises(LeaseEnded):
        scene.agent.run()
    assert scene.token() is None


def test_a_token_that_allows_more_than_the_lease_is_taken_only_where_no_other_serves(
    scene: Scene,
) -> None:
    """The job was meant to have less; and the broker's takes its place as soon as there is one."""
    wide = scene.bring("wide.use", seconds=9000, scope="storage.read:/ storage.modify:/")
    scene.run_for(60)
    assert scene.token() == wide
    narrow = scene.bring("narrow.use", seconds=1200, scope="storage.read:/a", aud="https://dav")
    scene.run_for(120)
    assert scene.token() == narrow
    (scene.creds / "narrow.use").unlink()
    scene.run_for(1200)
    assert scene.token() == wide
    scene.broker.problems.clear()
    scene.run_for(120)
    assert scene.token() == scene.broker.given[0].access_token.reveal()
