"""The units under a real systemd, booted in a container: started, watched, killed, stopped."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.boot_story import EDGE_WATCHDOG_SECONDS, UID, WATCHDOG_SECONDS
from tests.integration.boot_world import boot, why_not

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was seen of the units in a machine of their own."""
    reason = why_not(tmp_path_factory.mktemp("tried"))
    if reason:
        pytest.skip(reason)
    found = boot(tmp_path_factory.mktemp("booted"), "tests.integration.boot_story")
    assert "broke" not in found, f"{found['broke']}\n{found['journal']}"
    return found


def test_the_broker_says_when_it_is_ready(seen: dict[str, Any]) -> None:
    """`systemctl start` returns when it answers, at the first try, as a user of its own."""
    assert seen["started"] == {"ActiveState": "active", "NRestarts": "0", "User": "credbroker"}


def test_the_broker_runs_without_any_power(seen: dict[str, Any]) -> None:
    """No capability, none to be got, system calls filtered, no core file."""
    assert seen["status"] == {"CapEff": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}
    assert seen["core"] == ["0", "0"]


def test_secrets_reach_the_broker_and_nobody_else(seen: dict[str, Any]) -> None:
    """It has copies that it alone may read, one from a drop-in among them; it started with them."""
    names = ("client-secret-wlcg", "role-id", "secret-id", "tls-key")
    assert seen["credentials"] == {name: ["0o400", "credbroker"] for name in names}


def test_the_audit_trails_folder_is_the_brokers_alone(seen: dict[str, Any]) -> None:
    """It is made by systemd."""
    assert seen["log folder"] == "0o700"


def test_the_broker_takes_new_settings_by_systemctl_reload(seen: dict[str, Any]) -> None:
    """As the same process, which serves on where it refuses them; by then systemd has it active."""
    taken, refused = seen["reloads"]
    assert (taken["settings_taken"], taken["settings_refused"]) == ("1", "0")
    assert (refused["settings_taken"], refused["settings_refused"]) == ("1", "1")
    assert taken["MainPID"] == refused["MainPID"] != "0"


def test_a_broker_that_is_well_is_left_alone_by_its_watchdog(seen: dict[str, Any]) -> None:
    """For longer than the watchdog waits."""
    assert seen["restarts while well"] == "0"


def test_a_broker_that_stands_still_is_killed_and_started_again(seen: dict[str, Any]) -> None:
    """A stopped process feeds nobody; the next one answers."""
    assert "Watchdog timeout" in seen["journal"]
    assert seen["seconds until started again"] > WATCHDOG_SECONDS / 3


def test_a_broker_that_is_told_to_stop_ends_well(seen: dict[str, Any]) -> None:
    """It finishes and exits with 0; nobody has to kill it."""
    assert seen["stopped"] == {
        "ActiveState": "inactive",
        "Result": "success",
        "ExecMainStatus": "0",
    }


def test_an_agent_whose_broker_is_away_is_left_alone_by_its_watchdog(seen: dict[str, Any]) -> None:
    """It read its lease, which systemd gave it, and waits; a pass that got nothing is a pass."""
    assert seen["services"] == {"ActiveState": "active", "NRestarts": "0"}
    assert seen["seconds of services"] > EDGE_WATCHDOG_SECONDS


def test_whoever_logs_in_later_is_reached_from_the_sessions_unit(seen: dict[str, Any]) -> None:
    """A folder that is mounted after the start is seen and written to, as its owner."""
    assert seen["session's token"] == ["0o600", UID, UID]
    assert seen["seconds until a session has its token"] < 10


def test_the_sessions_unit_reaches_its_socket_and_neither_homes_nor_settings(
    seen: dict[str, Any],
) -> None:
    """What it needs is there, and no more."""
    assert seen["sessions may"] == "socket"
