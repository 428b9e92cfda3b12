"""What may be ordered, who may consent to it, and where it is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain import deliveries
from credbroker.domain.deliveries import Announced, HostLease, Ordered, Shown, Target
from credbroker.domain.errors import NotAllowed, NotFound
from credbroker.domain.hosts import check_host_name
from credbroker.domain.leases import check_job_name
from credbroker.domain.names import GrantKey
from credbroker.domain.scopes import ScopeSet
from tests.unit.things import KEY, NOON, lease, refusal, seconds

LX1, LX = Target("lx1.example.org"), Target("lx", is_group=True)


def ordered(**changes: Any) -> Ordered:
    """Return an order of uid 1000 on one host."""
    fields: dict[str, Any] = {
        "target": LX1, "uid": 1000, "user": "ada", "issuer": "egi", "role": "default",
        "scopes": ("storage.read:/",), "audiences": ("https://se",),
    }  # fmt: skip
    return Ordered(**fields | changes)


def waits(**changes: Any) -> Announced:
    """Return such an order, announced at noon."""
    return deliveries.announced(ordered(**changes), "lx1.example.org", "c" * 14, "hash", NOON)


def shown(**changes: Any) -> Shown:
    """Return that it was shown as it is."""
    fields: dict[str, Any] = {
        "target": LX1, "uid": 1000, "user": "ada", "scopes": ("storage.read:/",),
        "audiences": ("https://se",), "name": "", "replaces_foreign": False, "code_hash": "hash",
    }  # fmt: skip
    return Shown(**fields | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"uid": -1}, {"uid": 0}, {"uid": 2**32 - 1}, {"user": ""}, {"user": "a b"}, {"user": "a\n"},
        {"issuer": "../x"}, {"role": ""}, {"name": "../../etc/passwd"}, {"name": ".hidden"},
        {"name": "a/b"}, {"scopes": ()}, {"scopes": ("a b",)}, {"scopes": ("storage.read",)},
        {"scopes": ("fts",) * 101}, {"audiences": ("",)}, {"audiences": ("a b",)},
        {"audiences": ("a",) * 21}, {"scopes": tuple(f"{one:01000}" for one in range(9))}, {"audiences": ("a" * 513,)},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_ordered_is_refused_in_words(changes: dict[str, Any]) -> None:
    """A file's name reaches a host's root, so it stays a plain one."""
    assert refusal(lambda: deliveries.check_ordered(ordered(**changes))).endswith(".")


def test_what_can_be_ordered_stays_as_it_is() -> None:
    """Without audiences the issuer chooses."""
    for one in (ordered(), ordered(name="cms-prod", user="ada@example.org", audiences=())):
        assert deliveries.check_ordered(one) == one
    wanted = ordered(audiences=()).wanted()
    assert (wanted.scopes, wanted.audiences) == (ScopeSet.of(["storage.read:/"]), None)


def test_the_longest_host_name_still_makes_the_name_of_a_job() -> None:
    """Whose lease it is, is told by its host as well."""
    name = ".".join(["x" * 63] * 3 + ["y" * 61])
    assert check_job_name(deliveries.job_of("d" * 22, check_host_name(name)))


def test_who_saw_what_was_announced_may_consent() -> None:
    """In whatever order the scopes stood, until the ten minutes are over."""
    found = waits(scopes=("a", "b"))
    just_so = shown(scopes=("b", "a"))
    assert deliveries.check_consent(found, just_so, KEY, NOON + seconds(599)) == found
    with pytest.raises(NotFound, match="10 minutes"):
        deliveries.check_consent(found, just_so, KEY, NOON + seconds(600))


@pytest.mark.parametrize(
    "changes",
    [
        {"uid": 1001}, {"target": Target("lx2.example.org")}, {"target": LX},
        {"target": Target("lx1.example.org", is_group=True)},
        {"scopes": ()}, {"scopes": ("storage.read:/", "storage.modify:/")}, {"audiences": ()},
        {"audiences": ("https://other",)}, {"user": "eve"}, {"name": "dav"},
        {"replaces_foreign": True},
    ],
    ids=str,
)  # fmt: skip
def test_whoever_saw_something_else_has_not_consented(changes: dict[str, Any]) -> None:
    """More, less, for somebody else or somewhere else."""
    with pytest.raises(NotAllowed, match="not what the host has announced"):
        deliveries.check_consent(waits(), shown(**changes), KEY, NOON)


def test_a_wrong_code_and_a_wrong_id_look_the_same() -> None:
    """Nobody learns which orders wait."""
    sentences = set()
    for found, code in ((None, "hash"), (waits(), "other")):
        with pytest.raises(NotFound) as caught:
            deliveries.check_consent(found, shown(code_hash=code), KEY, NOON)
        sentences.add(caught.value.sentence)
    assert len(sentences) == 1


@pytest.mark.parametrize(
    "key", [GrantKey("cms", "ada", "default"), GrantKey("egi", "ada", "production")]
)
def test_a_login_for_another_issuer_or_role_cannot_consent(key: GrantKey) -> None:
    """The person was asked for this one."""
    with pytest.raises(NotAllowed, match="this login is for another"):
        deliveries.check_consent(waits(), shown(), key, NOON)


def test_only_logins_near_enough_to_the_root_may_consent() -> None:
    """Two rows of leases come below: the order's and its hosts'."""
    for ancestors in ((), ("a",)):
        deliveries.check_may_consent(lease(ancestors=ancestors))
    for unfit in (lease(job="job 1"), lease(ancestors=("a", "b"))):
        with pytest.raises(NotAllowed):
            deliveries.check_may_consent(unfit)


def test_an_order_belongs_to_the_login_that_consented() -> None:
    """Not to a later login under the same name, nor to somebody else's."""
    own = lease(id="own", line="line-1")
    delivery = deliveries.consented(waits(), own)
    assert (delivery.lease_id, delivery.ends_at) == ("own", own.ends_at)
    assert delivery.is_with(lease(line="line-1"))
    assert not delivery.is_with(lease(line="line-2"))
    assert not delivery.is_with(replace(own, key=GrantKey("egi", "bob", "default")))


