"""A job that would outlive its login is refused; the access point's lease lasts as was stated."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from credbroker.domain.errors import LeaseEnded, TooSoonExpired
from credbroker.edge.storer.asked import Service
from credbroker.edge.storer.lasting import check_outlasts, make, will_do
from tests.unit.edge.storer.conftest import logins

if TYPE_CHECKING:
    from credbroker.edge.storer.logins import LoggedIn
    from tests.unit.cli.conftest import Table

HOUR = 3600
DAY = 24 * HOUR


@pytest.fixture
def login(table: Table) -> LoggedIn:
    """A login that lasts for a day more."""
    table.log_in()
    return logins(table, attended=False).ready(Service("cms"))


def test_a_job_that_is_done_before_the_login_ends_may_go(table: Table, login: LoggedIn) -> None:
    """To the last second; where nothing is stated nothing is refused."""
    end = table.clock.now() + datetime.timedelta(days=1)
    for stated in (None, HOUR, DAY):
        assert check_outlasts(login, stated, table.clock.now()) == end


def test_a_job_that_outlives_its_login_is_refused_with_the_command(
    table: Table, login: LoggedIn
) -> None:
    """Before it is queued, and not when it has run for a day."""
    with pytest.raises(TooSoonExpired) as refused:
        check_outlasts(login, DAY + 1, table.clock.now())
    assert refused.value.remedy == "Log in again first: credbroker login cms --role default"
    assert "ends on 2026-06-02 12:00 UTC" in refused.value.sentence


def test_the_end_that_the_issuer_sets_counts_too(table: Table, login: LoggedIn) -> None:
    """The lease may last longer than what is behind it."""
    soon = table.clock.now() + datetime.timedelta(hours=1)
    ending = replace(login, told=replace(login.told, log_in_before=soon))
    with pytest.raises(TooSoonExpired):
        check_outlasts(ending, 2 * HOUR, table.clock.now())


def test_a_lease_is_made_for_a_day_more_than_stated(table: Table, login: LoggedIn) -> None:
    """So the submits of the next day need no other; it is another one than the login's."""
    made = make(login, HOUR, table.desk(), None)
    assert made.lease_ends_at == table.clock.now() + datetime.timedelta(seconds=HOUR + DAY)
    assert made.lease_token != login.lease.lease_token
    assert will_do(made, login, HOUR, table.clock.now())
    later = table.clock.now() + datetime.timedelta(hours=23)
    assert will_do(made, login, HOUR, later)


def test_a_lease_that_would_be_too_short_will_not_do(table: Table, login: LoggedIn) -> None:
    """Nor one of another person or broker."""
    now = table.clock.now()
    made = make(login, None, table.desk(), None)
    short = replace(made, lease_ends_at=now + datetime.timedelta(hours=2))
    assert will_do(made, login, None, now)
    assert not will_do(short, login, 3 * HOUR, now)
    assert not will_do(short, login, None, now)
    assert will_do(short, login, HOUR, now)
    for other in (replace(made, credkey="bob"), replace(made, broker="https://b:1"), None):
        assert not will_do(other, login, HOUR, now)


def test_no_lease_comes_of_a_login_that_is_over(table: Table, login: LoggedIn) -> None:
    """Which is said with the command that mends it."""
    table.broker.ended.update(table.broker.leases)
    with pytest.raises(LeaseEnded) as over:
        make(login, None, table.desk(), None)
    assert "credbroker login cms --role default" in over.value.remedy
