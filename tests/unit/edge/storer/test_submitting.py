"""A submit: looked at, tried out, stored; what is wrong is told before anything is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credbroker.domain.errors import LeaseEnded, Malformed, OutsideCeiling, TooSoonExpired
from credbroker.edge.storer.asked import Service, parse
from credbroker.edge.storer.storages import Storage
from credbroker.edge.storer.submitting import warn_of_unused
from credbroker.wire.native import TOKENS, AskToken
from tests.fakes.broker import SHORTER_LEASES
from tests.unit.edge.storer.conftest import FakeCredd, submit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from credbroker.client.http11 import Request
    from tests.unit.cli.conftest import Table

CMS = Service("cms")
NARROW = "cms&handle=h&scopes=storage.read:/a&audience=https://se"


def serve(
    table: Table, *credds: FakeCredd, requests: Sequence[str] = (NARROW,), seconds: int | None = None,
    known: Sequence[Storage] = (),
) -> None:  # fmt: skip
    """Serve a submit of these requests."""
    submit(table, *credds, known=known).serve(CMS, [parse(one) for one in requests], seconds)


def tokens_asked(table: Table) -> list[Request]:
    """Return the requests for tokens so far."""
    return [one for one in table.broker.requests if one.target == TOKENS]


def test_the_exact_token_is_had_once_under_the_lease_that_is_stored(
    table: Table, credd: FakeCredd
) -> None:
    """What the credmon will do has been done, before the job is queued."""
    table.log_in()
    serve(table, credd)
    (asked,) = tokens_asked(table)
    assert AskToken.read(asked.body) == AskToken(["storage.read:/a"], ["https://se"], 2400)
    assert asked.headers["Authorization"] == f"Bearer {credd.lease_in('cms')}"
    assert credd.stored == ["cms", "cms_h"]


def test_the_next_submit_makes_no_lease_and_stores_nothing(table: Table, credd: FakeCredd) -> None:
    """Another access point gets the same lease."""
    table.log_in()
    other = FakeCredd(table.clock, "other")
    for _ in range(3):
        serve(table, credd, other)
    assert table.broker.count(SHORTER_LEASES) == 1
    assert credd.stored == other.stored == ["cms", "cms_h"]
    assert credd.lease_in("cms") == other.lease_in("cms")


def test_what_is_refused_is_told_and_nothing_is_stored(table: Table, credd: FakeCredd) -> None:
    """With the spelling that is like what was asked for."""
    table.log_in()
    table.broker.problems.extend([None, None, None, OutsideCeiling("Outside the role.", "Less.")])
    with pytest.raises(OutsideCeiling) as refused:
        serve(table, credd, known=[Storage("se", audience="https://see")])
    assert refused.value.remedy == "The audience of se is https://see. Less."
    assert credd.held == {}


def test_tokens_too_short_for_the_credmon_are_told(table: Table, credd: FakeCredd) -> None:
    """It would refuse them, again and again, with the job on hold."""
    table.log_in()
    short = TooSoonExpired("The issuer's tokens do not live the 2400 s that were asked for.")
    table.broker.problems.extend([None, None, None, short])
    with pytest.raises(TooSoonExpired) as told:
        serve(table, credd)
    assert "CREDMON_OAUTH_TOKEN_MINIMUM" in told.value.remedy


def test_a_slip_is_told_before_anybody_is_asked(table: Table, credd: FakeCredd) -> None:
    """Not even for a login."""
    with pytest.raises(Malformed, match="the audience of se is"):
        serve(table, credd, known=[Storage("se", audience="https://se/")])
    assert table.broker.requests == []


def test_a_job_that_outlives_its_login_is_not_stored_for(table: Table, credd: FakeCredd) -> None:
    """Nor is a lease made."""
    table.log_in()
    with pytest.raises(TooSoonExpired):
        serve(table, credd, seconds=2 * 86400)
    assert (credd.held, table.broker.count(SHORTER_LEASES)) == ({}, 0)


def test_a_longer_job_gets_a_longer_lease_for_all(table: Table, credd: FakeCredd) -> None:
    """The file of a service is one; a shorter job then changes nothing."""
    table.log_in(lease_ends_at=table.clock.now().replace(year=2031))
    serve(table, credd, seconds=60)
    short = credd.lease_in("cms")
    table.clock.advance(86000)
    serve(table, credd, seconds=80000)
    long = credd.lease_in("cms")
    assert long != short
    serve(table, credd, seconds=60)
    assert credd.lease_in("cms") == long


def test_a_lease_that_was_ended_is_made_anew(table: Table, credd: FakeCredd) -> None:
    """By an operator, or with the login before this one."""
    table.log_in()
    serve(table, credd)
    first = credd.lease_in("cms")
    table.broker.ended.add(first)
    serve(table, credd)
    assert credd.lease_in("cms") != first


def test_a_login_that_is_over_is_tried_twice_and_told(table: Table, credd: FakeCredd) -> None:
    """With its command, and not again and again."""
    table.log_in()
    over = LeaseEnded("Ended.")
    table.broker.problems.extend([None, None, None, over, None, over])
    with pytest.raises(LeaseEnded) as told:
        serve(table, credd)
    assert "credbroker login cms --role default" in told.value.remedy
    assert (len(tokens_asked(table)), credd.held) == (2, {})


def test_what_means_nothing_here_is_told(table: Table) -> None:
    """It was meant for htgettoken."""
    warn_of_unused([parse("cms&options=--minsecs=100")], table.desk())
    assert table.said() == "The option --minsecs=100 of cms does nothing here.\n"
