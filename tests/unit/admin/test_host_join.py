"""An operator's join token is told once, and stands nowhere."""

from __future__ import annotations

import pytest

from credbroker.admin.host_join import host_join
from credbroker.domain.errors import Malformed
from credbroker.domain.hosts import HostSecret, place_of
from tests.unit.admin.rooms import Rooms


async def test_the_token_is_all_that_is_answered(rooms: Rooms) -> None:
    """For whom, and how long, is said beside it; kept is its hash."""
    await host_join(rooms.office, "LX1.example.org")
    token = HostSecret.parse("cj", rooms.answered().strip())
    host = rooms.office.hosts
    stored = await host.get(place_of("lx1.example.org"))
    assert stored is not None
    assert (stored.value.name, stored.value.join_hash) == ("lx1.example.org", token.secret_hash())
    assert "lx1.example.org may join with it once, within 10 minutes" in rooms.said()
    secret = rooms.answered().strip().partition(".")[2]
    assert secret not in repr(stored) + repr(rooms.audit.lines) + rooms.said()


async def test_what_is_no_hosts_name_gets_none(rooms: Rooms) -> None:
    """An address, say, or an alias with a star."""
    for name in ("192.0.2.7", "lx*.example.org", ""):
        with pytest.raises(Malformed, match="named as DNS"):
            await host_join(rooms.office, name)
    assert rooms.answered() == ""
