"""The path rule of scope items."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.demo.issuer.errors import OAuthError
from credbroker.demo.issuer.scopes import check_registered, covers, split, within

SEGMENTS = st.lists(st.text("abA.-_", min_size=1, max_size=3).filter(lambda s: s.strip(".")))


@pytest.mark.parametrize(
    ("held", "asked", "allowed"),
    [
        ("storage.read:/foo", "storage.read:/foo", True),
        ("storage.read:/foo", "storage.read:/foo/", True),
        ("storage.read:/foo", "storage.read:/foo/bar", True),
        ("storage.read:/foo/", "storage.read:/foo/bar", True),
        ("storage.read:/foo/", "storage.read:/foo", False),
        ("storage.read:/foo", "storage.read:/foobar", False),
        ("storage.read:/foo/bar", "storage.read:/foo", False),
        ("storage.read:/foo", "storage.read:/Foo", False),
        ("storage.read:/", "storage.read:/any/where", True),
        ("storage.read:/", "storage.create:/any", False),
        ("storage.modify:/", "storage.read:/", False),
        ("compute.modify", "compute.cancel", False),
        ("wlcg.groups", "wlcg.groups:/cms/prod", False),
        ("wlcg.groups:/cms", "wlcg.groups:/cms/prod", False),
    ],
)
def test_an_item_covers_itself_and_the_paths_below_it(held: str, asked: str, allowed: bool) -> None:
    """Names are equal, paths go by whole segments, and no name implies another."""
    assert covers(held, asked) is allowed


@given(SEGMENTS, SEGMENTS)
def test_coverage_is_the_order_of_segment_lists(parent: list[str], below: list[str]) -> None:
    """A path covers exactly those that begin with its segments."""
    held = "storage.read:/" + "/".join(parent)
    deeper = "storage.read:/" + "/".join(parent + below)
    assert covers(held, deeper)
    assert covers(deeper, held) is (held == deeper)


@pytest.mark.parametrize(
    "item",
    [
        "storage.read",
        "storage.read:",
        "storage.read:foo",
        "storage.read:/foo/../etc",
        "storage.read:/foo/.",
        "storage.read:/foo//x",
        "storage.read://",
        "storage.read:/foo%2Fbar",
        "storage.read:/foo/%2E%2e/etc",
        'storage.read:/fo"o',
        "höst",
    ],
)
def test_an_item_that_could_not_be_in_a_token_is_refused(item: str) -> None:
    """The whole parameter fails, as `invalid_scope`."""
    with pytest.raises(OAuthError, match="invalid_scope"):
        split(f"openid {item}")


def test_items_keep_their_order_and_come_once() -> None:
    """Duplicates count once, at their first place."""
    assert split("b a b storage.read:/x/") == ("b", "a", "storage.read:/x/")


def test_an_unregistered_item_fails_the_request() -> None:
    """A registered group scope stands for named groups; nothing else is lent."""
    check_registered(
        ("wlcg.groups", "storage.read:/a"), ["wlcg.groups:/cms", "storage.read:/a/b"], "c"
    )
    with pytest.raises(OAuthError, match=r"storage\.read:/b"):
        check_registered(("storage.read:/a",), ["storage.read:/a", "storage.read:/b"], "c")


def test_nothing_is_within_nothing() -> None:
    """No item held allows no item, and asking nothing is always allowed."""
    assert within([], [])
    assert not within([], ["openid"])
