"""Every shard has one keeper that all agree on, and few change hands."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.names import GrantKey
from credbroker.domain.shards import SHARDS, keeper_of, shard_of, shards_of

names = st.sets(st.text(min_size=1, max_size=20), min_size=1, max_size=8)


def test_grants_fall_evenly_into_all_shards() -> None:
    """Their segments are hashes."""
    grants = (GrantKey("cms", f"person-{number}", "default") for number in range(6400))
    counts = Counter(shard_of(grant.segment()) for grant in grants)
    assert set(counts) == set(range(SHARDS))
    assert max(counts.values()) < 150


@given(st.text())
def test_whatever_stands_in_the_folder_has_a_shard(segment: str) -> None:
    """A name that is no hash is kept by somebody, too."""
    assert 0 <= shard_of(segment) < SHARDS


@given(names)
def test_the_replicas_share_all_shards_and_no_two_keep_the_same(replicas: set[str]) -> None:
    """As long as they see each other."""
    shares = [shards_of(name, replicas) for name in replicas]
    assert sorted(shard for share in shares for shard in share) == list(range(SHARDS))


@given(names, st.text(min_size=1, max_size=20))
def test_a_replica_that_comes_or_goes_moves_its_own_shards_only(
    replicas: set[str], other: str
) -> None:
    """The others go on with what they know."""
    for name in replicas - {other}:
        without, beside = shards_of(name, replicas - {other}), shards_of(name, replicas | {other})
        assert beside <= without
        assert without - beside <= shards_of(other, replicas)


def test_a_replica_that_sees_nobody_keeps_everything() -> None:
    """Itself included, before its own heartbeat is there."""
    assert shards_of("one", ()) == frozenset(range(SHARDS))
    assert keeper_of(7, ["one"]) == "one"


def test_three_replicas_have_about_a_third_each() -> None:
    """By the weight of their names."""
    replicas = ("broker-0", "broker-1", "broker-2")
    assert all(10 <= len(shards_of(name, replicas)) <= 35 for name in replicas)
