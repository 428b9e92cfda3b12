"""`credbroker status`: every login, how long it lasts, and what mends it."""

from __future__ import annotations

import datetime
import json
import re
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


HEAD = "ISSUER  ROLE     WHO    LOGIN LEFT  TOKEN LEFT  STATE  LAST REFRESH\n"
ROW = "cms     default  alice  1 d         1 h         ready  2 min ago\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_on_a_terminal_a_good_login_is_one_aligned_row(table: Table, name: str, value: str) -> None:
    """Columns line up, nothing needs mending, exit code 0; no colours for who wants none."""
    table.log_in()
    table.run(token)
    table.answered()
    table.sit_down()
    table.environ[name] = value
    assert table.run(status) == 0
    assert table.answered() == HEAD + ROW


def test_colours_say_who_must_act(table: Table) -> None:
    """Green is well, yellow is nobody or soon, red is the person; columns stay as wide."""
    table.log_in()
    table.log_in("dune")
    table.log_in("iota")
    table.sit_down()
    table.broker.problems.extend([None, BrokerUnreachable("Away."), LeaseEnded("Over.")])
    table.run(status)
    head, *rows = table.answered().splitlines()[:4]
    assert head.startswith("\x1b[1mISSUER\x1b[0m  \x1b[1mROLE   ")
    states = [re.findall("\x1b\\[(\\d+)m(.*?) *\x1b", row) for row in rows]
    assert states == [[("32", "ready")], [("33", "not known now")], [("31", "ended")]]


def test_for_a_script_cells_stand_between_tabs(table: Table) -> None:
    """Without colours and without padding, whatever the variables say."""
    table.log_in()
    table.run(token)
    table.answered()
    table.environ["TERM"] = "xterm-256color"
    assert table.run(status) == 0
    assert table.answered() == "".join("\t".join(re.split("  +", line)) for line in (HEAD, ROW))


def test_one_login_can_be_looked_at(table: Table) -> None:
    """By issuer, by role; one that is not there is a login to be made."""
    for issuer, role in (("cms", "default"), ("cms", "production"), ("dune", "default")):
        table.log_in(issuer, role)
    seen = []
    for arguments in (("cms",), ("--role", "default"), ("cms", "--role", "production")):
        table.run(status, *arguments, "--json")
        seen.append([(row["issuer"], row["role"]) for row in json.loads(table.answered())])
    both = [("cms", "default"), ("dune", "default")]
    assert seen == [
        [("cms", "default"), ("cms", "production")],
        both,
        [("cms", "production")],
    ]
    with pytest.raises(LoginNeeded) as needed:
        table.run(status, "atlas", "--role", "x")
    assert needed.value.remedy == "Log in with: credbroker login atlas --role x"


@pytest.mark.parametrize(
    ("least", "code", "said"),
    [
        ("8h", 0, ""),
        ("1d", 0, ""),
        (
            "2d",
            6,
            (
                "cms, default: The login ends in 1 d, sooner than 2 d."
                " Log in again with: credbroker login cms --role default\n"
            ),
        ),
    ],
)
def test_a_script_can_check_how_long_a_login_lasts(
    table: Table, least: str, code: int, said: str
) -> None:
    """Nothing is printed; what is wrong is said, and the exit code tells it from the rest."""
    table.log_in()
    assert table.run(status, "--check", "--for", least) == code
    assert (table.answered(), table.said()) == ("", said)


def test_a_check_says_what_is_wrong_and_nothing_else(table: Table) -> None:
    """The login is needed, or the broker is away; the good one beside it is not told."""
    table.log_in()
    table.log_in("dune")
    table.broker.problems.append(None)
    table.broker.problems.append(BrokerUnreachable("The broker is away.", "Wait."))
    assert table.run(status, "--check") == 3
    assert (table.answered(), table.said()) == ("", "dune, default: The broker is away. Wait.\n")
    table.broker.grant_state = "lost"
    assert table.run(status, "cms", "--check", "--for", "8h") == 4
    assert table.said() == "cms, default: Log in again with: credbroker login cms --role default\n"


def test_a_login_that_no_refresh_makes_longer_ends_when_it_ends_at_the_issuer(
    table: Table,
) -> None:
    """Whatever the lease would last."""
    table.log_in()
    table.broker.told["log_in_before"] = table.clock.now() + datetime.timedelta(hours=3)
    assert table.run(status, "--check", "--for", "8h") == 6
    assert "ends in 3 h, sooner than 8 h" in table.said()
    assert table.run(status, "--for", "3h") == 0


def test_the_last_error_is_shown_with_the_brokers_own_remedy(table: Table) -> None:
    """As where the issuer wants something else than a login."""
    table.log_in()
    table.broker.grant_state = "paused"
    table.broker.told |= {"last_error": "The issuer wants its rules signed.", "remedy": "Sign."}
    assert table.run(status) == 4
    assert table.answered().endswith("\ncms, default: The issuer wants its rules signed. Sign.\n")
    table.run(status, "--json")
    (row,) = json.loads(table.answered())
    assert (row["last_error"], row["remedy"]) == ("The issuer wants its rules signed.", "Sign.")


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
    assert f"\t{state}\t" in shown
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
    assert "\tover\t" in table.answered()


def test_without_a_login_it_says_how_to_begin(table: Table) -> None:
    """An empty list in JSON, and exit code 4 by the error."""
    with pytest.raises(LoginNeeded, match="not logged in anywhere"):
        table.run(status, "--json")
    assert table.answered() == "[]\n"
