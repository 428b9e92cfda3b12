"""An operator contains, and is told from when on logins count again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from credbroker.admin.contain import Wanted, contain, lift, list_contained, rehearse
from credbroker.config.communities import Community
from credbroker.domain.errors import ClockOff, Malformed, NotFound, StoreUnavailable
from credbroker.domain.names import GrantKey
from credbroker.domain.revocations import Kind
from tests.unit.admin.rooms import Rooms
from tests.unit.things import lease, seconds

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
    await contain(rooms.office, Wanted(kind, name))
    assert rooms.answered().splitlines() == [shown]
    assert MINUTE_LATER in rooms.said()
    mark = rooms.revocations.newest(kind.value).marks[name]
    assert f"{mark.before:%Y-%m-%d %H:%M:%S} UTC" == MINUTE_LATER


async def test_a_host_that_is_contained_by_name_may_need_its_address_too(rooms: Rooms) -> None:
    """A worker node has no deliveries: nobody must take its name for enough."""
    await contain(rooms.office, Wanted(Kind.HOST, "WN1.example.org"))
    assert set(rooms.revocations.newest(Kind.HOST.value).marks) == {"wn1.example.org"}
    assert "Give its address as well" in rooms.said()
    before = rooms.said()
    await contain(rooms.office, Wanted(Kind.HOST, "192.0.2.7"))
    assert "Give its address as well" not in rooms.said().removeprefix(before)


async def test_an_operator_may_name_the_moment(rooms: Rooms) -> None:
    """Also one to come: until then nobody's new login counts."""
    await contain(rooms.office, Wanted(Kind.PERSON, "cms/ada", "2026-06-01T14:00:00Z"))
    assert "2026-06-01 14:00:00 UTC" in rooms.said()


async def test_a_lease_is_over_without_a_moment(rooms: Rooms) -> None:
    """There is no later one of the same id."""
    await contain(rooms.office, Wanted(Kind.LEASE, "a" * 22))
    assert "every lease made from it" in rooms.said()
    assert "UTC" not in rooms.said()
    assert "ssh keys" not in rooms.said()


async def test_what_was_contained_can_be_lifted(rooms: Rooms) -> None:
    """Once; the second time there is nothing to lift."""
    await contain(rooms.office, Wanted(Kind.HOST, "::ffff:192.0.2.7"))
    await lift(rooms.office, Wanted(Kind.HOST, "192.0.2.7"))
    assert rooms.answered().splitlines()[-1] == "Host 192.0.2.7 is contained no more."
    assert rooms.revocations.newest(Kind.HOST.value).marks == {}
    with pytest.raises(NotFound):
        await lift(rooms.office, Wanted(Kind.HOST, "192.0.2.7"))


@pytest.mark.parametrize(
    ("kind", "name", "kept"),
    [
        (Kind.PERSON, "atlas/ada", NotFound),
        (Kind.ISSUER, "atlas", NotFound),
        (Kind.CLIENT, "dteam/rucio", NotFound),
        (Kind.CLIENT, "rucio", Malformed),
        (Kind.PERSON, "ada", Malformed),
        (Kind.HOST, "192.0.2.777", Malformed),
    ],
)
async def test_a_name_that_nobody_has_is_refused(
    rooms: Rooms, kind: Kind, name: str, kept: type[Exception]
) -> None:
    """Nothing is written: a slip of the pen must not look like a containment."""
    with pytest.raises(kept):
        await contain(rooms.office, Wanted(kind, name))
    assert rooms.revocations.history == []


async def test_a_time_in_words_is_refused(rooms: Rooms) -> None:
    """With the form that is wanted."""
    with pytest.raises(Malformed, match="2026-03-01T12:00:00Z"):
        await contain(rooms.office, Wanted(Kind.JOB, "job 1", "tomorrow"))


async def test_a_token_that_we_signed_is_ended_without_counting_leases(rooms: Rooms) -> None:
    """What it means is told; it may be lifted."""
    await rehearse(rooms.office, Wanted(Kind.TOKEN, "jti-1"))
    await contain(rooms.office, Wanted(Kind.TOKEN, "jti-1"))
    assert "can be used for no grant" in rooms.said()
    assert "leases" not in rooms.said()
    await lift(rooms.office, Wanted(Kind.TOKEN, "jti-1"))
    assert "This token counts again within 5 seconds." in rooms.said()


