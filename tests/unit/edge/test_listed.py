"""`agent --list`: the orders of a list, and the whole program beside a broker."""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from credbroker.delivery import lease_file, token_file
from credbroker.delivery.lease_file import LeaseFile
from credbroker.domain.errors import BadSettings, LeaseEnded, TooManyRequests
from credbroker.edge import listed
from credbroker.edge.listed import LOOK_SECONDS, ListedSource
from credbroker.edge.orders import Fresh
from credbroker.host.entropy import SystemEntropy
from credbroker.wire.jwt import read_access_token
from tests.fakes.broker import access_token, lease_token
from tests.fakes.clock import FakeClock, turns
from tests.fakes.entropy import FakeEntropy
from tests.unit.things import seconds

BEGIN = "tokens:\n"


class Site:
    """A folder with a list, leases and tokens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "list.yaml"
        self.clock = FakeClock()
        self.said: list[tuple[str, dict[str, Any]]] = []

    def lease(self, name: str, number: int = 1, **changes: Any) -> Path:
        """Write a lease file."""
        path = self.folder / f"{name}.lease"
        fields: dict[str, Any] = {
            "broker": "https://localhost:1",
            "lease_token": lease_token(number),
            "issuer": "cms",
            "role": "default",
            "credkey": "alice",
            "scopes": ["storage.read:/"],
            "lease_ends_at": self.clock.now() + seconds(86400),
        }
        lease_file.write(path, LeaseFile(**fields | changes), SystemEntropy())
        return path

    def entry(self, name: str, lease: Path, more: str = "") -> str:
        """Return an entry of the list."""
        return f"  {name}: {{path: {self.folder / name}, lease: {lease}{more}}}\n"

    def say(self, event: str, **fields: Any) -> None:
        """Keep what is said."""
        self.said.append((event, fields))

    def source(self, text: str) -> ListedSource:
        """Return the source of a list with this text."""
        self.file.write_text(text)
        return ListedSource(self.file, self.clock, FakeEntropy(), self.say)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """That folder."""
    return Site(tmp_path)


def test_each_entry_becomes_an_order_under_its_own_lease(site: Site) -> None:
    """Two leases of one broker make one server; another authority makes another."""
    one, two = site.lease("one"), site.lease("two", 2)
    else_ = site.lease("else", 3, ca_pem="another")
    more = ", scopes: ['storage.read:/a'], audiences: ['https://se'], minimum_seconds: 60"
    text = site.entry("a", one, more) + site.entry("b", two) + site.entry("c", else_)
    source = site.source(BEGIN + text)
    orders = source.orders()
    assert (orders["a"].scopes, orders["a"].audiences) == (("storage.read:/a",), ("https://se",))
    assert (orders["b"].scopes, orders["a"].minimum_seconds) == (None, 60)
    assert [orders[name].secret for name in "abc"] == [lease_token(number) for number in (1, 2, 3)]
    assert orders["a"].server == orders["b"].server != orders["c"].server
    assert source.asker_of(orders["a"].server) is source.asker_of(orders["b"].server)


async def test_a_lease_file_that_changes_is_used_within_seconds(site: Site) -> None:
    """One that becomes unfit is told of once, and what it said before goes on; so with a new one."""
    lease = site.lease("one")
    source = site.source(BEGIN + site.entry("a", lease) + site.entry("b", site.folder / "none"))
    assert set(source.orders()) == {"a"}
    assert [event for event, _ in site.said] == ["cannot use a lease"]
    changed = asyncio.ensure_future(source.changed())
    await site.clock.pass_time(10 * LOOK_SECONDS)
    assert not changed.done()
    lease.chmod(0o644)
    await site.clock.pass_time(LOOK_SECONDS)
    assert changed.done()
    assert source.orders()["a"].secret == lease_token(1)
    assert len(site.said) == 2
    site.lease("one", 7)
    site.lease("none", 8).rename(site.folder / "none")
    await source.changed()
    assert {one.secret for one in source.orders().values()} == {lease_token(7), lease_token(8)}


async def test_a_list_that_becomes_faulty_is_told_of_and_the_old_one_goes_on(site: Site) -> None:
    """Mended, it counts at once."""
    lease = site.lease("one")
    source = site.source(BEGIN + site.entry("a", lease))
    site.file.write_text(BEGIN + site.entry("b", lease, ", frm: raw"))
    source.reload()
    assert set(source.orders()) == {"a"}
    assert "frm" in site.said[-1][1]["why"]
    changed = asyncio.ensure_future(source.changed())
    await turns()
    site.file.write_text(BEGIN + site.entry("b", lease))
    source.reload()
    await turns()
    assert changed.done()
    assert set(source.orders()) == {"b"}
    with pytest.raises(BadSettings):
        site.source("tokens: 7")


def test_what_lies_there_already_counts_if_it_is_just_what_is_listed(site: Site) -> None:
    """Form, right, owner and mode; a token that is over, rubbish or nothing does not."""
    now = site.clock.now()
    text = site.entry("a", site.lease("one"), ", form: env, scopes: ['storage.read:/']")
    source = site.source(BEGIN + text)
    order = source.orders()["a"]

    def lies(content: str, mode: int = 0o600) -> bool:
        order.place.path.write_text(content)
        order.place.path.chmod(mode)
        os.utime(order.place.path, (now.timestamp(), now.timestamp()))
        return source.found(order) is not None

    assert source.found(order) is None
    good = f"BEARER_TOKEN={access_token(now).reveal()}"
    assert lies(good)
    assert not lies(good, 0o644)
    assert not lies(good.partition("=")[2])
    assert not lies("rubbish")
    assert not lies(
        f"BEARER_TOKEN={access_token(now, scope='storage.read:/ compute.read').reveal()}"
    )
    assert not lies(f"BEARER_TOKEN={access_token(now, seconds=-1).reveal()}")


def test_a_time_that_no_calendar_has_is_no_token(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who owns a file sets its time; on some file systems to any number of seconds."""
    source = site.source(BEGIN + site.entry("a", site.lease("one")))
    order = source.orders()["a"]
    order.place.path.write_text(access_token(site.clock.now()).reveal())
    far = os.stat_result((0o100600, 1, 1, 1, 0, 0, 1, 10**14, 10**14, 10**14))
    monkeypatch.setattr(Path, "lstat", lambda _: far)
    assert source.found(order) is None


