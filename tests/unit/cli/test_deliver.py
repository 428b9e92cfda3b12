"""`credbroker deliver`: what is ordered, shown, agreed to and taken back, by its own person."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from credbroker.cli import deliver
from credbroker.domain.errors import (
    LocalFileUnfit,
    LoginNeeded,
    Malformed,
    NotAllowed,
    NotFound,
)
from credbroker.wire import sessions
from tests.fakes.broker import FakeBroker
from tests.fakes.deliveries import GROUP, HOST, FakeDeliveries
from tests.fakes.local_agent import FakeAgent
from tests.unit.cli.conftest import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credbroker.client.http11 import Answer, Request
    from tests.unit.cli.conftest import Table

UID = 7
WISH = ("--scope", "storage.read:/a", "--audience", "https://dav")


class Broker(FakeBroker):
    """A broker that has deliveries too."""

    deliveries: FakeDeliveries

    def __call__(self, request: Request) -> Answer:
        """Answer one request."""
        if request.target.startswith("/api/v1/deliveries"):
            return self.deliveries(request)
        return super().__call__(request)


@pytest.fixture
def agent(table: Table) -> Iterator[FakeAgent]:
    """The agent of this host, and a person who is logged in at the broker."""
    broker = Broker(table.clock)
    broker.deliveries = FakeDeliveries(table.clock)
    table.broker = broker
    table.log_in()
    agent = FakeAgent(table.folder / "agent.sock", broker.deliveries, table.clock, UID)
    with agent.listening():
        yield agent


def run(table: Table, deed: str, *more: str) -> int:
    """Run the command at this host's agent."""
    return table.run(deliver, deed, *more, "--socket", str(table.folder / "agent.sock"))


def at_terminal(table: Table, answer: str) -> None:
    """Have a person sit there who answers so."""
    table.inp = Terminal(answer)
    table.inp.is_terminal = True
    table.err.is_terminal = True


def standing(agent: FakeAgent) -> FakeDeliveries:
    """Return the broker's side."""
    return agent._broker


def test_what_is_agreed_to_is_shown_first_and_is_all_that_stands(
    table: Table, agent: FakeAgent
) -> None:
    """Host, uid, scopes, audiences, file and end; then the agent is told to look."""
    at_terminal(table, "y\n")
    assert run(table, "new", "cms", *WISH) == 0
    shown = table.said()
    for part in (HOST, "(ada, uid 7)", "storage.read:/a", "https://dav", "/run/user/7/bt_u7",
                 "cms in the role default", "as alice", "2030-06-01", "not over"):  # fmt: skip
        assert part in shown
    (one,) = standing(agent).standing.values()
    assert (one.uid, one.host, one.group, one.name) == (UID, HOST, None, None)
    assert (one.scopes, one.audiences) == (["storage.read:/a"], ["https://dav"])
    assert not one.replaces_foreign
    assert table.answered() == f"{one.id}\n"
    assert [asked.deed for asked in agent.asked] == [sessions.PLACE, sessions.LOOK]


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yeah sure\n"])
def test_only_a_yes_is_one(table: Table, agent: FakeAgent, answer: str) -> None:
    """Anything else orders nothing."""
    at_terminal(table, answer)
    assert run(table, "new", *WISH) == 1
    assert "Nothing was ordered" in table.said()
    assert standing(agent).standing == {}


def test_without_a_terminal_yes_must_be_said(table: Table, agent: FakeAgent) -> None:
    """Nobody is asked who is not there, and nothing is announced before."""
    with pytest.raises(Malformed, match="Nobody can be asked"):
        run(table, "new", *WISH)
    assert agent.asked == []
    assert run(table, "new", *WISH, "--yes") == 0


def test_a_name_a_group_and_a_replacement_are_shown_and_ordered(
    table: Table, agent: FakeAgent
) -> None:
    """Each is something to agree to."""
    assert run(
        table, "new", *WISH, "--name", "dav", "--host-group", GROUP, "--replace", "--yes"
    ) == 0  # fmt: skip
    shown = table.said()
    for part in (f"each host of the group {GROUP}", "bt_u7-dav", "also over"):
        assert part in shown
    (one,) = standing(agent).standing.values()
    assert (one.name, one.group, one.host, one.replaces_foreign) == ("dav", GROUP, None, True)


def test_who_is_not_logged_in_is_told_at_once(table: Table) -> None:
    """With the command; nobody was asked for anything."""
    with pytest.raises(LoginNeeded) as needed:
        run(table, "new", "cms", *WISH, "--yes")
    assert "credbroker login cms" in needed.value.remedy


def test_a_host_without_an_agent_is_told(table: Table) -> None:
    """And whom to ask for one."""
    table.log_in()
    with pytest.raises(LocalFileUnfit, match="No agent"):
        run(table, "new", "cms", *WISH, "--yes")


def test_what_the_agent_refuses_comes_as_it_is(table: Table, agent: FakeAgent) -> None:
    """A wrong name, a group that this host is not of."""
    with pytest.raises(Malformed):
        run(table, "new", *WISH, "--name", "../x", "--yes")
    with pytest.raises(NotAllowed, match="not of that group"):
        run(table, "new", *WISH, "--host-group", "others", "--yes")
    assert standing(agent).standing == {}


def test_orders_are_listed_with_how_they_stand_here(table: Table, agent: FakeAgent) -> None:
    """Those for other hosts too, without that."""
    assert run(table, "list") == 0
    assert table.said() == "You have no orders.\n"
    own = standing(agent).order(UID)
    assert run(table, "list") == 0
    shown = table.answered()
    assert f"{own.id}  on {HOST}, until" in shown
    assert "here in /run/user/7/bt_u7: not logged in here" in shown
    agent.uid = 8
    run(table, "list")
    assert "here in" not in table.answered()


def test_an_order_is_taken_back_by_the_login_or_by_the_word_of_its_host(
    table: Table, agent: FakeAgent
) -> None:
    """And only by its own person."""
    one, other = standing(agent).order(UID), standing(agent).order(UID)
    assert run(table, "end", one.id) == 0
    assert list(standing(agent).standing) == [other.id]
    with pytest.raises(NotFound):
        run(table, "end", one.id)
    for login in (table.folder / "state").rglob("*.json"):
        login.unlink()
    agent.uid = 8
    with pytest.raises(NotFound):
        run(table, "end", other.id)
    agent.uid = UID
    assert run(table, "end", other.id) == 0
    assert standing(agent).standing == {}
    assert "stays until it expires" in table.said()


def test_a_script_is_told_in_json(table: Table, agent: FakeAgent) -> None:
    """Of the order, of all orders with how they stand here, and of an end."""
    run(table, "new", *WISH, "--yes", "--json")
    made = json.loads(table.answered())
    (one,) = standing(agent).standing.values()
    assert (made["id"], made["host"], made["scope"]) == (one.id, HOST, "storage.read:/a")
    run(table, "list", "--json")
    (listed,) = json.loads(table.answered())
    assert {**listed, "here": None} == made
    assert set(listed["here"]) == {"path", "state"}
    run(table, "end", one.id, "--json")
    assert json.loads(table.answered()) == {"id": one.id, "ended": True}
    run(table, "list", "--json")
    assert json.loads(table.answered()) == []
