"""The orders of a host's people: for whom, into which file, and when they rest."""

from __future__ import annotations

import asyncio
import datetime
import os
from pathlib import Path

import pytest

from credbroker.delivery import whole_file
from credbroker.delivery.whole_file import ForeignFile
from credbroker.domain.errors import Busy
from credbroker.edge.orders import Fresh, Order
from credbroker.edge.sessions import logged_in
from credbroker.edge.sessions.source import SessionOrders
from credbroker.edge.sessions.written import Written
from credbroker.host.entropy import SystemEntropy
from credbroker.wire.jwt import read_access_token
from tests.fakes.broker import access_token
from tests.fakes.clock import FakeClock
from tests.fakes.deliveries import GROUP, FakeDeliveries
from tests.people import ALICE, BOB, EVE, as_root, hall, move_in

__all__ = ["hall"]

pytestmark = as_root


class Desk:
    """A source, its people's folders, and what the broker says stands."""

    def __init__(self, hall: Path, state: Path) -> None:
        self.hall = hall
        self.clock = FakeClock()
        self.broker = FakeDeliveries(self.clock)
        self.written = Written(state, SystemEntropy())
        self.said: list[dict[str, object]] = []
        self.source = SessionOrders(self.written, self.clock, self.say)

    def say(self, event: str, **fields: object) -> None:
        """Keep what the operator hears."""
        self.said.append({"event": event, **fields})

    def look(self) -> list[Order]:
        """Tell the source all there is; return its orders."""
        sessions, _ = logged_in.find(self.hall, {})
        self.source.log_in(sessions)
        self.source.stand(self.broker.standing.values())
        return list(self.source.orders().values())

    def fresh(self, *, seconds: float = 3600, scope: str = "storage.read:/") -> Fresh:
        """Return a token as the broker gives them."""
        now = self.clock.now()
        value = access_token(now, seconds=seconds, scope=scope, aud=["https://dav"])
        return Fresh(read_access_token(value, now), seconds / 2)

    def deliver(self, order: Order, fresh: Fresh) -> None:
        """Do as the engine does: note, write, tell."""
        assert order.place.owner is not None
        self.written.note({order.place.owner[0]: [(order.place.path.name, fresh.token.value)]})
        whole_file.replace(
            order.place.path,
            fresh.token.value.reveal().encode(),
            SystemEntropy(),
            owner=order.place.owner,
            as_owner=order.place.as_owner,
            may_replace=order.place.may_replace,
        )
        self.source.delivered(order, fresh)

    def states(self, uid: int) -> list[str]:
        """Return how a person's orders stand."""
        return [state for _, state in self.source.of(uid)]


@pytest.fixture
def desk(hall: Path, tmp_path: Path) -> Desk:
    """A host where nobody is logged in."""
    return Desk(hall, tmp_path)


def test_only_who_is_logged_in_and_ordered_has_orders(desk: Desk) -> None:
    """Each in the own folder, as the own uid."""
    desk.broker.order(ALICE[0])
    desk.broker.order(ALICE[0], name="cms-dav")
    desk.broker.order(BOB[0])
    assert desk.look() == []
    move_in(desk.hall, ALICE)
    move_in(desk.hall, EVE)
    orders = desk.look()
    own = desk.hall / str(ALICE[0])
    assert [one.place.path for one in orders] == [own / "bt_u64000", own / "bt_u64000-cms-dav"]
    assert all(one.place.owner == ALICE and one.place.as_owner for one in orders)
    assert {one.place.mode for one in orders} == {0o600}
    assert desk.states(BOB[0]) == ["not logged in here"]
    assert desk.states(EVE[0]) == []


def test_who_logs_out_has_no_order_and_is_forgotten(desk: Desk) -> None:
    """And who comes again gets the file anew at once, whatever the engine held."""
    folder = move_in(desk.hall, ALICE)
    desk.broker.order(ALICE[0])
    (order,) = desk.look()
    desk.deliver(order, desk.fresh())
    (folder / "bt_u64000").unlink()
    folder.rmdir()
    assert desk.look() == []
    assert desk.written.remembered() == set()
    move_in(desk.hall, ALICE)
    (again,) = desk.look()
    assert again.version != order.version


def test_an_order_that_is_over_is_dropped(desk: Desk) -> None:
    """Its end is the login's."""
    move_in(desk.hall, ALICE)
    desk.broker.order(ALICE[0], ends_at=desk.clock.now() + datetime.timedelta(hours=1))
    assert len(desk.look()) == 1
    desk.clock.advance(3600)
    assert desk.look() == []
    assert "with its login: order it anew" in desk.states(ALICE[0])[0]


