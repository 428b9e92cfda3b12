"""Narrowing and the check of what comes of it, against a model that knows only what services do.

The traps are the WLCG profile's: `/foo` and `/foobar`, the slash at the end, `..`, groups that speak
again once the last capability is gone, the audience that is everywhere.
"""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from credbroker.domain.attenuation import ANY_AUDIENCE, Ceiling, Right, Wanted, attenuate
from credbroker.domain.errors import CredbrokerError, Malformed, OutsideCeiling
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.tokens import AccessToken, check_issued
from tests.unit import things
from tests.unit.domain.test_attenuation import Operation, allowed, narrower, tried_with

SITES = ("https://se1.test", "https://se2.test", "https://se1.test/", ANY_AUDIENCE)

audiences = st.lists(st.sampled_from(SITES), unique=True, max_size=3).map(tuple)
rights = st.builds(Right, things.scope_sets.map(ScopeSet.rights), audiences)


def does(token: AccessToken, tried: Operation) -> bool:
    """Decide as a service does that is shown a token: without capabilities its groups count."""
    member = tried.verb == "as a member"
    if member and not token.scopes.has_capability:
        return bool(token.groups)
    return allowed(token.scopes, tried) and not member


@st.composite
def less_than(draw: st.DrawFn, right: Right) -> Right:
    """Make rights that are mostly within `right`."""
    scopes = draw(narrower(right.scopes)).rights()
    chosen = draw(st.one_of(audiences, st.just(right.audiences), st.just(right.audiences[:1])))
    return Right(scopes, chosen)


@given(st.data(), rights)
def test_a_right_is_the_same_in_any_order_of_its_names(data: st.DataObject, right: Right) -> None:
    """So leases that want the same share one token; asked for is the order that was written."""
    texts = data.draw(st.permutations(right.scopes.texts()))
    mixed = Right(ScopeSet.of(texts), tuple(data.draw(st.permutations(right.audiences))))
    assert (mixed, hash(mixed)) == (right, hash(right))
    assert mixed.scopes.texts() == texts
    assert right != Right(ScopeSet.parse("never.heard"), right.audiences)


@given(st.data(), rights, things.ceilings)
def test_what_is_narrowed_is_within_the_grant_in_the_order_asked_for(
    data: st.DataObject, granted: Right, ceiling: Ceiling
) -> None:
    """An issuer that keeps the order gives a `scope` claim that is the request, letter by letter."""
    wanted = data.draw(less_than(granted))
    try:
        right = attenuate(granted, ceiling, Wanted(wanted.scopes, wanted.audiences or None))
    except OutsideCeiling:
        return
    assert right.within(granted)
    assert str(right.scopes) == str(wanted.scopes)
    if wanted.audiences:
        assert right.audiences == wanted.audiences


@given(things.paths(), things.segments, st.sampled_from(["..", ".", "", "%2E%2E", "%2F", "%5C"]))
def test_a_path_that_a_service_might_read_otherwise_is_no_scope(
    path: str, below: str, trap: str
) -> None:
    """Neither asked for nor taken in an answer."""
    with pytest.raises(Malformed):
        ScopeSet.parse(f"storage.read:{path.rstrip('/')}/{trap}/{below}")


@given(things.paths(), things.segments)
def test_a_longer_name_is_another_path(path: str, more: str) -> None:
    """`/foo` says nothing about `/foobar`, and `/foo/` nothing about the file `/foo`."""
    assume(path != "/")
    bare = path.rstrip("/")
    for held, asked in ((bare, bare + more), (bare + "/", bare), (bare + "/" + more, bare)):
        right = Right(ScopeSet.parse(f"storage.read:{held}"))
        assert not Right(ScopeSet.parse(f"storage.read:{asked}")).within(right)


@given(rights, st.sampled_from(["/cms", "/cms/prod"]))
def test_groups_do_not_outlive_the_last_capability(right: Right, group: str) -> None:
    """They were silent beside it, and would speak alone."""
    assume(right.scopes.has_capability)
    groups = ScopeSet.parse(f"wlcg.groups:{group}")
    both = Right(ScopeSet((*right.scopes, *groups)), right.audiences)
    assert not Right(groups, right.audiences).within(both)
    with pytest.raises(OutsideCeiling):
        attenuate(both, Ceiling(), Wanted(groups))


@given(st.data(), rights)
def test_an_answer_that_passes_does_what_was_asked_for_and_nothing_else(
    data: st.DataObject, asked: Right
) -> None:
    """Whatever an issuer drops, adds or widens."""
    given_right = data.draw(st.one_of(st.just(asked), less_than(asked), rights))
    token = things.access_token(
        str(given_right.scopes),
        audiences=given_right.audiences,
        groups=data.draw(st.sampled_from([(), ("/cms",), ("/cms", "/cms/prod")])),
    )
    try:
        check_issued(token, asked, issuer_url=things.ISSUER, subject="sub-ada", now=things.NOON)
    except CredbrokerError:
        return
    assert not asked.audiences or set(token.audiences) == set(asked.audiences)
    for one in [*tried_with(asked.scopes), *tried_with(token.scopes)]:
        assert allowed(asked.scopes, one) or not does(token, one)
        if one.verb != "as a member":
            assert does(token, one) or not allowed(asked.scopes, one)


@given(rights)
def test_an_exact_answer_passes(asked: Right) -> None:
    """Or the check would be no check but a wall."""
    assume(asked.audiences)
    groups = ("/cms",) if asked.scopes.has_groups else ()
    token = things.access_token(str(asked.scopes), audiences=asked.audiences, groups=groups)
    check_issued(token, asked, issuer_url=things.ISSUER, subject="sub-ada", now=things.NOON)
