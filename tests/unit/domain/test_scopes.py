"""Scopes cover what the profile says and nothing beside it; sloppy ones are refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.domain.scopes import ScopeSet, check_path, parse_item, path_covers
from tests.unit import things

CAPABILITY_SET = "wlcg.capabilityset:/cms"


@pytest.mark.parametrize(
    "path",
    [
        *["", "foo", "//", "/foo//x", "/foo//", "/./x", "/foo/.", "/foo/..", "/foo/../etc", "/.."],
        *["/foo/%2E%2E/etc", "/%2e%2e", "/foo%2Fbar", "/foo%2fbar", "/a%5Cb", "/a%00", "/a%41"],
        *[
            "/a%7E",
            "/a%2",
            "/a%",
            "/a%GG",
            "/a%c3",
            "/a b",
            '/a"b',
            "/a\\b",
            "/é",
            "/a?b",
            "/a#b",
            "/a\n",
        ],
    ],
)
def test_a_path_not_in_normal_form_is_refused(path: str) -> None:
    """Some storage compares prefixes as text, so a sloppy path is a wider right."""
    with pytest.raises(Malformed):
        check_path(path)


@pytest.mark.parametrize(
    "path", ["/", "/foo", "/foo/", "/a.b/..c", "/%20x", "/a%25", "/a@b:c,d;e=f!"]
)
def test_a_path_in_normal_form_is_taken_as_it_is(path: str) -> None:
    """One final slash is allowed, and so are encoded characters that need it."""
    assert check_path(path) == path


@pytest.mark.parametrize(
    ("parent", "child", "covered"),
    [
        ("/", "/", True),
        ("/", "/a/b/", True),
        ("/a", "/a", True),
        ("/a", "/a/", True),
        ("/a", "/a/x", True),
        ("/a", "/ab", False),
        ("/a", "/A", False),
        ("/a/", "/a/", True),
        ("/a/", "/a/x", True),
        ("/a/", "/a", False),
        ("/a/", "/ab", False),
        ("/a/b", "/a", False),
        ("/a", "/", False),
    ],
)
def test_a_path_covers_itself_and_what_lies_below(parent: str, child: str, covered: bool) -> None:
    """By whole segments; with a final slash the file of that name is not meant."""
    assert path_covers(parent, child) is covered


@given(things.paths(), things.paths(), things.paths())
def test_covering_is_reflexive_transitive_and_antisymmetric(one: str, two: str, three: str) -> None:
    """So narrowing twice is narrowing, and nothing comes back by a detour."""
    assert path_covers(one, one)
    if path_covers(one, two) and path_covers(two, three):
        assert path_covers(one, three)
    if path_covers(one, two) and path_covers(two, one):
        assert one == two or "/" in {one, two}


@pytest.mark.parametrize(
    "text",
    [
        *["storage.read", "storage.read:", "storage.read:foo", "compute.read:/", "compute.create:"],
        *["host.auth:/x", "", "a b", 'a"b', "a\\b", "é", "a\x00", "x" * 1025],
    ],
)
def test_a_scope_that_breaks_the_grammar_is_refused(text: str) -> None:
    """A storage item without a path makes a whole token invalid."""
    with pytest.raises(Malformed):
        parse_item(text)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing else is raised; what is read is written back as it was."""
    with contextlib.suppress(Malformed):
        assert str(parse_item(text)) == text


@given(things.scope_sets)
def test_a_scope_set_comes_back_from_its_text(scopes: ScopeSet) -> None:
    """In the same order, each item once."""
    assert ScopeSet.parse(str(scopes)) == scopes


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ("storage.read:/a", "storage.poll:/a"),
        ("storage.modify:/a", "storage.read:/a"),
        ("storage.create:/a", "storage.modify:/a"),
        ("storage.stage:/a", "storage.read:/a"),
        ("storage.poll:/a", "storage.stage:/a"),
        ("compute.modify", "compute.cancel"),
        ("compute.create", "compute.read"),
        ("storage.read:/", "compute.read"),
        ("fts:/a", "fts:/a/b"),
        ("wlcg.groups", "wlcg.groups:/cms"),
        ("wlcg.groups:/cms", "wlcg.groups:/cms/b"),
        ("STORAGE.read:/a", "storage.read:/a"),
    ],
)
def test_nothing_else_is_implied(held: str, wanted: str) -> None:
    """Only modify covers create, and stage covers poll; what is not known covers itself alone."""
    assert not ScopeSet.parse(held).covers_item(parse_item(wanted))


def test_what_only_steers_a_login_is_no_right() -> None:
    """It is never passed on to a child."""
    scopes = ScopeSet.parse("openid offline_access wlcg wlcg:1.0 profile email storage.read:/ fts")
    assert str(scopes.rights()) == "storage.read:/ fts"


def test_a_capability_set_is_a_capability() -> None:
    """Without it a token with groups would be wider, as without any other capability."""
    assert ScopeSet.parse(CAPABILITY_SET).has_capability
    assert not ScopeSet.parse("wlcg.groups:/cms fts openid").has_capability
