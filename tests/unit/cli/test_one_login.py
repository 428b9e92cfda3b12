"""A login that is needed is said at once, or made once for all who need it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest

from credbroker.cli.choice import add_login_arguments
from credbroker.cli.one_login import add_when_needed_arguments, turn_of, under_login
from credbroker.cli.turns import turn
from credbroker.delivery import lease_file
from credbroker.domain.errors import (
    CredbrokerError,
    GrantInDoubt,
    GrantPaused,
    LeaseEnded,
    LeaseUnknown,
    LoginDenied,
    LoginNeeded,
    Malformed,
    NotFound,
)
from credbroker.wire.native import LOGINS
from tests.unit.cli.conftest import BROKER_URL

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from credbroker.delivery.lease_file import LeaseFile
    from tests.unit.cli.conftest import Table

OVER = LeaseEnded("This lease ran out.")


def asked(table: Table, *arguments: str, error: CredbrokerError | None = None) -> list[LeaseFile]:
    """Do something under a login that fails the first time with `error`; return the logins it saw."""
    parser = argparse.ArgumentParser()
    add_login_arguments(parser)
    add_when_needed_arguments(parser)
    seen: list[LeaseFile] = []

    def deed(lease: LeaseFile) -> list[LeaseFile]:
        seen.append(lease)
        if error is not None and len(seen) == 1:
            raise error
        return seen

    return under_login(parser.parse_args(arguments), table.desk(), deed)


def under_way(table: Table) -> AbstractContextManager[bool]:
    """Hold the turn of a login to cms, as a command in another terminal does."""
    lease_file.make_leases_folder(table.environ, table.desk().entropy)
    path = turn_of(table.environ, "cms", "default")
    return turn(path, table.clock, 0, waiting=lambda: None, in_vain=lambda: OSError("taken"))


def test_a_login_that_is_good_is_used(table: Table) -> None:
    """Nobody is asked."""
    table.log_in()
    (lease,) = asked(table)
    assert (lease.issuer, table.broker.requests) == ("cms", [])


@pytest.mark.parametrize("arguments", [(), ("--no-login",)])
def test_without_a_terminal_the_command_is_said_at_once(
    table: Table, arguments: tuple[str, ...]
) -> None:
    """Without a request and without a wait, also while a login is under way elsewhere."""
    begun = table.clock.elapsed()
    if arguments:
        table.sit_down()
    table.environ["CREDBROKER_URL"] = BROKER_URL
    with under_way(table), pytest.raises(LoginNeeded) as needed:
        asked(table, "cms", *arguments)
    assert needed.value.remedy == "Log in with: credbroker login cms"
    table.log_in()
    with under_way(table), pytest.raises(LeaseEnded) as over:
        asked(table, *arguments, error=OVER)
    assert over.value.remedy == "Log in again with: credbroker login cms --role default"
    assert (table.clock.elapsed(), table.broker.requests) == (begun, [])


@pytest.mark.parametrize("arguments", [(), ("--login",)])
def test_a_first_login_is_made_where_somebody_sits_or_where_it_is_wanted(
    table: Table, arguments: tuple[str, ...]
) -> None:
    """In the broker's only issuer and its first role."""
    table.environ["CREDBROKER_URL"] = BROKER_URL
    if not arguments:
        table.sit_down()
    (lease,) = asked(table, *arguments)
    assert (lease.issuer, lease.role) == ("cms", "default")
    assert table.broker.count(LOGINS) == 1
    said = table.said()
    assert said.startswith("You are not logged in.\n")
    assert "ABCD-EFGH" in said


@pytest.mark.parametrize(
    "error", [OVER, LeaseUnknown("?"), LoginNeeded("Lost."), GrantInDoubt("In doubt.")]
)
def test_what_a_login_mends_leads_to_one(table: Table, error: CredbrokerError) -> None:
    """At the broker of the login before, whatever the environment says by now."""
    table.log_in(role="production", ca_file="/etc/ca.pem")
    table.environ["CREDBROKER_URL"] = "https://other.example.org"
    before, after = asked(table, "--login", error=error)
    assert before.lease_token != after.lease_token
    assert (after.role, after.broker, after.ca_file) == ("production", BROKER_URL, "/etc/ca.pem")
    assert {address for address, _ in table.asked} == {BROKER_URL}


