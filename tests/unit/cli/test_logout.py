"""`credbroker logout`: the broker first, then this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from credbroker.cli import logout, token
from credbroker.domain.errors import BrokerUnreachable, LeaseEnded, LeaseUnknown, LoginNeeded
from credbroker.wire.native import GRANT_SELF
from tests.fakes.broker import access_token

if TYPE_CHECKING:
    from credbroker.domain.errors import CredbrokerError
    from tests.unit.cli.conftest import Table


def test_a_logout_ends_the_grant_and_removes_both_files(table: Table) -> None:
    """What stays valid elsewhere is said, with its end."""
    path = table.log_in()
    table.run(token)
    table.answered()
    assert table.run(logout) == 0
    assert not path.exists()
    assert not table.token_path.exists()
    assert table.answered() == ""
    assert table.said() == (
        "Logged out of cms in the role default.\n"
        f"Removed the token file {table.token_path}.\n"
        "Access tokens already given out stay valid for up to 30 min, until 2026-06-01 12:30 UTC.\n"
    )
    assert table.broker.count(GRANT_SELF) == 1


@pytest.mark.parametrize("error", [LeaseEnded("x"), LeaseUnknown("x"), LoginNeeded("x")])
def test_a_login_that_is_over_already_is_cleared_away(table: Table, error: CredbrokerError) -> None:
    """The files go all the same."""
    path = table.log_in()
    table.broker.problems.append(error)
    assert table.run(logout) == 0
    assert not path.exists()
    assert "had ended already" in table.said()


def test_a_broker_that_is_away_leaves_everything(table: Table) -> None:
    """The command can be repeated; a half logout would look like a whole one."""
    path = table.log_in()
    table.run(token)
    table.broker.problems.append(BrokerUnreachable("Away."))
    with pytest.raises(BrokerUnreachable):
        table.run(logout)
    assert path.exists()
    assert table.token_path.exists()


@pytest.mark.parametrize("whose", ["other issuer", "no token", "unknown"])
def test_a_token_that_is_not_this_logins_stays(table: Table, whose: str) -> None:
    """Another issuer's, an opaque one, or one of a login whose issuer's address is not known."""
    issuer_url = None if whose == "unknown" else "https://issuer.example.org/"
    table.log_in(issuer_url=issuer_url)
    value = access_token(table.clock.now(), iss="https://other/" if whose == "other issuer" else "")
    table.token_path.write_text("opaque" if whose == "no token" else value.reveal())
    table.run(logout)
    assert table.token_path.exists()


@pytest.mark.parametrize(
    ("left", "brought_by_it", "stays"),
    [
        (["storage.read:/"], "storage.read:/", True),  # both can have brought it
        (["storage.read:/a"], "storage.read:/a", True),
        (["storage.read:/a"], "storage.read:/", False),
        (["storage.modify:/"], "storage.modify:/", True),
        (["compute.read"], "storage.read:/b", False),
    ],
)
def test_a_token_that_may_be_another_roles_stays(
    table: Table, left: list[str], brought_by_it: str, stays: bool
) -> None:
    """It is this login's if its scopes are within this login's, and within no other's that is left."""
    table.log_in(scopes=["storage.read:/"])
    table.log_in(role="production", scopes=left)
    table.token_path.write_text(access_token(table.clock.now(), scope=brought_by_it).reveal())
    table.run(logout, "--role", "default")
    assert table.token_path.exists() == stays


def test_programs_have_what_was_ended_as_json(table: Table) -> None:
    """All else goes to standard error, as ever."""
    table.log_in()
    table.run(logout, "--json")
    assert json.loads(table.answered()) == {
        "issuer": "cms",
        "role": "default",
        "revoked": True,
        "tokens_valid_until": "2026-06-01T12:30:00Z",
    }
    assert "Logged out of cms" in table.said()
