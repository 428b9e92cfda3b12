"""Lease files: private, whole, and one per login."""

from __future__ import annotations

import dataclasses
import datetime
import json
import stat
from pathlib import Path

import pytest

from credbroker.delivery import lease_file
from credbroker.delivery.lease_file import LeaseFile
from credbroker.domain.errors import (
    CredbrokerError,
    LeaseEnded,
    LeaseUnknown,
    LocalFileUnfit,
    LoginNeeded,
    Malformed,
)
from credbroker.host.entropy import SystemEntropy
from tests.fakes.broker import lease_token

LEASE = LeaseFile(
    broker="https://broker.example.org:8200",
    lease_token=lease_token(1),
    issuer="cms",
    role="default",
    credkey="alice",
    scopes=["storage.read:/"],
    lease_ends_at=datetime.datetime(2026, 6, 28, 12, tzinfo=datetime.UTC),
)


@pytest.mark.parametrize(
    "lease",
    [
        LEASE,
        dataclasses.replace(
            LEASE,
            ca_file="/etc/ca.pem",
            ca_pem="-----BEGIN CERTIFICATE-----",
            issuer_url="https://issuer.example.org/",
            audiences=["https://dav"],
            job="run42",
            starts=10,
        ),
    ],
)
def test_what_is_written_is_read_back(tmp_path: Path, lease: LeaseFile) -> None:
    """All fields come back, and the file is its owner's alone."""
    lease_file.write(tmp_path / "l.json", lease, SystemEntropy())
    assert lease_file.read(tmp_path / "l.json") == lease
    assert stat.S_IMODE((tmp_path / "l.json").stat().st_mode) == 0o600


def test_the_secret_does_not_show(tmp_path: Path) -> None:
    """A lease in a log or an error shows a fingerprint at most."""
    assert lease_token(1).reveal() not in repr(LEASE)


def test_a_file_others_can_read_is_refused(tmp_path: Path) -> None:
    """A copy with a lax mode is not used."""
    lease_file.write(tmp_path / "l.json", LEASE, SystemEntropy())
    (tmp_path / "l.json").chmod(0o644)
    with pytest.raises(LocalFileUnfit, match="by others"):
        lease_file.read(tmp_path / "l.json")


