"""`credbroker notices`: shows what is chosen, and changes it."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest

from credbroker.cli import notices
from credbroker.domain.errors import LoginNeeded
from credbroker.wire.choosing import NOTICES

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Table


def test_it_shows_where_mails_go_and_changes_nothing(table: Table) -> None:
    """One word is the answer."""
    table.log_in()
    assert table.run(notices) == 0
    assert table.answered() == "on\n"
    assert "alice@example.org" in table.said()
    assert [one.method for one in table.broker.requests] == ["GET"]


def test_mails_are_had_or_not_as_is_said(table: Table) -> None:
    """And how to have it the other way."""
    table.log_in()
    assert table.run(notices, "off") == 0
    assert table.answered() == "off\n"
    assert "credbroker notices on" in table.said()
    assert table.run(notices, "on", "cms", "--role", "default") == 0
    assert table.answered() == "on\n"
    assert table.broker.count(NOTICES) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"offered": False}, "sends no mails"), ({"address": None}, "no verified address")],
)
def test_why_no_mail_will_come_is_said(
    table: Table, changes: dict[str, object], words: str
) -> None:
    """Rather than a promise of one."""
    table.log_in()
    table.broker.notices = dataclasses.replace(table.broker.notices, **changes)  # type: ignore[arg-type] # the test knows the fields
    table.run(notices)
    assert words in table.said()


def test_a_script_is_told_in_json(table: Table) -> None:
    """All that the broker says of it."""
    table.log_in()
    table.run(notices, "off", "--json")
    assert json.loads(table.answered()) == {
        "offered": True, "mail": False, "address": "alice@example.org",
    }  # fmt: skip


def test_who_is_not_logged_in_is_told_so(table: Table) -> None:
    """Nobody is asked."""
    with pytest.raises(LoginNeeded):
        table.run(notices)
    assert table.broker.requests == []
