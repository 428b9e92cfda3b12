"""`credbroker admin legacy` tells from the audit trail who still comes by an earlier HTVault."""

from __future__ import annotations

import datetime
import io
from typing import TYPE_CHECKING

import pytest

from credbroker.__main__ import main
from credbroker.admin.desk import Desk
from credbroker.admin.legacy import count_legacy
from credbroker.config.load import load
from credbroker.domain.errors import LocalFileUnfit
from credbroker.telemetry.audit import AuditTrail
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.unit.config.place import right, write

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.config.schema import Settings

DAY = 86400.0


def settings_with_legacy(folder: Path) -> Settings:
    """Return settings whose issuer egi had an HTVault."""
    tree = right(folder)
    tree["issuers"]["egi"]["legacy"] = {
        "url": "https://old.test:8200", "until": datetime.date(2026, 6, 30),
    }  # fmt: skip
    return load(write(folder, a=tree))


async def record(folder: Path, replica: str, clock: FakeClock, *whose: str, address: str) -> None:
    """Put a line on a replica's trail for each of these credkeys; an empty one names nobody."""
    trail = AuditTrail(folder, replica, clock)
    for credkey in whose:
        names = {"issuer": "egi", "credkey": credkey, "role": "default"} if credkey else {}
        await trail.record("passed_on", address=address, method="GET", **names)
        await trail.record("mint", issuer="egi", why='an "event":"passed_on" of a kind')
    trail.close()


def told(folder: Path, clock: FakeClock, *folders: Path, days: int = 14) -> list[str]:
    """Return the lines of the answer."""
    out = io.StringIO()
    desk = Desk(clock, FakeEntropy(), out, io.StringIO())
    count_legacy(settings_with_legacy(folder), desk, folders, days)
    return out.getvalue().splitlines()


async def test_days_logins_and_addresses_are_counted_over_all_replicas(
    tmp_path: Path, clock: FakeClock
) -> None:
    """A login counts once a day however often it comes; its newest coming is told."""
    await record(tmp_path, "one", clock, "ada", "ada", "bob", address="192.0.2.1")
    clock.advance(DAY)
    await record(tmp_path, "two", clock, "ada", "", address="192.0.2.2")
    assert told(tmp_path, clock) == [
        "egi: passed on until the end of 2026-06-30 (UTC).",
        "2026-06-01: requests 3, logins 2, addresses 1",
        "2026-06-02: requests 2, logins 1, addresses 1",
        "egi ada:default: last on 2026-06-02 from 192.0.2.2",
        "egi bob:default: last on 2026-06-01 from 192.0.2.1",
    ]


async def test_so_many_days_are_looked_at(tmp_path: Path, clock: FakeClock) -> None:
    """Today is one of them."""
    await record(tmp_path, "one", clock, "ada", address="192.0.2.1")
    clock.advance(DAY)
    assert told(tmp_path, clock, days=2)[1].startswith("2026-06-01")
    assert told(tmp_path, clock, days=1)[1:] == ["Nobody came with a vault token of an HTVault."]


async def test_trails_of_other_hosts_are_read_where_they_lie(
    tmp_path: Path, clock: FakeClock
) -> None:
    """Instead of this host's."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, name in ((here, "one"), (there, "two")):
        folder.mkdir()
        await record(folder, name, clock, name, address="192.0.2.1")
    lines = told(tmp_path, clock, here, there)
    assert lines[1] == "2026-06-01: requests 2, logins 2, addresses 1"


def test_a_folder_without_a_trail_is_told_apart_from_nobody(
    tmp_path: Path, clock: FakeClock
) -> None:
    """A mistyped folder must not say that the HTVault may be switched off."""
    with pytest.raises(LocalFileUnfit, match="there is no audit trail here"):
        told(tmp_path, clock)


def test_a_damaged_line_is_not_passed_over(tmp_path: Path, clock: FakeClock) -> None:
    """It might be somebody's."""
    (tmp_path / "audit-one.jsonl").write_text('{"event":"passed_on"\n')
    with pytest.raises(LocalFileUnfit, match="cannot be read"):
        told(tmp_path, clock)


def test_openbao_is_not_needed_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The settings and the trail are all that is read."""
    settings_with_legacy(tmp_path)
    (tmp_path / "audit-one.jsonl").touch()
    assert main(["admin", "legacy", "--config", str(tmp_path / "config.d")]) == 0
    assert "Nobody came" in capsys.readouterr().out
