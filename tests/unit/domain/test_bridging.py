"""Each limit of a bridge over an outage holds, whatever else is true."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.attenuation import ANY_AUDIENCE, Right
from credbroker.domain.bridging import BridgeLimits, out_since, until, why_not
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.scopes import ScopeSet
from tests.unit.things import NOON, grant, seconds

SE = "https://se.test"
LIMITS = BridgeLimits(frozenset({SE, ANY_AUDIENCE}))
HOUR = 3600.0
SINCE = NOON
NOW = NOON + seconds(600)
GRANT = grant(refreshed_at=NOON - seconds(60))
READ = Right(ScopeSet.parse("storage.read:/"), (SE,))


def refused(**changes: object) -> str | None:
    """Return why nothing is signed, with one thing changed in what is signed for else."""
    asked: dict[str, object] = {"grant": GRANT, "right": READ, "out_since": SINCE, "now": NOW}
    return why_not(limits=LIMITS, **(asked | changes))  # type: ignore[arg-type]  # the test knows the fields


def test_in_an_outage_a_grant_that_was_well_is_signed_for() -> None:
    """For an hour."""
    assert refused() is None
    assert until(GRANT, SINCE, LIMITS, NOW) == NOW + seconds(HOUR)


@given(st.lists(st.floats(0, 1e6), max_size=5))
def test_an_outage_is_what_every_replica_has_seen_for_five_minutes(spans: list[float]) -> None:
    """It began when the last of them saw it: till then the issuer may have answered."""
    since = out_since(spans, LIMITS, NOW)
    assert (since is not None) is (bool(spans) and all(one >= 300 for one in spans))
    if since is not None:
        assert since == NOW - seconds(min(spans))


def test_a_replica_that_is_cut_off_for_long_makes_no_outage_longer() -> None:
    """The issuer answered the others till just now, who did not ask about this person for a day."""
    since = out_since([20 * HOUR, 300.0], LIMITS, NOW)
    assert "shortly before" in str(
        refused(out_since=since, grant=replace(GRANT, refreshed_at=NOW - seconds(23 * HOUR)))
    )


def test_a_person_who_has_a_services_name_is_not_signed_for() -> None:
    """What ends the one would end the other."""
    limits = replace(LIMITS, services=frozenset({GRANT.subject}))
    assert "service" in str(why_not(GRANT, READ, SINCE, limits, NOW))


def test_without_an_outage_nothing_is_signed() -> None:
    """Though one grant's refresh may have failed."""
    assert "every replica" in str(refused(out_since=None))


@pytest.mark.parametrize(
    ("state", "may"),
    [
        (GrantState.READY, True),
        (GrantState.CLAIMED, True),
        (GrantState.IN_DOUBT, False),
        (GrantState.PAUSED, False),
        (GrantState.LOST, False),
        (GrantState.ENDED, False),
    ],
)
def test_a_grant_that_anything_speaks_against_is_not_signed_for(
    state: GrantState, may: bool
) -> None:
    """What became of a use that is in doubt, only the issuer could say."""
    assert (refused(grant=replace(GRANT, state=state)) is None) is may


@pytest.mark.parametrize(
    ("ago", "may"), [(0, True), (6 * HOUR, True), (6 * HOUR + 1, False), (-601, False)]
)
def test_the_grant_was_refreshed_within_six_hours_of_the_outage(ago: float, may: bool) -> None:
    """And not at a time that is yet to come."""
    assert (refused(grant=replace(GRANT, refreshed_at=SINCE - seconds(ago))) is None) is may


@pytest.mark.parametrize(
    "scopes",
    [
        "",
        "storage.modify:/home",
        "storage.read:/ storage.modify:/",
        "wlcg.groups",
        "storage.read:/ wlcg.groups:/dteam",
        "wlcg.capabilityset:/dteam",
        "host.auth",
        "fts:submit",
        "storage.read:/a+b",
    ],
)
def test_neither_modify_nor_groups_nor_what_is_no_plain_capability(scopes: str) -> None:
    """The same request without it is signed."""
    assert refused(right=Right(ScopeSet.parse(scopes), (SE,)))


@pytest.mark.parametrize(
    "audiences", [(), ("https://other.test",), (SE, "https://x"), (ANY_AUDIENCE,)]
)
def test_only_for_audiences_that_are_listed(audiences: tuple[str, ...]) -> None:
    """Never for all at once, be that listed."""
    assert refused(right=Right(READ.scopes, audiences))


_GRANTS = st.builds(
    lambda ago, state: replace(GRANT, refreshed_at=NOON - seconds(ago), state=state),
    st.floats(-2e5, 2e5),
    st.sampled_from(GrantState),
)
_RIGHTS = st.builds(
    Right,
    st.lists(
        st.sampled_from(
            [
                "storage.read:/",
                "storage.create:/x",
                "storage.modify:/x",
                "wlcg.groups",
                "compute.read",
            ]
        ),
        max_size=3,
    ).map(ScopeSet.of),
    st.lists(st.sampled_from([SE, ANY_AUDIENCE, "https://x"]), max_size=2).map(tuple),
)


@given(_GRANTS, _RIGHTS, st.floats(0, 1e5), st.floats(0, 1e5))
def test_whatever_is_signed_keeps_every_limit(
    one: Grant, right: Right, out_for: float, later: float
) -> None:
    """An hour each, a day after the last good refresh and so a day of the outage, and no more right."""
    since, now = NOON, NOON + seconds(out_for + later)
    if why_not(one, right, since, LIMITS, now) is not None:
        return
    ends_at = until(one, since, LIMITS, now)
    assert seconds(60) <= ends_at - now <= seconds(HOUR)
    assert ends_at <= min(since, one.refreshed_at) + datetime.timedelta(days=1)
    assert since - one.refreshed_at <= seconds(6 * HOUR)
    assert set(right.audiences) == {SE}
    assert {item.name for item in right.scopes} <= {
        "storage.read",
        "storage.create",
        "compute.read",
    }
