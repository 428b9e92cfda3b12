"""A narrowed right is never wider than any of the three it comes from, by a model of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credbroker.domain.attenuation import ANY_AUDIENCE, Ceiling, Right, Wanted, attenuate
from credbroker.domain.errors import CredbrokerError, Malformed, OutsideCeiling
from credbroker.domain.scopes import ScopeSet
from tests.unit import things

# These are the rules that everything else rests on: so many more examples than usual.
often = settings(max_examples=250)

SE1, SE2 = "https://se1.example.org", "https://se2.example.org"


def narrowed(parent: str, child: str) -> Right:
    """Ask for the scopes `child` under a grant of `parent`."""
    return attenuate(Right(ScopeSet.parse(parent)), Ceiling(), Wanted(ScopeSet.parse(child)))


@pytest.mark.parametrize(
    ("parent", "child"),
    [
        ("storage.read:/foo", "storage.read:/foo"),
        ("storage.read:/foo", "storage.read:/foo/"),
        ("storage.read:/foo", "storage.read:/foo/bar"),
        ("storage.read:/", "storage.read:/any/%20normal/path"),
        ("storage.modify:/d", "storage.create:/d/x"),
        ("storage.stage:/t", "storage.poll:/t/f"),
        ("storage.read:/a storage.read:/b", "storage.read:/a/1 storage.read:/b/2"),
        ("compute.create compute.read", "compute.read"),
        ("storage.read:/x wlcg.groups", "storage.read:/x"),
        ("wlcg.groups wlcg.groups:/vo", "wlcg.groups:/vo"),
        ("storage.read:/foo/", "storage.read:/foo/ storage.read:/foo/bar"),
        ("compute.modify compute.cancel host.auth", "host.auth"),
        ("fts storage.read:/x", "fts"),
    ],
)
def test_the_profiles_narrower_requests_are_granted(parent: str, child: str) -> None:
    """WLCG profile, attenuation table: rows with yes."""
    assert str(narrowed(parent, child).scopes) == child


@pytest.mark.parametrize(
    ("parent", "child"),
    [
        ("storage.read:/foo/", "storage.read:/foo"),
        ("storage.read:/foo", "storage.read:/foobar"),
        ("storage.read:/foo/bar", "storage.read:/foo"),
        ("storage.read:/foo", "storage.read:/Foo"),
        ("storage.create:/d", "storage.modify:/d/x"),
        ("storage.modify:/d", "storage.read:/d"),
        ("storage.stage:/t", "storage.read:/t/f"),
        ("storage.poll:/t", "storage.stage:/t"),
        ("storage.read:/a storage.read:/b", "storage.read:/"),
        ("compute.modify", "compute.cancel"),
        ("wlcg.groups:/vo", "wlcg.groups:/vo compute.create"),
        ("storage.read:/x wlcg.groups:/vo", "wlcg.groups:/vo"),
        ("wlcg.capabilityset:/vo wlcg.groups:/vo", "wlcg.groups:/vo"),
        ("storage.read:/x openid offline_access", "openid offline_access"),
        ("storage.read:/foo/", "storage.read:/"),
        ("storage.modify:/d", "storage.stage:/d"),
        ("storage.read:/t", "storage.poll:/t"),
        ("storage.modify:/", "compute.modify"),
        ("compute.modify", "storage.modify:/"),
        ("compute.create", "host.auth"),
        ("fts", "fts.admin"),
        ("wlcg.groups:/vo", "wlcg.groups:/vo/sub"),
        ("wlcg.groups:/vo/sub", "wlcg.groups:/vo"),
        ("wlcg.groups:/vo", "wlcg.groups"),
    ],
)
def test_the_profiles_wider_requests_are_refused(parent: str, child: str) -> None:
    """WLCG profile, attenuation table: rows with no, empty requests among them."""
    with pytest.raises(OutsideCeiling):
        narrowed(parent, child)


@pytest.mark.parametrize(
    "path", [":/foo/../etc", ":/foo/%2E%2E/etc", ":/foo%2Fbar", ":/foo//x", ":foo", ""]
)
def test_the_profiles_invalid_requests_are_refused(path: str) -> None:
    """WLCG profile, attenuation table: rows with invalid."""
    with pytest.raises(Malformed):
        narrowed("storage.read:/foo", "storage.read" + path)


@pytest.mark.parametrize(
    ("granted", "ceiling", "wanted", "given_audiences"),
    [
        ((ANY_AUDIENCE,), None, (SE1,), (SE1,)),
        ((SE1, SE2), None, (SE2, SE2), (SE2,)),
        ((), None, (SE1,), (SE1,)),
        ((), None, None, ()),
        ((SE1, SE2), None, None, (SE1, SE2)),
        ((SE1, SE2), (SE2,), None, (SE2,)),
        ((), (ANY_AUDIENCE,), (SE1,), (SE1,)),
    ],
)
def test_audiences_within_every_limit_are_granted(
    granted: tuple[str, ...],
    ceiling: tuple[str, ...] | None,
    wanted: tuple[str, ...] | None,
    given_audiences: tuple[str, ...],
) -> None:
    """A wildcard holds all; asking for none takes the narrowest list there is."""
    read = ScopeSet.parse("storage.read:/")
    right = attenuate(Right(read, granted), Ceiling(None, ceiling), Wanted(None, wanted))
    assert right == Right(read, given_audiences)


@pytest.mark.parametrize(
    ("granted", "ceiling", "wanted"),
    [
        ((SE1,), None, (SE1, SE2)),
        ((SE1,), None, (ANY_AUDIENCE,)),
        ((SE1,), None, (SE1 + "/",)),
        ((SE1,), None, (SE1.upper(),)),
        ((SE1,), None, ()),
        ((), (SE1,), (SE2,)),
        ((), (SE1,), ()),
        ((), (), None),
        ((SE1,), (ANY_AUDIENCE,), (SE2,)),
    ],
)
def test_audiences_outside_any_limit_are_refused(
    granted: tuple[str, ...], ceiling: tuple[str, ...] | None, wanted: tuple[str, ...] | None
) -> None:
    """Compared as text; naming none is wider than any list, since the issuer would choose."""
    read = ScopeSet.parse("storage.read:/")
    with pytest.raises(OutsideCeiling):
        attenuate(Right(read, granted), Ceiling(None, ceiling), Wanted(None, wanted))


# An independent model of the profile: what a service lets somebody do who shows these scopes.


@dataclass(frozen=True)
class Operation:
    """Something tried at a service: on a path (as names, and whether a folder is meant), or not."""

    verb: str
    names: tuple[str, ...] = ()
    folder: bool = False


MEANS = {
    "storage.read": {"read", "stat"},
    "storage.create": {"upload", "stat"},
    "storage.modify": {"upload", "overwrite", "stat"},
    "storage.stage": {"stage", "poll", "stat"},
    "storage.poll": {"poll"},
}
JOBS = ["compute.read", "compute.create", "compute.modify", "compute.cancel", "host.auth"]


def allowed(scopes: ScopeSet, operation: Operation) -> bool:
    """Decide as a service does that knows capabilities and groups: any capability beats groups."""
    items = [text.split(":", 1) for text in scopes.texts()]
    if any(item[0] in MEANS or item[0] in JOBS for item in items):
        return any(item[0] in MEANS and _allows(item, operation) for item in items) or any(
            item == [operation.verb] for item in items
        )
    return operation.verb == "as a member" and any(item[0] == "wlcg.groups" for item in items)


def _allows(item: list[str], operation: Operation) -> bool:
    name, path = item
    about = tuple(part for part in path.split("/") if part)
    if operation.verb == "make a folder":
        writes = "upload" in MEANS[name]
        return writes and (
            _below(about, operation.names) or about[: len(operation.names)] == operation.names
        )
    if operation.verb not in MEANS[name] or not _below(about, operation.names):
        return False
    only_the_folder = path.endswith("/") and path != "/"
    return not (only_the_folder and operation.names == about and not operation.folder)


def _below(about: tuple[str, ...], names: tuple[str, ...]) -> bool:
    return names[: len(about)] == about


def tried_with(scopes: ScopeSet) -> Iterator[Operation]:
    """Walk what somebody would try who holds these scopes: at, around and below each path."""
    yield Operation("as a member")
    yield from (Operation(text) for text in scopes.texts() if text in JOBS)
    for name, _, path in (text.partition(":") for text in scopes.texts()):
        names = tuple(part for part in path.split("/") if part)
        beside = (*names[:-1], names[-1] + "b") if names else ()
        for verb in [*sorted(MEANS.get(name, ())), "make a folder"]:
            for place in (names, (*names, "a"), (*names, "x.y", "A"), names[:-1], beside):
                yield from (Operation(verb, place, folder) for folder in (False, True))


def changed(text: str) -> list[str]:
    """Return an item, items below it, and some that look as if they were."""
    name, _, path = text.partition(":")
    if name not in MEANS:
        return [text, "wlcg.groups", "compute.modify"]
    stem = path.rstrip("/")
    paths = [path, stem or "/", stem + "/", stem + "/a", stem + "/foo/b", (stem or "/a") + "b"]
    paths.append(stem.rpartition("/")[0] or "/")
    weaker = {"storage.modify": "storage.create", "storage.stage": "storage.poll"}
    names = [name, weaker.get(name, name), "storage.poll"]
    return [f"{one}:{place}" for one in names for place in paths]


@st.composite
def narrower(draw: st.DrawFn, scopes: ScopeSet) -> ScopeSet:
    """Make requests of which each item is one of `scopes`, or below it, or nearly so."""
    kept = [draw(st.sampled_from(changed(text))) for text in scopes.texts() if draw(st.booleans())]
    extra = draw(st.lists(things.storage_items, max_size=1)) if draw(st.integers(0, 4)) == 0 else []
    return ScopeSet.of([*kept, *extra])


with_groups = st.builds(
    lambda scopes, groups: ScopeSet.of([*scopes.texts(), *groups]),
    things.scope_sets,
    st.sampled_from([[], ["wlcg.groups"], ["wlcg.groups", "wlcg.groups:/cms"]]),
)


@often
@given(st.data(), with_groups, things.ceilings)
def test_nothing_is_allowed_that_was_not_allowed_before(
    data: st.DataObject, granted: ScopeSet, ceiling: Ceiling
) -> None:
    """Whatever a service lets the narrowed token do, it lets the grant do, and the lease."""
    wanted = Wanted(data.draw(narrower(granted)))
    try:
        right = attenuate(Right(granted), ceiling, wanted)
    except OutsideCeiling:
        return
    assert wanted.scopes is not None
    assert right.scopes == wanted.scopes.rights()
    for operation in tried_with(right.scopes):
        if allowed(right.scopes, operation):
            assert allowed(granted.rights(), operation)


@given(st.data(), things.scope_sets)
def test_narrowing_again_changes_nothing_and_order_is_irrelevant(
    data: st.DataObject, granted: ScopeSet
) -> None:
    """The same request is answered alike however it is written, and is its own ceiling."""
    texts = data.draw(narrower(granted)).texts()
    mixed = data.draw(st.permutations(texts))
    mixed_grant = ScopeSet.of(data.draw(st.permutations(granted.texts())))
    first = _outcome(granted, texts)
    second = _outcome(mixed_grant, mixed)
    if isinstance(first, Right):
        assert isinstance(second, Right)
        assert first.scopes.same_as(second.scopes)
        again = attenuate(first, Ceiling(first.scopes), Wanted(first.scopes))
        assert again == first
    else:
        assert type(first) is type(second)


def _outcome(granted: ScopeSet, texts: list[str]) -> Right | CredbrokerError:
    try:
        return attenuate(Right(granted), Ceiling(), Wanted(ScopeSet.of(texts)))
    except CredbrokerError as error:
        return error


@given(things.ceilings, things.ceilings, things.ceilings)
def test_ceilings_are_ordered(one: Ceiling, two: Ceiling, three: Ceiling) -> None:
    """A child of a child is within the first; everything is within no limit at all."""
    assert one.within(Ceiling())
    if one.within(two) and two.within(three):
        assert one.within(three)


# What has gone out as a token can be narrowed again, and again: `Right.within` is the rule for that.

audiences = st.lists(st.sampled_from([SE1, SE2, SE1 + "/", ANY_AUDIENCE]), min_size=1, max_size=3)
rights = st.builds(Right, with_groups, audiences.map(tuple))


@st.composite
def below(draw: st.DrawFn, right: Right) -> Right:
    """Make rights that are mostly within `right`."""
    named = draw(st.lists(st.sampled_from(right.audiences), min_size=1, max_size=2))
    other = draw(st.lists(audiences, max_size=1))
    return Right(draw(narrower(right.scopes)), tuple(named if not other else other[0]))


SERVICES = (SE1, SE2, SE1 + "/", "https://se3.example.org")


def gained(parent: Right, child: Right) -> Iterator[tuple[str, Operation]]:
    """Walk what `child` allows somewhere and `parent` does not."""
    for operation in tried_with(child.scopes):
        for service in SERVICES:
            if allowed_at(service, child, operation) and not allowed_at(service, parent, operation):
                yield service, operation


def allowed_at(service: str, right: Right, operation: Operation) -> bool:
    """Decide as a service does that goes by one name: is the token for it, and does it allow this?"""
    named = service in right.audiences or ANY_AUDIENCE in right.audiences
    return named and allowed(right.scopes, operation)


@often
@given(st.data(), rights)
def test_what_is_within_a_right_allows_nothing_more_at_any_service(
    data: st.DataObject, parent: Right
) -> None:
    """WLCG profile, attenuation: allowed(child, operation) implies allowed(parent, operation)."""
    child = data.draw(below(parent))
    if child.within(parent):
        assert not list(gained(parent, child))


@given(st.data(), rights)
def test_every_right_is_within_itself_and_a_child_of_a_child_is_a_child(
    data: st.DataObject, first: Right
) -> None:
    """Exchanged as often as anybody likes, a token never grows."""
    assert first.within(first)
    second = data.draw(below(first))
    third = data.draw(below(second))
    if second.within(first) and third.within(second):
        assert third.within(first)


@given(st.data(), rights)
def test_two_rights_within_each_other_allow_the_same(data: st.DataObject, one: Right) -> None:
    """They may be written differently: a wildcard beside a name, an item beside what it covers."""
    other = data.draw(below(one))
    if one.within(other) and other.within(one):
        assert not [*gained(one, other), *gained(other, one)]


@given(st.data(), rights)
def test_children_together_are_a_child(data: st.DataObject, parent: Right) -> None:
    """Whoever holds two narrowed tokens can do nothing that the whole one could not."""
    one, two = data.draw(below(parent)), data.draw(below(parent))
    both = Right(
        ScopeSet.of([*one.scopes.texts(), *two.scopes.texts()]), one.audiences + two.audiences
    )
    if one.within(parent) and two.within(parent):
        assert both.within(parent)


@given(st.data(), rights, things.ceilings)
def test_what_is_granted_is_within_the_grant(
    data: st.DataObject, granted: Right, ceiling: Ceiling
) -> None:
    """The two rules, for requests and for tokens, are one."""
    asked = data.draw(below(granted))
    try:
        right = attenuate(granted, ceiling, Wanted(asked.scopes, asked.audiences))
    except OutsideCeiling:
        return
    assert right.within(granted)
    assert Ceiling(right.scopes, right.audiences).within(ceiling)


@given(st.data(), rights)
def test_the_order_of_scopes_and_audiences_does_not_matter(
    data: st.DataObject, parent: Right
) -> None:
    """To whether one right is within another."""
    child = data.draw(below(parent))
    assert _mixed(data, child).within(_mixed(data, parent)) is child.within(parent)


def _mixed(data: st.DataObject, right: Right) -> Right:
    scopes = ScopeSet.of(data.draw(st.permutations(right.scopes.texts())))
    return Right(scopes, tuple(data.draw(st.permutations(right.audiences))))


@pytest.mark.parametrize(
    "audience", ["", "a b", "a\n", '"', "\N{LATIN SMALL LETTER A WITH GRAVE}", "a" * 1025]
)
def test_what_can_be_no_audience_is_not_asked_for(audience: str) -> None:
    """An issuer would take an empty one for none, and two in one for two."""
    with pytest.raises(Malformed):
        attenuate(Right(ScopeSet.parse("storage.read:/")), Ceiling(), Wanted(audiences=(audience,)))
