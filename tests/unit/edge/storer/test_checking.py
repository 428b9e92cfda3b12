"""Whether a submit would go through is told in one line, and costs nothing but the question."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from credbroker.domain.errors import BrokerUnreachable, CredbrokerError, OutsideCeiling
from credbroker.edge.storer.asked import parse
from credbroker.edge.storer.checking import check
from credbroker.edge.storer.storages import Storage
from credbroker.wire.native import LOGINS
from tests.fakes.broker import SHORTER_LEASES
from tests.unit.edge.storer.conftest import submit

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Table
    from tests.unit.edge.storer.conftest import FakeCredd

KNOWN = [Storage("se", audience="https://se/")]


def asked(
    table: Table, credd: FakeCredd, *requests: str, stated: int | None = None, as_json: bool = False
) -> int:
    """Check these requests."""
    return check(
        submit(table, credd, known=KNOWN), [parse(one) for one in requests], stated, as_json=as_json
    )


def test_yes_is_said_with_its_end(table: Table, credd: FakeCredd) -> None:
    """Without a lease being made, and without the credd."""
    table.log_in()
    assert asked(table, credd, "cms", stated=3600) == 0
    assert table.answered() == (
        "cms: yes, a submit would go through without a prompt, until 2026-06-02 12:00 UTC.\n"
    )
    assert (credd.queries, table.broker.count(SHORTER_LEASES)) == (0, 0)


@pytest.mark.parametrize(
    ("problem", "code"), [(BrokerUnreachable("Away."), 3), (OutsideCeiling("Too much."), 5)]
)
def test_no_is_said_with_the_exit_code_of_a_submit(
    table: Table, credd: FakeCredd, problem: CredbrokerError, code: int
) -> None:
    """Whose turn it is."""
    table.log_in()
    table.broker.problems.extend([None, None, problem])
    assert asked(table, credd, "cms") == code
    assert table.answered() == f"cms: no. {problem.sentence} {problem.remedy}\n"


def test_a_login_that_is_missing_or_too_short_is_told(table: Table, credd: FakeCredd) -> None:
    """And nobody is asked for it."""
    assert asked(table, credd, "cms") == 4
    table.log_in()
    assert asked(table, credd, "cms", stated=2 * 86400) == 6
    assert asked(table, credd, "cms&options=for=2d") == 6
    assert asked(table, credd, "cms&handle=h&audience=https://se") == 2
    assert table.broker.count(LOGINS) == 0


def test_of_several_the_worst_counts(table: Table, credd: FakeCredd) -> None:
    """First what only the person can mend; programs get all of it."""
    table.log_in()
    assert asked(table, credd, "cms", "cms_other", "cms&options=for=2d", as_json=True) == 4
    good, missing, short = json.loads(table.answered())
    assert good == {
        "name": "cms",
        "goes_through": True,
        "until": "2026-06-02T12:00:00Z",
        "exit_code": 0,
        "error": None,
        "message": None,
        "remedy": None,
    }
    assert (missing["goes_through"], missing["error"]) == (False, "login_needed")
    assert missing["remedy"] == "Log in with: credbroker login cms --role other"
    assert (short["exit_code"], short["error"]) == (6, "expires_too_soon")