targets = st.builds(Target, st.sampled_from(["lx", "lx1", "a.b"]), st.booleans())


@given(targets, targets, st.sampled_from(["line-1", "lx"]))
def test_each_place_has_a_tag_of_its_own(one: Target, other: Target, line: str) -> None:
    """A group is no host of the same name, and neither is a login."""
    assert (one.tag() == other.tag()) is (one == other)
    assert deliveries.person_tag(line) != one.tag()
    assert len(one.tag()) == len(deliveries.person_tag(line)) == 8


def test_ids_and_places_are_of_one_form() -> None:
    """Twenty-two characters, of which no path is made; nothing else is looked for."""
    delivery = deliveries.consented(waits(), lease())
    for one in (delivery.id, delivery.person_segment(), deliveries.host_lease_segment("d", "h")):
        assert deliveries.check_id(one) == one
    for bad in ("", "../../grants/x", "a" * 21, "a" * 23, f"{'a' * 22}\n"):
        with pytest.raises(NotFound):
            deliveries.check_id(bad)


def test_each_order_and_host_has_one_lease() -> None:
    """At a place of its own."""
    held = HostLease("d1", "h1", "lease", NOON)
    assert held.segment() == deliveries.host_lease_segment("d1", "h1")
    assert len({deliveries.host_lease_segment(d, h) for d in "ab" for h in "ab"}) == 4
    assert deliveries.job_of("d1") != deliveries.job_of("d1", "h1")


@given(st.lists(st.integers(0, 8000), max_size=30))
def test_pages_tell_every_order_once_and_none_is_too_long(sizes: list[int]) -> None:
    """However long each of them is."""
    whole = [
        replace(
            deliveries.consented(waits(scopes=("s" * size,) * 10), lease()),
            id=f"{number * 7919 % 31:022}",
        )
        for number, size in enumerate(sizes)
    ]
    told: list[str] = []
    after: str | None = ""
    while after is not None:
        found, after = deliveries.page(whole, after)
        told += [one.id for one in found]
        length = sum(len("".join(one.ordered.scopes)) for one in found)
        assert length <= deliveries.PAGE_CHARACTERS or len(found) == 1
    assert told == sorted(one.id for one in whole)
