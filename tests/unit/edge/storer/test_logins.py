"""A login is found, or made once for all who want it; nobody is asked where nobody is."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from credbroker.cli.one_login import WAIT_SECONDS, turn_of
from credbroker.cli.turns import turn
from credbroker.delivery import lease_file
from credbroker.domain.errors import (
    BrokerUnreachable,
    LeaseEnded,
    LoginExpired,
    LoginNeeded,
    NotFound,
)
from credbroker.edge.storer.asked import Service
from credbroker.edge.storer.logins import is_attended
from credbroker.wire.native import LOGINS
from tests.unit.cli.conftest import Terminal
from tests.unit.edge.storer.conftest import logins

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tests.unit.cli.conftest import Table

CMS = Service("cms")


def prompting(table: Table) -> AbstractContextManager[bool]:
    """Hold the turn of a login at cms, as a storer in another terminal does."""
    lease_file.make_leases_folder(table.environ, table.desk().entropy)
    path = turn_of(table.environ, "cms", "default")
    return turn(path, table.clock, 0, waiting=lambda: None, in_vain=lambda: OSError("taken"))


def test_a_login_that_is_there_is_used(table: Table) -> None:
    """The broker says how it stands."""
    table.log_in()
    found = logins(table, attended=False).ready(CMS)
    assert (found.lease.issuer, found.lease.role, found.told.credkey) == ("cms", "default", "alice")
    assert table.broker.count(LOGINS) == 0


def test_without_a_role_the_brokers_first_one_is_meant(table: Table) -> None:
    """Never another one that the person happens to be logged in with."""
    table.log_in(role="production")
    with pytest.raises(LoginNeeded) as needed:
        logins(table, attended=False).ready(CMS)
    assert needed.value.remedy == "Log in with: credbroker login cms --role default"
    assert (
        logins(table, attended=False).ready(Service("cms", "production")).lease.role == "production"
    )


def test_nobody_is_asked_or_waited_for_without_a_terminal(table: Table) -> None:
    """It is said without a request and without a wait, while another terminal has a prompt."""
    begun = table.clock.elapsed()
    with prompting(table), pytest.raises(LoginNeeded) as needed:
        logins(table, attended=False).ready(Service("cms", "production"))
    assert needed.value.remedy == "Log in with: credbroker login cms --role production"
    assert (table.clock.elapsed(), table.broker.requests) == (begun, [])


def test_a_person_is_asked_once_and_the_login_is_kept(table: Table) -> None:
    """The prompt begins on a line of its own; the next one finds the login there."""
    made = logins(table).ready(CMS)
    said = table.said()
    assert said.startswith("\nTo log in to cms in the role default, open\n")
    assert "ABCD-EFGH" in said
    assert lease_file.read(lease_file.person_path(table.environ, "cms", "default")) == made.lease
    assert logins(table).ready(CMS) == made
    assert (table.said(), table.broker.count(LOGINS)) == ("", 1)


def test_a_login_that_is_over_is_made_anew_where_it_was(table: Table) -> None:
    """A login in a lease file belongs to its own broker."""
    table.log_in()
    table.broker.ended.update(table.broker.leases)
    with pytest.raises(LeaseEnded) as over:
        logins(table, attended=False).ready(CMS)
    assert "credbroker login cms --role default" in over.value.remedy
    assert logins(table).ready(CMS).lease.lease_token.reveal() not in table.broker.ended


def test_a_grant_that_needs_a_person_needs_a_login(table: Table) -> None:
    """Paused, lost, in doubt: jobs would not get their tokens."""
    table.log_in()
    table.broker.grant_state = "lost"
    with pytest.raises(LoginNeeded, match="it is lost") as needed:
        logins(table, attended=False).ready(CMS)
    assert "credbroker login cms --role default" in needed.value.remedy


def test_who_waited_for_a_login_uses_it(table: Table) -> None:
    """Nothing is shown but that it is waited for."""
    other = prompting(table)
    other.__enter__()

    def confirm() -> None:
        table.log_in()
        other.__exit__(None, None, None)

    table.clock.after(30, confirm)
    assert logins(table).ready(CMS).lease.issuer == "cms"
    assert table.said() == "\nWaiting for your login to cms that is under way.\n"
    assert table.broker.count(LOGINS) == 0


def test_a_prompt_that_came_to_nothing_is_not_followed_by_the_next(table: Table) -> None:
    """Fifty submits are not fifty prompts of ten minutes, one after another."""
    other = prompting(table)
    other.__enter__()
    table.clock.after(600, lambda: other.__exit__(None, None, None))
    with pytest.raises(LoginNeeded, match="came to nothing"):
        logins(table).ready(CMS)
    assert table.broker.count(LOGINS) == 0


def test_a_prompt_that_hangs_is_not_waited_for_for_ever(table: Table) -> None:
    """And it holds up no login of another role."""
    begun = table.clock.elapsed()
    with prompting(table):
        assert logins(table).ready(Service("cms", "production")).lease.role == "production"
        assert table.clock.elapsed() - begun < 5
        with pytest.raises(LoginNeeded, match="came to nothing"):
            logins(table).ready(CMS)
    assert WAIT_SECONDS <= table.clock.elapsed() - begun < WAIT_SECONDS + 10


def test_a_login_that_nobody_confirms_ends_with_its_own_words(table: Table) -> None:
    """And the turn is free again."""
    table.broker.approved = False
    with pytest.raises(LoginExpired):
        logins(table).ready(CMS)
    with prompting(table):
        pass


def test_an_issuer_that_the_broker_does_not_serve_is_told(table: Table) -> None:
    """With those that it has."""
    with pytest.raises(NotFound) as unknown:
        logins(table).ready(Service("atlas"))
    assert "It has: cms." in unknown.value.remedy


def test_a_broker_that_is_away_is_no_reason_to_log_in(table: Table) -> None:
    """The login may be as good as ever."""
    table.log_in()
    table.broker.problems.extend([BrokerUnreachable("Away.")] * 9)
    with pytest.raises(BrokerUnreachable):
        logins(table).ready(CMS)
    assert table.broker.count(LOGINS) == 0


def test_there_is_a_person_where_there_is_a_terminal_and_no_dagman() -> None:
    """The prompt is shown on standard error, so that must be the terminal."""
    shown = Terminal()
    shown.is_terminal = True
    assert is_attended({}, shown)
    assert not is_attended({}, io.StringIO())
    for name in ("_CONDOR_DAGMAN_LOG", "CONDOR_ID", "_CONDOR_JOB_AD"):
        assert not is_attended({name: "x"}, shown)