def test_one_order_keeps_one_file(desk: Desk) -> None:
    """That for this host before that for its group; the other says so."""
    move_in(desk.hall, ALICE)
    desk.broker.order(ALICE[0], group=GROUP)
    own = desk.broker.order(ALICE[0])
    assert [one.id for one in desk.look()] == [own.id]
    assert desk.states(ALICE[0])[0] == "another order keeps this file"


@pytest.mark.parametrize("name", ["../64001/bt", "a/b", ".hidden", "", "x" * 65])
def test_no_name_leads_out_of_the_folder(desk: Desk, name: str) -> None:
    """Whoever says it, the broker included; the others' orders stand."""
    move_in(desk.hall, ALICE)
    desk.broker.order(ALICE[0], name=name)
    good = desk.broker.order(ALICE[0], name="good")
    assert [one.id for one in desk.look()] == [good.id]
    assert desk.said[0]["event"] == "not kept"


def test_a_restarted_agent_knows_its_files(desk: Desk, tmp_path: Path) -> None:
    """A fresh one is not fetched again, and an old one may be replaced."""
    move_in(desk.hall, ALICE)
    desk.broker.order(ALICE[0])
    (order,) = desk.look()
    fresh = desk.fresh()
    assert desk.source.found(order) is None
    desk.deliver(order, fresh)
    after = Desk(desk.hall, tmp_path)
    after.broker = desk.broker
    (order,) = after.look()
    found = after.source.found(order)
    assert found is not None
    assert found.value == fresh.token.value
    after.deliver(order, after.fresh())


def test_what_was_found_must_serve(desk: Desk) -> None:
    """A token for less than is ordered now is fetched anew, and so is one nobody brought."""
    folder = move_in(desk.hall, ALICE)
    desk.broker.order(ALICE[0])
    (order,) = desk.look()
    desk.deliver(order, desk.fresh(scope="storage.read:/less"))
    assert desk.source.found(order) is None
    path = folder / "bt_u64000"
    path.write_text(desk.fresh().token.value.reveal())
    os.chown(path, *ALICE)
    assert desk.source.found(order) is None
    path.unlink()
    path.symlink_to("/etc/shadow")
    assert desk.source.found(order) is None


def test_an_order_that_meets_a_foreign_file_rests_until_it_is_gone(desk: Desk) -> None:
    """Nothing is fetched for it meanwhile, and its person is told what to do."""
    folder = move_in(desk.hall, ALICE)
    path = folder / "bt_u64000"
    path.write_text("made by another program")
    os.chown(path, *ALICE)
    desk.broker.order(ALICE[0])
    (order,) = desk.look()
    with pytest.raises(ForeignFile) as foreign:
        desk.deliver(order, desk.fresh())
    desk.source.failed(order, foreign.value)
    assert path.read_text() == "made by another program"
    assert desk.look() == []
    assert "--replace" in desk.states(ALICE[0])[0]
    path.unlink()
    assert desk.look() == [order]
    desk.deliver(order, desk.fresh())
    assert desk.states(ALICE[0])[0].startswith("fresh until 2026-06-01T13:00")


def test_a_foreign_file_goes_if_the_person_ordered_it(desk: Desk) -> None:
    """As for one that an older tool left there."""
    folder = move_in(desk.hall, ALICE)
    (folder / "bt_u64000").write_text("made by another program")
    os.chown(folder / "bt_u64000", *ALICE)
    desk.broker.order(ALICE[0], replaces_foreign=True)
    (order,) = desk.look()
    fresh = desk.fresh()
    desk.deliver(order, fresh)
    assert (folder / "bt_u64000").read_text() == fresh.token.value.reveal()


async def test_only_a_change_wakes_the_engine(desk: Desk) -> None:
    """Looking again and again at the same is none."""
    move_in(desk.hall, ALICE)
    desk.broker.order(ALICE[0])
    desk.look()
    async with asyncio.timeout(10):
        await desk.source.changed()
    before = desk.source.orders()
    desk.look()
    assert desk.source.orders() is before


def test_other_failures_are_told_and_the_order_stands(desk: Desk) -> None:
    """To the person in words, to the operator with the order's id."""
    move_in(desk.hall, ALICE)
    desk.broker.order(ALICE[0])
    (order,) = desk.look()
    desk.source.failed(order, Busy("The issuer is slow."))
    assert desk.look() == [order]
    assert desk.states(ALICE[0])[0].startswith("The issuer is slow.")
    assert desk.said == [
        {"event": "not fresh", "order": order.id, "error": "busy", "message": "The issuer is slow."}
    ]
