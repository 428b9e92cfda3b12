"""After a restore an operator gets the exact list of who must log in again."""

from __future__ import annotations

import json

from credbroker.admin.restored import restored
from credbroker.broker.custody.sorting import NAMELESS
from credbroker.domain.grants import GrantState
from credbroker.domain.losses import RESTORED
from credbroker.domain.names import GrantKey
from tests.unit.admin.rooms import Rooms
from tests.unit.things import grant


async def lost(rooms: Rooms, issuer: str, person: str, role: str = "default") -> None:
    """Let somebody's login be lost by a restore."""
    key = GrantKey(issuer, person, role)
    await rooms.give(grant(key=key, state=GrantState.LOST, reason=RESTORED))


async def test_the_list_is_a_table_in_order(rooms: Rooms) -> None:
    """Issuer, identity key, role; nothing else on standard output."""
    await lost(rooms, "egi", "bob")
    await lost(rooms, "cms", "ada", "pilot.2")
    await rooms.give(grant(key=GrantKey("cms", "cyd", "default")))
    await restored(rooms.office, [], as_json=False)
    assert rooms.answered().splitlines() == [
        "ISSUER  IDENTITY KEY  ROLE",
        "cms     ada           pilot.2",
        "egi     bob           default",
    ]
    assert "2 logins must be made again" in rooms.said()


async def test_the_list_can_be_json(rooms: Rooms) -> None:
    """In order, too, and with what nobody can name as numbers."""
    await lost(rooms, "egi", "bob")
    await lost(rooms, "cms", "ada")
    nameless = GrantKey(NAMELESS, NAMELESS, NAMELESS)
    await rooms.give(grant(key=nameless, subject=NAMELESS, state=GrantState.ENDED, reason=RESTORED))
    await restored(rooms.office, [], as_json=True)
    assert json.loads(rooms.answered()) == {
        "must_log_in": [
            {"issuer": "cms", "credkey": "ada", "role": "default"},
            {"issuer": "egi", "credkey": "bob", "role": "default"},
        ],
        "unknown": 1,
        "damaged": 0,
    }


async def test_what_a_person_is_called_moves_no_cursor(rooms: Rooms) -> None:
    """Names come from issuers."""
    await lost(rooms, "egi", "b\x1b[2Jb")
    await restored(rooms.office, [], as_json=False)
    assert "\x1b" not in rooms.answered()


async def test_nobody_to_log_in_is_said(rooms: Rooms) -> None:
    """And nothing is printed that a script would take for a person."""
    await restored(rooms.office, [], as_json=False)
    assert rooms.answered() == ""
    assert "0 logins must be made again" in rooms.said()
