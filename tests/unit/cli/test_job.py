"""`credbroker job`: a narrow lease in a file, and its end."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from credbroker.cli import job
from credbroker.delivery import lease_file
from credbroker.domain.errors import (
    BrokerUnreachable,
    LeaseEnded,
    LocalFileUnfit,
    Malformed,
    OutsideCeiling,
)
from credbroker.wire.native import JobStart

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Table

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def new(table: Table, *more: str) -> Path:
    """Make a lease for run42; return where its file should be."""
    path = table.folder / "run42.json"
    table.run(
        job, "new", "cms", "--job", "run42", "--for", "12h", "--out", str(path),
        "--scope", "storage.read:/a", "--audience", "https://dav", *more,
    )  # fmt: skip
    return path


def test_the_file_holds_the_jobs_own_lease(table: Table) -> None:
    """Not the login's: its scopes, audiences and time are what was asked for."""
    login = lease_file.read(table.log_in())
    path = new(table)
    lease = lease_file.read(path)
    assert lease.lease_token != login.lease_token
    assert (lease.job, lease.scopes, lease.audiences) == (
        "run42",
        ["storage.read:/a"],
        ["https://dav"],
    )
    assert (lease.broker, lease.credkey) == (login.broker, "alice")
    assert (lease.ca_file, lease.ca_pem) == (None, None)
    assert json.loads(table.broker.requests[0].body)["lifetime_seconds"] == 43200
    assert table.answered() == f"{path}\n"
    assert table.said() == "The lease of job run42 lasts until 2026-06-02 00:00 UTC.\n"


def test_the_certificate_authorities_travel_with_the_job(table: Table) -> None:
    """Where the job runs their file need not be; a key that lies beside them stays at home."""
    said, at_login = table.folder / "said.pem", table.folder / "login.pem"
    at_login.write_text(CERTIFICATE)
    said.write_text(f"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n{CERTIFICATE}")
    table.log_in(ca_file=str(at_login))
    for more in ((), ("--ca-file", str(said))):
        (table.folder / "run42.json").unlink(missing_ok=True)
        lease = lease_file.read(new(table, *more))
        assert (lease.ca_file, lease.ca_pem) == (None, CERTIFICATE)
    table.run(job, "end", str(table.folder / "run42.json"))
    assert [authority for _, authority in table.asked] == [str(at_login), str(said), CERTIFICATE]


def test_authorities_that_cannot_travel_are_said_before_a_lease_is_made(table: Table) -> None:
    """No lease is left behind that nobody holds."""
    table.log_in(ca_file="/etc/credbroker/nowhere.pem")
    with pytest.raises(LocalFileUnfit, match="certificate authorities"):
        new(table)
    assert table.broker.requests == []


def test_an_older_lease_is_not_written_over(table: Table) -> None:
    """Its file may be the only way to end it."""
    table.log_in()
    before = new(table).read_bytes()
    asked = len(table.broker.requests)
    with pytest.raises(LocalFileUnfit, match="there already"):
        new(table)
    assert (table.folder / "run42.json").read_bytes() == before
    assert len(table.broker.requests) == asked


def test_a_lease_that_cannot_be_written_down_is_ended(table: Table) -> None:
    """Nobody could use it, nor end it later."""
    table.log_in()
    with pytest.raises(LocalFileUnfit, match="cannot be written"):
        new(table, "--out", str(table.folder / "nowhere" / "run42.json"))
    assert len(table.broker.ended) == 1


def test_a_refusal_writes_no_file(table: Table) -> None:
    """Asking too much leaves nothing behind."""
    table.log_in()
    table.broker.problems.append(OutsideCeiling("Outside the grant: storage.read:/a."))
    with pytest.raises(OutsideCeiling):
        new(table)
    assert not (table.folder / "run42.json").exists()


def test_ending_a_job_ends_its_lease_and_removes_the_file(table: Table) -> None:
    """The login's own lease is untouched; a second end of a lease says so."""
    table.log_in()
    path = new(table)
    copy = path.read_bytes()
    table.said()
    assert table.run(job, "end", str(path)) == 0
    assert not path.exists()
    assert table.said() == "The lease of job run42 is ended.\n"
    assert len(table.broker.ended) == 1
    path.write_bytes(copy)
    path.chmod(0o600)
    assert table.run(job, "end", str(path)) == 0
    assert table.said() == "The lease of job run42 had ended already.\n"


def test_the_file_stays_if_the_broker_is_away(table: Table) -> None:
    """The end can be asked for again."""
    table.log_in()
    path = new(table)
    table.broker.problems.append(BrokerUnreachable("Away."))
    with pytest.raises(BrokerUnreachable):
        table.run(job, "end", str(path))
    assert path.exists()


