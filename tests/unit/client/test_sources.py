"""Where a program's token comes from, and what is said where there is none."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import pytest

from credbroker.client.holding import Wish
from credbroker.client.sources import LOOK_AGAIN_SECONDS, Sources
from credbroker.delivery import lease_file
from credbroker.delivery.lease_file import LeaseFile
from credbroker.domain.errors import (
    BrokerUnreachable,
    LeaseEnded,
    LocalFileUnfit,
    LoginNeeded,
    Malformed,
    NotAllowed,
    OutsideCeiling,
)
from credbroker.wire.native import AskToken
from tests.fakes.broker import ISSUER_URL, LOGIN_SCOPES, FakeBroker, access_token
from tests.fakes.entropy import FakeEntropy
from tests.fakes.step_clock import StepClock

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://broker.example.org:8200"
READ = "storage.read:/"


class Machine:
    """A person's machine, and a broker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = StepClock()
        self.broker = FakeBroker(self.clock)
        self.environ = {"XDG_STATE_HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
        self.reached: list[tuple[str, str | None, str | None]] = []
        self.sources = Sources(self.clock, FakeEntropy(), self.environ, 7, self._open_door)

    def _open_door(
        self, address: str, _: object, ca_file: str | None, ca_pem: str | None
    ) -> FakeBroker:
        self.reached.append((address, ca_file, ca_pem))
        return self.broker

    def lease(self, path: Path, **fields: object) -> Path:
        """Put a lease file at `path`."""
        said: dict[str, object] = {
            "broker": URL,
            "lease_token": self.broker.new_lease(),
            "issuer": "cms",
            "issuer_url": ISSUER_URL,
            "role": "default",
            "credkey": "alice",
            "scopes": LOGIN_SCOPES,
            "lease_ends_at": self.clock.now() + datetime.timedelta(days=27),
            **fields,
        }
        lease_file.write(path, LeaseFile(**said), FakeEntropy())  # type: ignore[arg-type] # the test knows the fields
        return path

    def log_in(self, issuer: str = "cms", role: str = "default", **fields: object) -> None:
        """Put a person's lease file where a login does."""
        lease_file.make_leases_folder(self.environ, FakeEntropy())
        path = lease_file.person_path(self.environ, issuer, role)
        self.lease(path, issuer=issuer, role=role, **fields)

    def leave_token(self, **claims: object) -> str:
        """Put a token where programs look for one last; return its path."""
        path = self.folder / "bt_u7"
        token = access_token(self.clock.now(), **claims)  # type: ignore[arg-type] # claims of any kind
        path.write_text(token.reveal())
        path.chmod(0o600)
        return str(path)

    @property
    def asked(self) -> AskToken:
        """Return what the broker was asked for last."""
        return AskToken.read(self.broker.requests[-1].body)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which nobody is logged in."""
    return Machine(tmp_path)


def test_a_login_gives_what_its_broker_gives(machine: Machine) -> None:
    """For as long as the broker says, by the broker's clock."""
    machine.log_in(ca_file="/etc/ca.pem")
    machine.clock.jump(-7200)
    taken = machine.sources.take(
        Wish(scopes=(READ,), audiences=("https://se",), minimum_seconds=60)
    )
    assert (taken.lasts_seconds, taken.renew_in_seconds) == (3600, 1800)
    assert taken.token.audiences == ("https://se",)
    assert (machine.asked.scopes, machine.asked.audiences) == ([READ], ["https://se"])
    assert machine.asked.minimum_seconds >= 60
    assert machine.reached == [(URL, "/etc/ca.pem", None)]


def test_nothing_said_asks_for_all_that_the_login_allows(machine: Machine) -> None:
    """And for no minimum."""
    machine.log_in()
    machine.sources.take(Wish())
    assert machine.asked == AskToken(None, None, 0)


def test_authorities_of_the_environment_come_first(machine: Machine) -> None:
    """As for all commands."""
    machine.environ["CREDBROKER_CA_FILE"] = "/etc/other.pem"
    machine.log_in(ca_file="/etc/ca.pem")
    machine.sources.take(Wish())
    assert machine.reached == [(URL, "/etc/other.pem", None)]


def test_of_several_logins_one_must_be_named(machine: Machine) -> None:
    """The sentence lists them."""
    machine.log_in("cms", "default")
    machine.log_in("cms", "production")
    machine.log_in("atlas", "default")
    for wish in (Wish(), Wish(issuer="cms"), Wish(role="default")):
        with pytest.raises(Malformed, match=r"You are logged in at .* in the role "):
            machine.sources.take(wish)
    for wish in (
        Wish(issuer="atlas"),
        Wish(issuer="cms", role="production"),
        Wish(role="production"),
    ):
        machine.sources.take(wish)


def test_who_is_not_logged_in_is_told_the_command(machine: Machine) -> None:
    """A token that lies about is nobody's login."""
    machine.leave_token()
    with pytest.raises(LoginNeeded) as told:
        machine.sources.take(Wish(issuer="cms", role="production"))
    assert told.value.sentence == "You are not logged in at cms in the role production."
    assert told.value.remedy == "Log in with: credbroker login cms --role production"


def test_with_neither_login_nor_token_a_login_is_needed(machine: Machine) -> None:
    """Also that is told at once."""
    with pytest.raises(LoginNeeded, match=r"You are not logged in\."):
        machine.sources.take(Wish())


def test_a_login_that_is_over_names_what_mends_it(machine: Machine) -> None:
    """Down to the role."""
    machine.log_in()
    machine.broker.ended.update(machine.broker.leases)
    with pytest.raises(LeaseEnded) as told:
        machine.sources.take(Wish())
    assert told.value.remedy == "Log in again with: credbroker login cms --role default"


def test_a_token_that_the_environment_names_comes_before_a_login(machine: Machine) -> None:
    """Somebody put it there for this program; who names an issuer wants the login."""
    machine.log_in()
    machine.environ["BEARER_TOKEN"] = access_token(machine.clock.now(), jti="given").reveal()
    taken = machine.sources.take(Wish(scopes=(READ,)))
    assert (taken.token.jti, taken.lasts_seconds) == ("given", 3600)
    assert taken.renew_in_seconds == LOOK_AGAIN_SECONDS
    assert machine.sources.take(Wish(issuer="cms")).token.jti == "jti-1"


def test_a_token_in_a_usual_place_comes_after_a_login(machine: Machine) -> None:
    """It may be anybody's."""
    machine.leave_token(jti="left")
    assert machine.sources.take(Wish()).token.jti == "left"
    machine.log_in()
    assert machine.sources.take(Wish()).token.jti == "jti-1"


@pytest.mark.parametrize(
    "wish", [Wish(scopes=("storage.modify:/",)), Wish(audiences=("https://other",))]
)
def test_a_token_that_does_not_serve_is_not_taken(machine: Machine, wish: Wish) -> None:
    """Its place is named, and so is the way out."""
    path = machine.leave_token(aud="https://se")
    with pytest.raises(OutsideCeiling, match=path):
        machine.sources.take(wish)


def test_a_token_whose_end_nobody_can_tell_is_not_taken(machine: Machine) -> None:
    """An opaque one may have ended long ago."""
    machine.environ["BEARER_TOKEN"] = "opaque"
    with pytest.raises(LocalFileUnfit, match="BEARER_TOKEN") as told:
        machine.sources.take(Wish())
    assert "opaque" not in str(told.value)


def test_a_jobs_lease_file_decides_alone(machine: Machine) -> None:
    """Whatever else is there."""
    machine.log_in("atlas")
    machine.leave_token()
    path = machine.lease(machine.folder / "job.json", job="run42", ca_pem="PEM")
    assert machine.sources.take(Wish(lease_file=str(path))).token.jti == "jti-1"
    assert machine.reached == [(URL, None, "PEM")]
    with pytest.raises(LocalFileUnfit, match="no lease file"):
        machine.sources.take(Wish(lease_file=str(machine.folder / "none.json")))


def test_a_lease_whose_secrets_are_used_once_is_an_agents(machine: Machine) -> None:
    """A second program that goes by it would be taken for a thief."""
    path = machine.lease(machine.folder / "job.json", job="run42", starts=1)
    with pytest.raises(NotAllowed) as told:
        machine.sources.take(Wish(lease_file=str(path)))
    assert f"credbroker agent --job {path}" in told.value.remedy
    assert not machine.reached


def test_the_usual_way_to_a_broker_is_over_the_network(machine: Machine) -> None:
    """To where the lease file says, and nowhere else."""
    machine.log_in(broker="http://127.0.0.1:1")
    sources = Sources(machine.clock, FakeEntropy(), machine.environ, 7)
    with pytest.raises(BrokerUnreachable, match=r"http://127\.0\.0\.1:1"):
        sources.take(Wish())
