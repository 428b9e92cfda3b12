"""Logins that a change of the settings would leave behind are found before it is made."""

from __future__ import annotations

from typing import Any

import pytest

from credbroker.admin.orphans import Orphans, find_orphans
from credbroker.domain.errors import RecordDamaged
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.keeping import PROBE_CREDKEY
from credbroker.domain.names import GrantKey
from tests.unit.admin.rooms import Rooms
from tests.unit.things import grant


def through(client_id: str, issuer: str = "cms", person: str = "ada", **changes: Any) -> Grant:
    """Return somebody's login that was made through this client."""
    fields: dict[str, Any] = {
        "key": GrantKey(issuer, person, "default"),
        "issuer_url": f"https://{issuer}.test/",
    }
    return grant(client_id=client_id, **fields | changes)


async def found(rooms: Rooms) -> Orphans:
    """Look with the settings of the office, whose client is `broker` everywhere."""
    return await find_orphans(rooms.grants, rooms.office.settings.issuers)


async def test_logins_of_the_client_that_is_set_are_no_orphans(rooms: Rooms) -> None:
    """All is well."""
    await rooms.give(through("broker"))
    orphans = await found(rooms)
    assert not orphans
    assert orphans.looked_at == 1


async def test_a_changed_client_id_is_told_with_the_number_of_logins_it_would_cost(
    rooms: Rooms,
) -> None:
    """By issuer and client, with what to do instead."""
    for number in range(42):
        await rooms.give(through("old", person=f"person {number}"))
    await rooms.give(through("older", issuer="egi"))
    error = (await found(rooms)).error(rooms.office.settings.issuers)
    assert error.sentence == (
        "42 logins at cms were made through client 'old'; with 'broker' none of them can be"
        " refreshed. Put the old client_id back. 1 login at egi was made through client 'older';"
        " with 'broker' it cannot be refreshed. Put the old client_id back."
    )
    assert "--accept-orphans" in error.remedy


async def test_an_issuer_that_is_gone_leaves_its_logins_behind(rooms: Rooms) -> None:
    """Whatever their client was."""
    await rooms.give(through("broker", issuer="atlas"))
    error = (await found(rooms)).error(rooms.office.settings.issuers)
    assert error.sentence.startswith("1 login at atlas was made, which the settings do not name")
    assert error.sentence.endswith("Put the issuer back.")


async def test_a_changed_url_is_told_since_no_login_is_shown_to_the_new_address(
    rooms: Rooms,
) -> None:
    """Whatever the client is called there."""
    for person in ("ada", "bob"):
        await rooms.give(through("broker", person=person, issuer_url="https://old.test/"))
    error = (await found(rooms)).error(rooms.office.settings.issuers)
    assert error.sentence == (
        "2 logins at cms were made at 'https://old.test/'; at 'https://cms.test/' none of them can"
        " be refreshed. Put the old url back, and give a new issuer a name of its own."
    )


async def test_a_renamed_role_is_told_with_the_logins_that_were_made_in_it(rooms: Rooms) -> None:
    """A login is for one role."""
    for number in range(42):
        key = GrantKey("cms", f"person {number}", "production")
        await rooms.give(through("broker", key=key))
    error = (await found(rooms)).error(rooms.office.settings.issuers)
    assert error.sentence == (
        "42 logins at cms were made in the role 'production', which the settings do not name:"
        " none of them can be used. Put the role back."
    )


@pytest.mark.parametrize("state", [GrantState.LOST, GrantState.ENDED])
async def test_what_is_over_anyway_is_no_orphan(rooms: Rooms, state: GrantState) -> None:
    """Nobody would miss it."""
    await rooms.give(through("old", state=state))
    assert not await found(rooms)


@pytest.mark.parametrize("state", set(GrantState) - {GrantState.LOST, GrantState.ENDED})
async def test_what_may_be_used_again_is_one(rooms: Rooms, state: GrantState) -> None:
    """Also in doubt or paused."""
    await rooms.give(through("old", state=state))
    assert await found(rooms)


async def test_an_operators_throw_away_login_is_nobodys(rooms: Rooms) -> None:
    """Another probe makes another one."""
    await rooms.give(through("old", person=PROBE_CREDKEY))
    assert not await found(rooms)


async def test_a_damaged_record_is_counted_and_hides_no_other(rooms: Rooms) -> None:
    """It is no reason to refuse the settings either."""
    for person in ("ada", "bob"):
        await rooms.give(through("old", person=person))
    rooms.grants.fail_next(RecordDamaged("A record is damaged."), on="get")
    orphans = await found(rooms)
    assert (orphans.count.total(), orphans.damaged) == (1, 1)