async def test_a_client_is_named_with_its_community(rooms: Rooms) -> None:
    """It is stopped until its secret was changed and the containment lifted."""
    communities = {"dteam": Community(url="https://broker.test:8200/dteam/")}
    settings = structs.replace(rooms.office.settings, communities=communities)
    await contain(replace(rooms.office, settings=settings), Wanted(Kind.CLIENT, "dteam/rucio"))
    assert rooms.answered() == "Client dteam/rucio is contained.\n"
    assert "--lift" in rooms.said()


async def a_lease(rooms: Rooms, number: int, **changes: Any) -> str:
    """Store a lease of Ada's, made a minute ago; return its id."""
    now = rooms.clock.now()
    key = GrantKey("cms", "ada", "default")
    made = {"key": key, "created_at": now - seconds(60), "ends_at": now + seconds(3600)}
    found = lease(**{"id": f"{number:022}", **made, **changes})
    await rooms.leases.put(found.id, found, 0)
    return found.id


async def test_what_is_hit_is_told_and_nothing_else_is(rooms: Rooms) -> None:
    """Not what is over anyway, nor another's; what was made from what is hit is, too."""
    own = await a_lease(rooms, 1)
    await a_lease(rooms, 2, job="job 1", ancestors=(own,))
    await a_lease(rooms, 3, ends_at=rooms.clock.now())
    await a_lease(rooms, 4, ended_at=rooms.clock.now())
    await a_lease(rooms, 5, key=GrantKey("cms", "bob", "default"))
    await a_lease(rooms, 6, key=GrantKey("egi", "ada", "default"))
    await contain(rooms.office, Wanted(Kind.PERSON, "cms/ada"))
    assert "These are 2 leases, 1 of them of jobs, of cms/ada." in rooms.said()
    assert "Access tokens that are out live until they expire." in rooms.said()
    await rehearse(rooms.office, Wanted(Kind.LEASE, own))
    assert rooms.said().splitlines()[-1].startswith("These would be 2 leases")


async def test_a_rehearsal_ends_nothing(rooms: Rooms) -> None:
    """Neither in the store nor in the trail; a wrong name is refused as in earnest."""
    await a_lease(rooms, 1)
    await rehearse(rooms.office, Wanted(Kind.ISSUER, "cms"))
    assert rooms.answered() == "Issuer cms would be contained.\n"
    assert "1 leases" in rooms.said()
    with pytest.raises(NotFound):
        await rehearse(rooms.office, Wanted(Kind.ISSUER, "atlas"))
    assert (rooms.revocations.history, rooms.audit.events()) == ([], [])


async def test_a_store_that_fails_under_the_counting_leaves_it_open(rooms: Rooms) -> None:
    """The containment is stored by then."""
    await a_lease(rooms, 1)
    rooms.leases.fail_next(StoreUnavailable("OpenBao/Vault does not answer."))
    await contain(rooms.office, Wanted(Kind.JOB, "job 1"))
    assert "at least 0 leases" in rooms.said()
    assert rooms.revocations.newest(Kind.JOB.value).marks


async def test_what_is_contained_is_listed_until_when_it_is_remembered(rooms: Rooms) -> None:
    """A sentence each, whatever characters a name has; nothing is said to be nothing."""
    await list_contained(rooms.office)
    assert rooms.said() == "Nothing is contained.\n"
    await contain(rooms.office, Wanted(Kind.JOB, 'j\u00f6b <1> & "more"', reason="ticket 4711"))
    await contain(rooms.office, Wanted(Kind.PERSON, "cms/ada"))
    before = len(rooms.answered().splitlines())
    await list_contained(rooms.office)
    over = "what was made before 2026-06-01 12:01:00 UTC is over"
    assert rooms.answered().splitlines()[before:] == [
        f"Person cms/ada: {over} (remembered until 2027-06-02 12:01:00 UTC).",
        f'Job j\u00f6b <1> & "more": {over} (remembered until 2027-06-02 12:01:00 UTC).',
    ]
    assert [line.get("reason") for line in rooms.audit.lines] == ["ticket 4711", None]


@pytest.mark.parametrize("off", [3600.0, -3600.0, 2 * 86400.0])
async def test_an_operators_wrong_clock_contains_nothing(rooms: Rooms, off: float) -> None:
    """An hour behind, the mark would spare what was stolen since; the operator is told."""

    def wrong() -> None:
        raise ClockOff(f"This replica's clock is {off:.0f} s off.")

    office = replace(rooms.office, means=replace(rooms.office.means, check_clock=wrong))
    with pytest.raises(ClockOff):
        await contain(office, Wanted(Kind.PERSON, "cms/ada"))
    assert rooms.revocations.history == []
