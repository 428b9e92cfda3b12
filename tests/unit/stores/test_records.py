"""Records are written by check-and-set, and a bad one spoils no other."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from credbroker.domain.errors import StoreMisconfigured, StoreUnavailable, StoreUnclear
from credbroker.domain.secret import Secret
from credbroker.ports import HttpAnswer
from credbroker.stores.records import (
    check_mount,
    grant_records,
    heartbeat_records,
    issuer_mark_records,
    lease_records,
    login_records,
    rewind_records,
    spool_key_records,
)
from credbroker.stores.vault import FAILOVER_SECONDS, VaultClient
from credbroker.stores.vault_logins import AppRoleLogin
from credbroker.wire.records import write_grant
from tests.fakes.clock import FakeClock
from tests.fakes.door import FakeDoor, answer
from tests.fakes.entropy import FakeEntropy
from tests.unit.things import grant

DATE = {"date": "Mon, 01 Jun 2026 12:01:00 GMT"}
METADATA = {"version": 3, "created_time": "2026-06-01T12:00:00.123456789Z"}


def stored(record: Any, metadata: Any = METADATA) -> HttpAnswer:
    """Return the answer to a read."""
    return answer(200, {"data": {"data": record, "metadata": metadata}}, **DATE)


@pytest.fixture
def door() -> FakeDoor:
    """A door behind which nothing is until a test says so."""
    return FakeDoor(lambda _: answer(404, {"errors": []}))


@pytest.fixture
def client(door: FakeDoor, clock: FakeClock) -> VaultClient:
    """A client that asks through that door."""

    def half() -> Secret:
        return Secret("half", "half")

    login = AppRoleLogin("approle", half, half)
    return VaultClient(
        door, ["https://v.test"], login, clock=clock, entropy=FakeEntropy(), seconds=5
    )


async def test_a_record_has_its_version_and_age(client: VaultClient, door: FakeDoor) -> None:
    """By the store's own words."""
    door.reply_next(stored(write_grant(grant())))
    read = await grant_records(client, "kv").get("segment")
    assert read is not None
    assert (read.value, read.version, read.age_seconds) == (grant(), 3, 60)
    assert door.urls() == ["https://v.test/v1/kv/data/grants/segment"]


async def test_each_kind_has_its_folder(client: VaultClient, door: FakeDoor) -> None:
    """In the same mount; the two that are one record each share one."""
    for records in (
        grant_records(client, "kv"),
        lease_records(client, "kv"),
        login_records(client, "kv"),
        issuer_mark_records(client, "kv"),
        heartbeat_records(client, "kv"),
        rewind_records(client, "kv"),
        spool_key_records(client, "kv"),
    ):
        assert await records.get("x") is None
    folders = [url.split("/")[-2] for url in door.urls()]
    assert folders == ["grants", "leases", "logins", "issuers", "replicas", "marks", "marks"]


async def test_a_store_without_pages_gives_all_names_at_once(
    client: VaultClient, door: FakeDoor
) -> None:
    """Vault knows neither `after` nor `limit`, nor, by its word, any order."""
    door.reply_next(answer(200, {"data": {"keys": ["c", "a", "d", "b"]}}))
    assert await grant_records(client, "kv").segments("a", 1) == ["b", "c", "d"]
    asked = "https://v.test/v1/kv/metadata/grants?list=true&after=a&limit=1"
    assert door.urls() == [asked]


async def test_a_listing_may_be_larger_than_other_answers(
    client: VaultClient, door: FakeDoor
) -> None:
    """It is the one request for which the door is opened wider."""
    door.reply_next(answer(200, {"data": {"keys": ["a"]}}))
    await grant_records(client, "kv").segments()
    await grant_records(client, "kv").get("a")
    assert [sent.most_bytes for sent in door.sent] == [64 << 20, 1 << 20]


async def test_a_listing_knows_of_the_brokers_own_writes(
    client: VaultClient, door: FakeDoor
) -> None:
    """Also where a standby, which lags behind, is the one that is asked."""
    door.reply_next(answer(200, {"data": {"version": 1}}, x_vault_index="index-1"))
    await grant_records(client, "kv").put("x", grant(), 0)
    await grant_records(client, "kv").segments()
    assert door.sent[-1].headers["X-Vault-Index"] == "index-1"


