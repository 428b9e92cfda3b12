"""Where a shared narrow token is kept, and for whom it counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.attenuation import Right
from credbroker.domain.names import GrantKey
from credbroker.domain.narrow import PLACES, NarrowToken, place_of
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from tests.unit import things

RIGHT = Right(ScopeSet.parse("storage.read:/a compute.read"), ("https://1.test", "https://2.test"))
SAME = Right(ScopeSet.parse("compute.read storage.read:/a"), ("https://2.test", "https://1.test"))
LESS = Right(RIGHT.scopes, RIGHT.audiences[:1])
VALUE = Secret("access token", "access-1")
NARROW = NarrowToken("line-1", RIGHT, VALUE, things.NOON, things.NOON + things.seconds(600))


def test_it_counts_for_its_own_right_and_line_until_it_expires() -> None:
    """Written in any order; not for less, as whoever gets it could do more."""
    assert NARROW.serves("line-1", SAME, things.NOON)
    assert not NARROW.serves("line-1", LESS, things.NOON)
    assert not NARROW.serves("line-2", RIGHT, things.NOON)
    assert not NARROW.serves("line-1", RIGHT, NARROW.expires_at)


def test_its_value_does_not_show() -> None:
    """Not in a `repr`."""
    assert "access-1" not in repr(NARROW)


@given(st.data(), things.keys, things.scope_sets, st.lists(things.names, unique=True, max_size=4))
def test_a_place_goes_by_grant_and_right_alone(
    data: st.DataObject, key: GrantKey, scopes: ScopeSet, audiences: list[str]
) -> None:
    """One path segment beside the grant's, of few, whatever the order of the names."""
    right = Right(scopes, tuple(audiences))
    mixed = Right(
        ScopeSet.of(data.draw(st.permutations(scopes.texts()))),
        tuple(data.draw(st.permutations(audiences))),
    )
    place = place_of(key, right)
    assert place_of(key, mixed) == place
    grant, _, number = place.rpartition("-")
    assert grant == key.segment()
    assert 0 <= int(number) < PLACES
