"""The engine: from an order to a fresh file, and what it keeps apart."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from credbroker.domain.errors import (
    BrokerFault,
    BrokerUnreachable,
    LeaseEnded,
    LocalFileUnfit,
)
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken
from credbroker.edge.orders import Asker, Form, Hook, Order, Place
from credbroker.edge.writing import Writing
from credbroker.host.entropy import SystemEntropy
from tests.fakes.clock import turns
from tests.fakes.edge import LIFE_SECONDS, Edge, order
from tests.unit.things import access_token, seconds


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    """That engine, stopped at the end."""
    one = Edge()
    yield one
    await one.stop()


async def test_an_order_becomes_a_file_that_is_renewed_for_as_long_as_it_stands(edge: Edge) -> None:
    """And then it is asked for no more; the file stays."""
    edge.source.want(order("a"))
    edge.start()
    await turns()
    assert edge.token_of("a") == "a.0.x"
    await edge.clock.pass_time(5 * LIFE_SECONDS)
    renewals = edge.asker().times("a")
    assert 8 <= renewals <= 11
    assert edge.source.reads <= 2, "orders that did not change are not read again"
    assert len(edge.source.fresh["a"]) == renewals
    edge.source.withdraw("a")
    await edge.clock.pass_time(2 * LIFE_SECONDS)
    assert edge.asker().times("a") == renewals
    assert edge.token_of("a") == f"a.{renewals - 1}.x"


async def test_a_new_order_is_served_without_any_time_passing(edge: Edge) -> None:
    """The source says that something changed, and the engine is there."""
    edge.start()
    await turns()
    edge.source.want(order("late"))
    await turns()
    assert edge.token_of("late") == "late.0.x"


async def test_what_is_fresh_at_the_start_is_not_fetched_again(edge: Edge) -> None:
    """It is looked at once, and renewed when its own life says so; what is due is renewed at once."""
    now = edge.clock.now()
    new = access_token(obtained_at=now, expires_at=now + seconds(LIFE_SECONDS))
    then = now - seconds(0.7 * LIFE_SECONDS)
    old = access_token(issued_at=then, obtained_at=then, expires_at=then + seconds(LIFE_SECONDS))
    edge.source.lying = {"new": new, "old": old}
    edge.source.want(order("new"), order("old"), order("none"))
    edge.start()
    await turns()
    assert edge.asker().asked == [["none"], ["old"]] or edge.asker().asked == [["none", "old"]]
    assert sorted(edge.source.looked_at) == ["new", "none", "old"]
    await edge.clock.pass_time(LIFE_SECONDS * 0.7)
    assert edge.asker().times("new") == 1


async def test_what_is_found_is_renewed_in_time_although_the_clock_is_off(edge: Edge) -> None:
    """This machine is an hour behind: it wrote the file, and it judges its age, by the same clock."""
    now = edge.clock.now()
    true = now + seconds(3600)
    token = access_token(issued_at=true, obtained_at=now, expires_at=true + seconds(LIFE_SECONDS))
    edge.source.lying = {"a": token}
    edge.source.want(order("a"))
    edge.start()
    await edge.clock.pass_time(0.4 * LIFE_SECONDS)
    assert edge.asker().times("a") == 0
    await edge.clock.pass_time(0.2 * LIFE_SECONDS)
    assert edge.asker().times("a") == 1


async def test_an_order_that_is_placed_anew_is_asked_for_at_once(edge: Edge) -> None:
    """Also while an answer for the old one is under way, which then goes nowhere."""
    edge.source.want(order("a", version="1"))
    edge.start()
    await turns()
    edge.asker().answer_seconds = 10
    edge.source.want(order("a", version="2"))
    await edge.clock.pass_time(5)
    edge.source.want(order("a", version="3"))
    await edge.clock.pass_time(30)
    assert edge.asker().times("a") == 3
    assert [fresh.token.jti for fresh in edge.source.fresh["a"]] == ["a-0", "a-2"]


async def test_an_order_that_is_withdrawn_on_the_way_is_not_delivered(edge: Edge) -> None:
    """Its file may have been taken away for good reason; back again, it is served."""
    edge.asker().answer_seconds = 10
    edge.source.want(order("a"))
    edge.start()
    await edge.clock.pass_time(5)
    edge.source.withdraw("a")
    await edge.clock.pass_time(30)
    assert edge.writer.files == {}
    edge.source.want(order("a"))
    await edge.clock.pass_time(30)
    assert edge.token_of("a") == "a.1.x"


async def test_one_orders_trouble_is_its_own(edge: Edge) -> None:
    """A refused one, a full disk and a fault that nobody foresaw, among good ones in one batch."""
    names = ["good", "refused", "full", "odd"]
    edge.source.want(*map(order, names))
    edge.asker().troubles["refused"] = LeaseEnded("It was ended.")
    edge.writer.full[order("full").place.path] = LocalFileUnfit("The disk is full.")
    edge.writer.full[order("odd").place.path] = ZeroDivisionError()
    edge.start()
    await edge.clock.pass_time(3 * LIFE_SECONDS)
    assert set(edge.source.fresh) == {"good"}
    assert edge.asker().times("good") < 8
    assert {name: type(errors[0]) for name, errors in edge.source.errors.items()} == {
        "refused": LeaseEnded,
        "full": LocalFileUnfit,
        "odd": BrokerFault,
    }
    for name in ("refused", "full", "odd"):
        assert edge.asker().times(name) < 80, "pauses grow"


async def test_a_server_that_is_away_is_tried_by_one_alone_and_delays_no_other(edge: Edge) -> None:
    """Of 20 servers one swallows everything (incident 12); the others serve as ever."""
    servers = [f"server-{number}" for number in range(20)]
    for server in servers:
        edge.asker(server).most_at_once = 5
        edge.source.want(*(order(f"{server}/{number}", server) for number in range(30)))
    hole = edge.asker(servers[7])
    hole.answer_seconds, hole.trouble = 30.0, BrokerUnreachable("It does not answer.")
    edge.start()
    await turns(200)
    good = [name for name in edge.source.wanted if not name.startswith(f"{servers[7]}/")]
    assert set(edge.source.fresh) == set(good), "served before any time passed"
    await edge.clock.pass_time(600)
    assert hole.most_requests <= 8
    late = hole.asked[8:]
    assert len(late) <= 600 / 60
    assert all(len(names) == 1 for names in late)
    hole.answer_seconds, hole.trouble = 0.0, None
    await edge.clock.pass_time(120)
    assert set(edge.source.fresh) == set(edge.source.wanted), "it is back within two minutes"


async def test_an_order_that_spoils_its_requests_spoils_no_other_for_long(edge: Edge) -> None:
    """Asked for alone, it is the only one that fails."""
    edge.source.want(*(order(f"o{number}") for number in range(30)))
    edge.asker().spoils, edge.asker().spoilt = {"o3"}, BrokerUnreachable("A proxy says 502.")
    edge.start()
    await edge.clock.pass_time(120)
    assert set(edge.source.fresh) == set(edge.source.wanted) - {"o3"}


async def test_many_that_spoil_their_requests_do_not_speak_against_their_server(
    edge: Edge,
) -> None:
    """After an outage of a minute the others are served within minutes, and stay fresh."""
    names = [f"o{number}" for number in range(400)]
    spoils = set(names[::8])
    asker = edge.asker()
    asker.most_at_once = 8
    asker.trouble = asker.spoilt = BrokerUnreachable("It does not answer.")
    edge.source.want(*(order(name) for name in names))
    edge.start()
    await edge.clock.pass_time(60)
    asker.trouble, asker.spoils = None, spoils
    good = set(names) - spoils
    await edge.clock.pass_time(180)
    assert set(edge.source.fresh) == good
    for _ in range(120):
        await edge.clock.pass_time(60)
        now = edge.clock.now()
        ages = [now - edge.source.fresh[name][-1].token.obtained_at for name in good]
        assert max(ages).total_seconds() <= 0.9 * LIFE_SECONDS


async def test_an_asker_with_a_fault_ends_nothing(edge: Edge) -> None:
    """Neither an exception nor an answer for fewer than were asked for."""
    edge.source.want(order("a"), order("b", "other"))
    edge.asker().trouble = ZeroDivisionError()
    edge.start()
    await edge.clock.pass_time(60)
    assert set(edge.source.fresh) == {"b"}
    assert isinstance(edge.source.errors["a"][0], BrokerFault)
    edge.asker().trouble = None
    await edge.clock.pass_time(120)
    assert set(edge.source.fresh) == {"a", "b"}


async def test_a_token_that_ends_sooner_than_the_one_in_the_file_does_not_replace_it(
    tmp_path: Path, edge: Edge
) -> None:
    """A replica that has not seen the last refresh answered; a file that is gone is written."""
    writing = Writing(SystemEntropy())
    edge.engine._writer = writing
    wanted = order("a", place=Place(tmp_path / "a"))
    edge.source.want(wanted)
    edge.start()
    await until(lambda: "a" in edge.source.fresh)
    edge.asker().life_seconds = 600
    await edge.clock.pass_time(LIFE_SECONDS * 0.5 + 60)
    assert edge.asker().times("a") == 2
    assert (tmp_path / "a").read_text() == "a.0.x"
    (tmp_path / "a").unlink()
    await edge.clock.pass_time(300)
    await until(lambda: len(edge.source.fresh["a"]) == 2)
    assert (tmp_path / "a").read_text() == "a.2.x"
    writing.close()


async def test_a_token_for_something_else_never_stays_because_it_lives_longer(
    tmp_path: Path, edge: Edge
) -> None:
    """The order was placed anew: for less, under another lease, or in another form."""
    writing = Writing(SystemEntropy())
    edge.engine._writer = writing
    place = Place(tmp_path / "a")
    edge.source.want(order("a", place=place, scopes=("storage.read:/", "storage.modify:/")))
    edge.start()
    await until(lambda: "a" in edge.source.fresh)
    edge.asker().life_seconds = 600
    for count, changed in enumerate(
        (
            order("a", place=place, scopes=("storage.read:/",)),
            dataclasses.replace(order("a", place=place), secret=Secret("lease token", "another")),
            order("a", place=Place(place.path, Form.ENV)),
        ),
        start=2,
    ):
        edge.source.want(changed)
        await until(lambda count=count: len(edge.source.fresh["a"]) == count)  # type: ignore[misc]  # bound now
    assert place.path.read_text() == "BEARER_TOKEN=a.3.x"
    writing.close()


async def test_a_file_that_cannot_be_looked_at_is_one_that_is_not_there(edge: Edge) -> None:
    """Whatever a source stumbles over: the order is asked for, and so are all others."""
    looked_at = edge.source.found

    def stumble(order: Order) -> AccessToken | None:
        if order.id == "odd":
            raise OverflowError
        return looked_at(order)

    edge.source.found = stumble  # type: ignore[method-assign]  # a source with a fault
    edge.source.want(order("odd"), order("good"))
    edge.start()
    await turns()
    assert set(edge.source.fresh) == {"odd", "good"}


async def test_a_server_that_nobody_knows_the_way_to_is_its_orders_trouble(edge: Edge) -> None:
    """Whatever the fault is: those of other servers are served."""
    known = edge.engine._asker_of

    def of(server: str) -> Asker:
        if server == "odd":
            raise KeyError(server)
        return known(server)

    edge.engine._asker_of = of
    edge.source.want(order("a", "odd"), order("b"))
    edge.start()
    await turns()
    assert set(edge.source.fresh) == {"b"}
    assert isinstance(edge.source.errors["a"][0], BrokerFault)


async def test_a_file_gets_form_owner_and_mode_and_who_waits_is_told(
    tmp_path: Path, edge: Edge
) -> None:
    """The straight line with a real file and a real command; one that fails is told."""
    writing = Writing(SystemEntropy())
    edge.engine._writer = writing
    place = Place(tmp_path / "a.json", Form.JSON, mode=0o640, line_end=True)
    told = tmp_path / "told"
    edge.source.want(
        order("a", place=place, hook=Hook(("cp", str(place.path), str(told)))),
        order("b", place=Place(tmp_path / "b"), hook=Hook(("false",))),
    )
    edge.start()
    await until(lambda: told.exists() and told.stat().st_size > 0 and "b" in edge.source.errors)
    assert told.read_text() == '{"access_token":"a.0.x","expires_in":3600}\n'
    assert place.path.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "b").read_text() == "b.1.x"
    assert "hook false ended with 1" in edge.source.errors["b"][0].sentence
    writing.close()


async def until(seen: Callable[[], bool]) -> None:
    """Return once `seen`; threads and programs need their time."""
    async with asyncio.timeout(20):
        while not seen():
            await asyncio.to_thread(lambda: None)