@pytest.mark.parametrize(
    "change",
    [
        {"lease_token": "hvs.something"},
        {"lease_token": None},
        {"issuer": "../../etc"},
        {"role": "a b"},
        {"lease_ends_at": "tomorrow"},
        {"scopes": "storage.read:/"},
    ],
)
def test_a_file_that_says_something_else_is_refused_without_quoting_it(
    tmp_path: Path, change: dict[str, object]
) -> None:
    """The sentence names the file; a remedy follows."""
    path = tmp_path / "l.json"
    lease_file.write(path, LEASE, SystemEntropy())
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(LocalFileUnfit, match="is not a lease file") as unfit:
        lease_file.read(path)
    assert "hvs" not in str(unfit.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """No such file is a sentence, not a stack trace."""
    with pytest.raises(LocalFileUnfit, match="There is no lease file"):
        lease_file.read(tmp_path / "l.json")


def test_logins_live_in_the_state_folder(tmp_path: Path) -> None:
    """XDG_STATE_HOME counts if it is absolute; else it is ~/.local/state."""
    folder = tmp_path / "state"
    environ = {"XDG_STATE_HOME": str(folder), "HOME": "/home/alice"}
    path = lease_file.person_path(environ, "cms", "default")
    assert path == folder / "credbroker" / "leases" / "cms+default.json"
    environ["XDG_STATE_HOME"] = "relative"
    assert lease_file.leases_folder(environ) == Path("/home/alice/.local/state/credbroker/leases")


def test_no_two_logins_share_a_file() -> None:
    """Names may hold dashes and dots, but never what parts issuer and role."""
    environ = {"HOME": "/home/alice"}
    one = lease_file.person_path(environ, "cern-atlas", "prod")
    other = lease_file.person_path(environ, "cern", "atlas-prod")
    assert one != other
    with pytest.raises(Malformed):
        lease_file.person_path(environ, "cern+atlas", "prod")


def test_logins_are_listed_in_order_and_the_folder_is_private(tmp_path: Path) -> None:
    """No folder means no logins; other files in it are not logins."""
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    assert lease_file.person_paths(environ) == []
    lease_file.make_leases_folder(environ, SystemEntropy())
    folder = lease_file.leases_folder(environ)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("b+r.json", "a+r.json", "notes.txt", ".credbroker-xyz"):
        (folder / name).touch()
    assert [one.name for one in lease_file.person_paths(environ)] == ["a+r.json", "b+r.json"]


def test_the_only_login_of_what_is_said_is_found(tmp_path: Path) -> None:
    """Of several the sentence lists those that are meant, and how to name one is the caller's word."""
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    assert lease_file.only_path(environ, None, None, "Say which.") is None
    lease_file.make_leases_folder(environ, SystemEntropy())
    for name in ("atlas+default", "cms+default", "cms+production"):
        (lease_file.leases_folder(environ) / f"{name}.json").touch()
    for issuer, role in (("atlas", None), (None, "production"), ("cms", "default")):
        path = lease_file.only_path(environ, issuer, role, "Say which.")
        assert path in lease_file.person_paths(environ, issuer, role)
    assert lease_file.only_path(environ, "atlas", "production", "Say which.") is None
    with pytest.raises(Malformed) as several:
        lease_file.only_path(environ, "cms", None, "Say which.")
    assert (several.value.sentence, several.value.remedy) == (
        "You are logged in at cms in the role default, cms in the role production.",
        "Say which.",
    )


@pytest.mark.parametrize(
    ("issuer", "role", "sentence", "command"),
    [
        (None, None, "You are not logged in.", "credbroker login"),
        ("cms", None, "You are not logged in at cms.", "credbroker login cms"),
        (None, "r", "You are not logged in in the role r.", "credbroker login --role r"),
        (
            "cms",
            "r",
            "You are not logged in at cms in the role r.",
            "credbroker login cms --role r",
        ),
    ],
)
def test_who_is_not_logged_in_is_told_the_command(
    issuer: str | None, role: str | None, sentence: str, command: str
) -> None:
    """With as much in it as is said."""
    needed = lease_file.not_logged_in(issuer, role)
    assert (needed.sentence, needed.remedy) == (sentence, f"Log in with: {command}")
    assert lease_file.command_to_log_in(issuer, role) == command


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file in its place is said so."""
    (tmp_path / "credbroker").touch()
    with pytest.raises(LocalFileUnfit, match="cannot be made"):
        lease_file.make_leases_folder({"XDG_STATE_HOME": str(tmp_path)}, SystemEntropy())


def test_a_folder_that_cannot_be_written_or_read_is_named(tmp_path: Path) -> None:
    """Also where it is in nobody's list where a person's files are."""
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    lease_file.leases_folder(environ).parent.mkdir()
    lease_file.leases_folder(environ).touch()
    with pytest.raises(LocalFileUnfit, match="leases cannot be read"):
        lease_file.person_paths(environ)


def test_a_person_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is in no list of users."""

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(LocalFileUnfit, match="no home folder") as unfit:
        lease_file.leases_folder({})
    assert "XDG_STATE_HOME" in unfit.value.remedy


JOB = dataclasses.replace(
    LEASE, job="run 42", scopes=["storage.read:/a", "compute.read"], audiences=["https://dav"]
)


@pytest.mark.parametrize("kind", [LeaseEnded, LeaseUnknown])
def test_a_lease_that_is_over_names_what_makes_a_new_one(kind: type[CredbrokerError]) -> None:
    """For a job's lease that is the login and then the job's own command, ready to be typed."""
    with pytest.raises(kind) as ended, lease_file.naming_the_login(LEASE):
        raise kind("It is over.")
    assert ended.value.remedy == "Log in again with: credbroker login cms --role default"
    with pytest.raises(kind) as ended, lease_file.naming_the_login(JOB):
        raise kind("It is over.")
    assert ended.value.remedy == (
        "Log in with: credbroker login cms --role default; then make the job a new lease:"
        " credbroker job new cms --role default --job 'run 42' --scope storage.read:/a"
        " --scope compute.read --audience https://dav --for TIME --out FILE"
    )


def test_a_lost_grant_is_mended_by_the_login_alone() -> None:
    """The job's lease goes on under it."""
    with pytest.raises(LoginNeeded) as needed, lease_file.naming_the_login(JOB):
        raise LoginNeeded("The issuer ended it.")
    assert needed.value.remedy == "Log in again with: credbroker login cms --role default"


def test_the_login_command_names_this_login() -> None:
    """What mends a lost login can be typed as it is."""
    assert LEASE.login_command == "credbroker login cms --role default"
