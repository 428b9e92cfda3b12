"""`credbroker status`: every login, how long it lasts, and what mends it."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING

import pytest

from credbroker.cli import status, token
from credbroker.delivery import lease_file
from credbroker.domain.errors import (
    BrokerUnreachable,
    LeaseEnded,
    LoginNeeded,
    Malformed,
    NotAllowed,
)

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Table


def test_a_good_login_is_one_aligned_row(table: Table) -> None:
    """Columns line up, nothing needs mending, exit code 0."""
    table.log_in()
    table.run(token)
    table.answered()
    assert table.run(status) == 0
    assert table.answered() == (
        "ISSUER  ROLE     WHO    LOGIN LEFT  TOKEN LEFT  STATE  LAST REFRESH\n"
        "cms     default  alice  1 d         1 h         ready  2 min ago\n"
    )


def test_a_broker_that_is_away_hides_nothing_that_is_known_here(table: Table) -> None:
    """The row is filled from the files, the exit code says try later."""
    table.log_in()
    table.broker.problems.append(BrokerUnreachable("The broker cannot be reached.", "Wait."))
    assert table.run(status) == 3
    shown = table.answered()
    assert "not known now" in shown
    assert "1461 d" in shown
    assert shown.endswith("\ncms, default: The broker cannot be reached. Wait.\n")


@pytest.mark.parametrize("state", ["lost", "in_doubt", "ended"])
def test_a_grant_that_needs_the_person_names_the_command(table: Table, state: str) -> None:
    """The state is shown as the broker says it."""
    table.log_in(role="production")
    table.broker.grant_state = state
    assert table.run(status) == 4
    shown = table.answered()
    assert f"  {state}  " in shown
    assert shown.endswith(
        "\ncms, production: Log in again with: credbroker login cms --role production\n"
    )


def test_the_end_of_a_login_at_the_issuer_is_told_days_before(table: Table) -> None:
    """With the command that prevents it; nothing is wrong yet, so the exit code is 0."""
    table.log_in(role="production")
    table.broker.told["log_in_before"] = table.clock.now() + datetime.timedelta(days=3)
    assert table.run(status) == 0
    assert table.answered().endswith(
        "\ncms, production: Log in again before 2026-06-04 12:00 UTC with:"
        " credbroker login cms --role production\n"
    )
    table.run(status, "--json")
    (row,) = json.loads(table.answered())
    assert row["log_in_before"] == "2026-06-04T12:00:00Z"


def test_an_issuer_that_is_down_is_told_with_how_long_its_tokens_last(table: Table) -> None:
    """The login is as good as before, so the exit code is 0."""
    table.log_in()
    trouble = "The issuer 'cms' does not answer as it should, since 2026-06-01T11:30:00Z."
    until = table.clock.now() + datetime.timedelta(minutes=140)
    table.broker.told |= {"trouble": trouble, "tokens_last_until": until}
    assert table.run(status) == 0
    assert table.answered().endswith(
        f"\ncms, default: {trouble} Tokens in use last until 2026-06-01 14:20 UTC.\n"
    )
    table.run(status, "--json")
    (row,) = json.loads(table.answered())
    assert row["trouble"] == trouble
    assert row["tokens_last_until"] == "2026-06-01T14:20:00Z"


def test_what_narrower_tokens_cost_is_told(table: Table) -> None:
    """In the broker's own words, below the table and in the list."""
    table.log_in()
    table.broker.told |= {"narrowing": "Each narrower token is a refresh."}
    assert table.run(status) == 0
    assert table.answered().endswith("\ncms, default: Each narrower token is a refresh.\n")
    table.run(status, "--json")
    (row,) = json.loads(table.answered())
    assert row["narrowing"] == "Each narrower token is a refresh."


def test_the_worst_row_decides_the_exit_code(table: Table) -> None:
    """One good, one unreadable, one away, one over: all are shown."""
    table.log_in("atlas")
    table.log_in("belle").chmod(0o644)
    table.log_in("cms")
    table.log_in("dune")
    table.broker.problems.extend([None, BrokerUnreachable("Away."), LeaseEnded("Over.")])
    assert table.run(status, "--json") == 4
    rows = json.loads(table.answered())
    assert [(row["issuer"], row["state"]) for row in rows] == [
        ("atlas", "ready"),
        ("belle", "unreadable"),
        ("cms", "not known now"),
        ("dune", "ended"),
    ]
    assert rows[0]["remedy"] is None
    assert rows[0]["last_refresh_at"] == "2026-06-01T11:58:00Z"
    assert "chmod 600" in rows[1]["remedy"]
    assert "credbroker login dune" in rows[3]["remedy"]


def test_who_must_log_in_again_comes_before_what_is_refused(table: Table) -> None:
    """The order is by who must act, not by the number: 4, 5, 3, 2."""
    errors = {
        4: LeaseEnded("Over."),
        5: NotAllowed("Not you."),
        3: BrokerUnreachable("Away."),
        2: Malformed("What?"),
    }
    for number in errors:
        table.log_in(f"issuer{number}")
    for code in errors:
        left = [number for number in sorted(errors) if number != code]
        worst = next(number for number in errors if number != code)
        lease_file.person_path(table.environ, f"issuer{code}", "default").unlink()
        table.broker.problems.extend(errors[number] for number in left)
        assert table.run(status) == worst
        table.log_in(f"issuer{code}")


def test_a_token_of_another_issuer_is_not_counted(table: Table) -> None:
    """The file is shared by all logins; its token belongs to one."""
    table.log_in()
    table.run(token)
    table.answered()
    table.log_in("atlas", issuer_url="https://other.example.org/")
    table.run(status, "--json")
    rows = json.loads(table.answered())
    assert [row["token_expires_at"] for row in rows] == [None, "2026-06-01T13:00:00Z"]


def test_a_token_that_has_expired_is_said_so(table: Table) -> None:
    """Not "0 s", which could mean now."""
    table.log_in()
    table.run(token)
    table.clock.advance(7200)
    table.answered()
    table.run(status)
    assert "  over  " in table.answered()


def test_without_a_login_it_says_how_to_begin(table: Table) -> None:
    """An empty list in JSON, and exit code 4 by the error."""
    with pytest.raises(LoginNeeded, match="not logged in anywhere"):
        table.run(status, "--json")
    assert table.answered() == "[]\n"