def test_what_a_login_does_not_mend_leads_to_none(table: Table) -> None:
    """As where the issuer wants something else first."""
    table.log_in()
    with pytest.raises(GrantPaused):
        asked(table, "--login", error=GrantPaused("Sign the rules."))
    assert table.broker.requests == []


def test_who_waited_for_a_login_uses_it(table: Table) -> None:
    """It is said once that it is waited for; no second login is begun."""
    table.log_in()
    other = under_way(table)
    other.__enter__()

    def confirm() -> None:
        table.log_in()
        other.__exit__(None, None, None)

    table.clock.after(30, confirm)
    _, after = asked(table, "--login", error=OVER)
    assert table.said() == (
        "This lease ran out.\nWaiting for the login to cms that is under way.\n"
    )
    assert lease_file.read(lease_file.person_paths(table.environ)[0]) == after
    assert table.broker.requests == []


def test_a_login_that_hangs_holds_nobody_up_once_there_is_another(table: Table) -> None:
    """Somebody typed `credbroker login`, while a prompt that nobody sees has the turn."""
    table.log_in()
    begun = table.clock.elapsed()
    table.clock.after(30, table.log_in)
    with under_way(table):
        _, after = asked(table, "--login", error=OVER)
    assert lease_file.read(lease_file.person_paths(table.environ)[0]) == after
    assert 30 <= table.clock.elapsed() - begun < 31


def test_a_login_that_was_made_meanwhile_is_used(table: Table) -> None:
    """By the time that the turn is had."""
    table.log_in()
    parser = argparse.ArgumentParser()
    add_login_arguments(parser)
    add_when_needed_arguments(parser)
    seen: list[LeaseFile] = []

    def deed(lease: LeaseFile) -> None:
        seen.append(lease)
        if len(seen) == 1:
            table.log_in()
            raise OVER

    under_login(parser.parse_args(["--login"]), table.desk(), deed)
    assert len(seen) == 2
    assert table.broker.count(LOGINS) == 0


def test_a_login_that_came_to_nothing_is_not_followed_by_the_next(table: Table) -> None:
    """A hundred callers are not a hundred prompts, one after another."""
    table.log_in()
    other = under_way(table)
    other.__enter__()
    table.clock.after(600, lambda: other.__exit__(None, None, None))
    with pytest.raises(LoginNeeded, match="came to nothing") as vain:
        asked(table, "--login", error=OVER)
    assert vain.value.remedy == "Log in with: credbroker login cms --role default"
    assert table.broker.count(LOGINS) == 0


def test_a_login_that_hangs_is_not_waited_for_for_ever(table: Table) -> None:
    """Longer than an issuer lets a person take, and no longer."""
    table.log_in()
    begun = table.clock.elapsed()
    with under_way(table), pytest.raises(LoginNeeded, match="came to nothing"):
        asked(table, "--login", error=OVER)
    assert 3600 <= table.clock.elapsed() - begun < 3610


def test_a_login_that_fails_says_so_and_frees_the_turn(table: Table) -> None:
    """The person said no."""
    table.log_in()
    table.broker.denied = True
    with pytest.raises(LoginDenied):
        asked(table, "--login", error=OVER)
    with under_way(table):
        pass


def test_where_a_login_should_be_made_is_not_guessed(table: Table) -> None:
    """No broker is known, or which of its issuers is meant, or it has not got that one."""
    with pytest.raises(LoginNeeded):
        asked(table, "cms", "--login")
    table.environ["CREDBROKER_URL"] = BROKER_URL
    with pytest.raises(NotFound) as unknown:
        asked(table, "atlas", "--login")
    assert unknown.value.remedy == "It has: cms."
    table.broker.issuers["dune"] = ["default"]
    with pytest.raises(Malformed, match="cms, dune"):
        asked(table, "--login")
    assert table.broker.count(LOGINS) == 0


def test_a_login_may_take_as_long_as_its_issuer_allows(table: Table) -> None:
    """Half an hour at some: who waits for it ends with it, and not before."""
    table.log_in()
    other = under_way(table)
    other.__enter__()

    def confirm() -> None:
        table.log_in()
        other.__exit__(None, None, None)

    table.clock.after(1790, confirm)
    asked(table, "--login", error=OVER)
    assert table.broker.requests == []