async def test_no_folder_is_no_names(client: VaultClient) -> None:
    """Vault says 404 where nothing was ever written."""
    assert await grant_records(client, "kv").segments() == []


@pytest.mark.parametrize("listing", [{}, {"data": None}, {"data": {}}, {"data": {"keys": [1]}}])
async def test_a_listing_that_is_none_is_not_an_empty_one(
    client: VaultClient, door: FakeDoor, listing: object
) -> None:
    """Who walks all grants must not take a stranger's answer for the end."""
    door.reply_next(answer(200, listing))
    with pytest.raises(StoreUnavailable):
        await grant_records(client, "kv").segments()


async def test_a_store_that_is_down_lists_nothing_and_says_so(
    client: VaultClient, clock: FakeClock
) -> None:
    """An error, as for any read."""
    client._door = FakeDoor(lambda _: answer(503, {"errors": ["sealed"]}))
    listing = asyncio.ensure_future(grant_records(client, "kv").segments())
    await clock.pass_time(FAILOVER_SECONDS + 1)
    with pytest.raises(StoreUnavailable):
        listing.result()


async def test_a_write_names_the_version_it_replaces(client: VaultClient, door: FakeDoor) -> None:
    """Check-and-set, always."""
    door.reply_next(answer(200, {"data": {"version": 4}}))
    assert await grant_records(client, "kv").put("segment", grant(), 3) == 4
    sent = json.loads(door.sent[0].body or b"")
    assert sent["options"] == {"cas": 3}
    assert sent["data"]["refresh_token"] == "refresh-1"


@pytest.mark.parametrize(
    "reply",
    [answer(204), answer(200, {}), answer(200, {"data": {}}), HttpAnswer(200, {}, b"<html>")],
)
async def test_a_write_without_a_version_is_unclear(
    client: VaultClient, door: FakeDoor, reply: HttpAnswer
) -> None:
    """It may have been taken."""
    door.reply_next(reply)
    with pytest.raises(StoreUnclear):
        await grant_records(client, "kv").put("segment", grant(), 3)


@pytest.mark.parametrize(
    "record", [{}, None, {"format": 99}, {**write_grant(grant()), "state": "?"}]
)
async def test_a_damaged_record_is_told_as_such(
    client: VaultClient, door: FakeDoor, record: object
) -> None:
    """Without a word of what it holds."""
    door.reply_next(stored(record))
    with pytest.raises(StoreMisconfigured, match="damaged"):
        await grant_records(client, "kv").get("segment")


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, {}),
        answer(200, {"data": []}),
        answer(200, {"data": {"data": {}}}),
        stored({}, {"version": 1}),
    ],
)
async def test_an_answer_without_its_fields_is_no_record(
    client: VaultClient, door: FakeDoor, reply: HttpAnswer
) -> None:
    """Neither is it "nothing there"."""
    door.reply_next(reply)
    with pytest.raises((StoreUnavailable, StoreMisconfigured)):
        await grant_records(client, "kv").get("segment")


RIGHT = {"cas_required": True, "max_versions": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        *[
            RIGHT | {"cas_required": False},
            RIGHT | {"max_versions": 0},
            RIGHT | {"max_versions": 10},
        ],
        *[RIGHT | {"max_versions": 2}, {"max_versions": 1}, {"cas_required": True}, {}, None],
    ],
)
async def test_a_mount_that_keeps_old_tokens_or_late_writes_is_refused(
    client: VaultClient, door: FakeDoor, wrong: object
) -> None:
    """KV's defaults among them."""
    door.reply_next(answer(200, {"data": wrong}))
    with pytest.raises(StoreMisconfigured, match="kv"):
        await check_mount(client, "kv")


async def test_a_right_mount_passes_and_a_missing_one_does_not(
    client: VaultClient, door: FakeDoor
) -> None:
    """Nothing there is not KV version 2."""
    door.reply_next(answer(200, {"data": RIGHT}))
    await check_mount(client, "kv")
    with pytest.raises(StoreMisconfigured, match="missing"):
        await check_mount(client, "kv")