def test_a_lease_of_a_broker_that_has_no_address_is_told_of(site: Site) -> None:
    """It makes no order that nobody could ask for; the one before it goes on."""
    lease = site.lease("one")
    source = site.source(BEGIN + site.entry("a", lease) + site.entry("b", site.lease("two", 2)))
    before = source.orders()
    site.lease("one", 3, broker="http://broker.example.org")
    site.lease("two", 2, broker="nowhere")
    assert source.orders() == before
    assert [event for event, _ in site.said] == ["cannot use a lease"] * 2
    source = site.source(BEGIN + site.entry("a", lease))
    assert source.orders() == {}


def test_a_vault_token_that_lies_there_is_not_written_again(site: Site) -> None:
    """Only another lease is written over it."""
    place = site.folder / "vt"
    lease = site.lease("one")
    source = site.source(BEGIN + site.entry("a", lease, f", vault_token: {place}"))
    now = site.clock.now()
    fresh = Fresh(read_access_token(access_token(now), now), 1800)
    source.delivered(source.orders()["a"], fresh)
    first = place.stat().st_ino
    source.delivered(source.orders()["a"], fresh)
    assert place.stat().st_ino == first
    site.lease("one", 2)
    source.delivered(source.orders()["a"], fresh)
    assert place.read_text() == lease_token(2).reveal()


def test_a_vault_token_lies_beside_for_htgettoken(site: Site) -> None:
    """It is the lease itself, its owner's alone; where it cannot be written that is said."""
    place = site.folder / "vt_u0"
    source = site.source(BEGIN + site.entry("a", site.lease("one"), f", vault_token: {place}"))
    order, now = source.orders()["a"], site.clock.now()
    fresh = Fresh(read_access_token(access_token(now), now), 1800)
    source.delivered(order, fresh)
    assert token_file.holds(place, lease_token(1)) or place.read_text() == lease_token(1).reveal()
    assert place.stat().st_mode & 0o777 == 0o600
    assert site.said[-1][0] == "renewed"
    place.unlink()
    place.mkdir()
    source.delivered(order, fresh)
    assert "plain file" in site.said[-1][1]["why"]


def test_who_must_log_in_again_is_told_the_command(site: Site) -> None:
    """What mends itself says its own remedy; an order of a lease that is gone says something, too."""
    source = site.source(BEGIN + site.entry("a", site.lease("one")))
    order = source.orders()["a"]
    source.failed(order, LeaseEnded("It was ended."))
    assert "credbroker login cms --role default" in site.said[-1][1]["remedy"]
    source.failed(order, TooManyRequests("Too many."))
    assert "not so often" in site.said[-1][1]["remedy"]


def test_what_is_in_memory_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here are the leases of a whole machine."""
    done: list[str] = []
    monkeypatch.setattr(listed, "forbid_core_dumps", lambda: done.append("no core"))
    with pytest.raises(BadSettings):
        listed.run(argparse.Namespace(list=str(tmp_path / "none.yaml")))
    assert done == ["no core"]
