"""An operator contains, and is told from when on logins count again."""

from __future__ import annotations

import pytest

from credbroker.admin.contain import contain, lift
from credbroker.domain.errors import Malformed, NotFound
from credbroker.domain.revocations import Kind
from tests.unit.admin.rooms import Rooms

MINUTE_LATER = "2026-06-01 12:01:00 UTC"


@pytest.mark.parametrize(
    ("kind", "name", "shown"),
    [
        (Kind.PERSON, "cms/ada", "Person cms/ada is contained."),
        (Kind.JOB, "job 1", "Job job 1 is contained."),
        (Kind.HOST, "192.0.2.7", "Host 192.0.2.7 is contained."),
        (Kind.ISSUER, "cms", "Issuer cms is contained."),
    ],
)
async def test_what_was_made_until_now_is_over(
    rooms: Rooms, kind: Kind, name: str, shown: str
) -> None:
    """With a minute more, for clocks that are ahead."""
    await contain(rooms.office, kind, name, None)
    assert rooms.answered().splitlines() == [shown]
    assert MINUTE_LATER in rooms.said()
    mark = rooms.revocations.newest(kind.value).marks[name]
    assert f"{mark.before:%Y-%m-%d %H:%M:%S} UTC" == MINUTE_LATER


async def test_an_operator_may_name_the_moment(rooms: Rooms) -> None:
    """Also one to come: until then nobody's new login counts."""
    await contain(rooms.office, Kind.PERSON, "cms/ada", "2026-06-01T14:00:00Z")
    assert "2026-06-01 14:00:00 UTC" in rooms.said()


async def test_a_lease_is_over_without_a_moment(rooms: Rooms) -> None:
    """There is no later one of the same id."""
    await contain(rooms.office, Kind.LEASE, "a" * 22, None)
    assert "every lease made from it" in rooms.said()
    assert "UTC" not in rooms.said()


async def test_what_was_contained_can_be_lifted(rooms: Rooms) -> None:
    """Once; the second time there is nothing to lift."""
    await contain(rooms.office, Kind.HOST, "::ffff:192.0.2.7", None)
    await lift(rooms.office, Kind.HOST, "192.0.2.7")
    assert rooms.answered().splitlines()[-1] == "Host 192.0.2.7 is contained no more."
    assert rooms.revocations.newest(Kind.HOST.value).marks == {}
    with pytest.raises(NotFound):
        await lift(rooms.office, Kind.HOST, "192.0.2.7")


@pytest.mark.parametrize(
    ("kind", "name", "kept"),
    [
        (Kind.PERSON, "atlas/ada", NotFound),
        (Kind.ISSUER, "atlas", NotFound),
        (Kind.PERSON, "ada", Malformed),
        (Kind.HOST, "wn1.example.org", Malformed),
    ],
)
async def test_a_name_that_nobody_has_is_refused(
    rooms: Rooms, kind: Kind, name: str, kept: type[Exception]
) -> None:
    """Nothing is written: a slip of the pen must not look like a containment."""
    with pytest.raises(kept):
        await contain(rooms.office, kind, name, None)
    assert rooms.revocations.history == []


async def test_a_time_in_words_is_refused(rooms: Rooms) -> None:
    """With the form that is wanted."""
    with pytest.raises(Malformed, match="2026-03-01T12:00:00Z"):
        await contain(rooms.office, Kind.JOB, "job 1", "tomorrow")