def test_a_login_is_not_ended_as_a_job(table: Table) -> None:
    """The remedy names the command that logs out."""
    path = table.log_in()
    with pytest.raises(LocalFileUnfit, match="not of a job") as unfit:
        table.run(job, "end", str(path))
    assert "credbroker logout cms --role default" in unfit.value.remedy
    assert path.exists()


def test_a_jobs_secret_is_used_once_unless_somebody_says_otherwise(table: Table) -> None:
    """Ten starts, or as many as said; a plain lease for programs that know nothing of it."""
    table.log_in()
    for more, starts in (((), 10), (("--starts", "3"), 3), (("--plain",), None)):
        (table.folder / "run42.json").unlink(missing_ok=True)
        assert lease_file.read(new(table, *more)).starts == starts
        assert json.loads(table.broker.requests[-1].body).get("starts") == starts


def new_lasting(table: Table, *how_long: str) -> None:
    """Make a lease that lasts as long as said."""
    table.run(
        job, "new", "cms", "--job", "run42", "--out", str(table.folder / "run42.json"),
        "--scope", "storage.read:/a", "--audience", "https://dav", *how_long,
    )  # fmt: skip


def test_a_lease_lasts_for_the_wait_and_the_run(table: Table) -> None:
    """Both are what the batch system is told, too."""
    table.log_in()
    new_lasting(table, "--queue", "2d", "--run", "12h")
    assert json.loads(table.broker.requests[-1].body)["lifetime_seconds"] == 2 * 86400 + 43200


@pytest.mark.parametrize(
    "how_long",
    [(), ("--queue", "1h"), ("--run", "1h"), ("--for", "1h", "--run", "1h", "--queue", "1h")],
)
def test_how_long_is_said_in_one_way(table: Table, how_long: tuple[str, ...]) -> None:
    """And in whole."""
    table.log_in()
    with pytest.raises(Malformed, match="in one way"):
        new_lasting(table, *how_long)
    assert table.broker.requests == []


def test_a_lease_that_is_shorter_than_asked_for_is_told(table: Table) -> None:
    """It ends with the login; the job might not."""
    table.log_in()
    table.broker.longest_lease_seconds = 3600
    new_lasting(table, "--queue", "1h", "--run", "1h")
    assert "1 h less than was asked for" in table.said()


def test_each_start_is_shown_with_its_time_and_address(table: Table) -> None:
    """One that the job did not make stands out."""
    table.log_in()
    path = new(table)
    start = JobStart(table.clock.now(), "192.0.2.7")
    table.broker.told = {
        "starts": [start, replace(start, address="203.0.113.9")],
        "most_starts": 10,
    }
    table.answered()
    assert table.run(job, "show", str(path)) == 0
    told = table.answered()
    assert told.startswith(
        "Job run42: the lease lasts until 2026-06-02 12:00 UTC; its login is ready."
    )
    assert "Started 2 times, of 10 at the most:" in told
    assert "  2026-06-01 12:00:00 UTC  from 203.0.113.9\n" in told
    table.broker.told = {}
    table.run(job, "show", str(path))
    assert "audit trail" in table.answered()


def test_what_stopped_a_job_is_told_when_it_is_asked_about(table: Table) -> None:
    """With the command that makes a new lease."""
    table.log_in()
    path = new(table)
    table.broker.problems.append(LeaseEnded("A secret of it was shown that was over."))
    with pytest.raises(LeaseEnded) as ended:
        table.run(job, "show", str(path))
    assert "credbroker job new cms" in ended.value.remedy


def test_a_script_is_told_in_json(table: Table) -> None:
    """Of the new lease, of how it stands, of its end; never the lease itself."""
    table.log_in()
    path = new(table, "--json")
    made = table.answered()
    assert json.loads(made) == {
        "file": str(path),
        "job": "run42",
        "issuer": "cms",
        "role": "default",
        "scope": "storage.read:/a",
        "audience": ["https://dav"],
        "lease_ends_at": "2026-06-02T00:00:00Z",
        "most_starts": 10,
    }
    assert lease_file.read(path).lease_token.reveal() not in made
    table.run(job, "show", str(path), "--json")
    shown = json.loads(table.answered())
    assert (shown["job"], shown["grant_state"]) == ("run42", "ready")
    assert shown["scope"] == "openid offline_access storage.read:/"
    table.run(job, "end", str(path), "--json")
    assert json.loads(table.answered()) == {"job": "run42", "ended": True}
