"""What is signed is within what somebody is entitled to; what is asked for by name is never cut."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from credbroker.domain.attenuation import ANY_AUDIENCE
from credbroker.domain.errors import AudienceRefused, CredbrokerError, ScopeRefused
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.policy import Asked, Decision, Entitled, Remark, decide, read_scopes
from credbroker.domain.scopes import CONTROL, ScopeSet
from tests.unit.things import scope_sets

SE1, SE2 = "https://se1.example.org", "https://se2.example.org"
TABLE = LifetimeTable.of({})


def entitled(scope: str = "storage.read:/ storage.create:/data fts", **changes: Any) -> Entitled:
    """Return what somebody may have at two storages."""
    return replace(Entitled(ScopeSet.parse(scope), (SE1, SE2), default_audiences=(SE1,)), **changes)


def decided(
    whole: Entitled, scope: str | None = None, *audiences: str, seconds: int | None = None
) -> Decision:
    """Return what is signed for a request."""
    scopes = read_scopes(scope) if scope is not None else None
    return decide(whole, Asked(scopes, audiences or None, seconds), TABLE)


# -- scopes --------------------------------------------------------------------------------------


def test_what_is_named_is_given_as_it_is() -> None:
    """In its order, nothing beside it, and nothing to remark."""
    decision = decided(entitled(), "fts storage.read:/data/f", SE2, SE1)
    assert str(decision.right.scopes) == "fts storage.read:/data/f"
    assert decision.right.audiences == (SE2, SE1)
    assert decision.remarks == ()


@pytest.mark.parametrize("scope", [None, ""])
def test_who_names_nothing_gets_the_default(scope: str | None) -> None:
    """All there is, or what the settings say; some clients send an empty text."""
    assert str(decided(entitled(), scope).right.scopes) == "storage.read:/ storage.create:/data fts"
    some = entitled(default_scopes=ScopeSet.parse("fts"))
    assert str(decided(some, scope).right.scopes) == "fts"
    assert decided(some, scope).remarks[0] == Remark(
        "added fts", "no scope is named, and these are the default"
    )


@pytest.mark.parametrize(
    ("scope", "named"),
    [
        ("storage.modify:/data", "storage.modify:/data"),
        ("fts storage.create:/ storage.read:/x", "storage.create:/"),
        ("storage.read:/ offline_access", "offline_access"),
        ("compute.create", "compute.create"),
        ("storage.create:/database", "storage.create:/database"),
        ("wlcg.groups:/dteam", "wlcg.groups:/dteam"),
    ],
)
def test_what_is_beyond_is_refused_by_name(scope: str, named: str) -> None:
    """`offline_access` too: without it a transfer would fail later."""
    with pytest.raises(ScopeRefused) as error:
        decided(entitled(), scope)
    assert error.value.sentence.endswith(f"may have: {named}.")
    assert "policy explain" in error.value.remedy


def test_what_only_steers_a_login_falls_away() -> None:
    """Unless it is entitled to; and that is said."""
    decision = decided(entitled(), "openid storage.read:/ wlcg", SE1)
    assert str(decision.right.scopes) == "storage.read:/"
    assert [one.what for one in decision.remarks] == ["cut openid", "cut wlcg"]
    kept = decided(entitled("openid offline_access storage.read:/"), "openid offline_access")
    assert str(kept.right.scopes) == "openid offline_access"


@pytest.mark.parametrize(
    ("path", "character"),
    [("/data/a+b", "+"), ("/data/a(1)", "("), ("/a%20b", "%"), ("/a@b", "@"), ("/a:b", ":"),
     ("/a=b", "="), ("/a*", "*"), ("/a,b", ","), ("/a&b", "&"), ("/a$", "$")],
)  # fmt: skip
def test_a_path_that_storage_may_read_as_a_pattern_is_refused(path: str, character: str) -> None:
    """The character is named; also where it comes by default."""
    for whole, scope in (
        (entitled(), f"storage.read:{path}"),
        (entitled(f"storage.read:{path}"), None),
    ):
        with pytest.raises(ScopeRefused, match="pattern") as error:
            decided(whole, scope)
        assert f"the character {character} " in error.value.sentence


@pytest.mark.parametrize(
    "scope",
    ["storage.read", "storage.read:data", "storage.read:/a/../b", "storage.read:/a//b",
     "storage.read:/a%2Fb", "storage.read:", 'fts"', "compute.read:/x"],
)  # fmt: skip
def test_an_unsafe_path_is_refused_as_a_scope(scope: str) -> None:
    """Before anything is decided."""
    with pytest.raises(ScopeRefused):
        read_scopes(scope)


@pytest.mark.parametrize("path", ["/", "/data/", "/data/Run_1/file-0.root~"])
def test_safe_paths_are_signed_as_they_are(path: str) -> None:
    """Not a byte is changed."""
    assert str(decided(entitled(), f"storage.read:{path}").right.scopes) == f"storage.read:{path}"


def test_staging_alone_is_refused_naming_what_is_missing() -> None:
    """A read scope for another folder does not help."""
    whole = entitled("storage.stage:/ storage.read:/")
    for scope in ("storage.stage:/tape", "storage.stage:/tape storage.read:/tapes"):
        with pytest.raises(ScopeRefused, match=r"storage\.read:/tape is missing"):
            decided(whole, scope)
    for scope in ("storage.stage:/tape storage.read:/tape", "storage.stage:/tape storage.read:/"):
        assert str(decided(whole, scope).right.scopes) == scope


def test_a_line_of_policy_adds_the_read_scope() -> None:
    """Within what is entitled to, and the answer says so."""
    whole = entitled("storage.stage:/ storage.read:/tape", stage_adds_read=True)
    decision = decided(whole, "storage.stage:/tape/f", SE1)
    assert str(decision.right.scopes) == "storage.stage:/tape/f storage.read:/tape/f"
    assert [one.what for one in decision.remarks] == ["added storage.read:/tape/f"]
    with pytest.raises(ScopeRefused, match="missing"):
        decided(whole, "storage.stage:/disk")


# -- groups --------------------------------------------------------------------------------------

GROUPS = entitled("wlcg.groups wlcg.groups:/dteam/prod storage.read:/", groups=("/dteam",))


@pytest.mark.parametrize(
    ("scope", "groups"),
    [
        ("wlcg.groups", ("/dteam",)),
        ("wlcg.groups:/dteam/prod", ("/dteam/prod", "/dteam")),
        ("wlcg.groups wlcg.groups:/dteam/prod", ("/dteam", "/dteam/prod")),
        ("wlcg.groups:/dteam wlcg.groups:/dteam/prod", ("/dteam", "/dteam/prod")),
        ("storage.read:/", ()),
    ],
)
def test_groups_come_in_the_order_of_the_request(scope: str, groups: tuple[str, ...]) -> None:
    """The default ones last, where the plain scope is not named (WLCG profile, section Groups)."""
    assert decided(GROUPS, scope).groups == groups


def test_groups_beside_capabilities_are_asked_for_by_name() -> None:
    """By default a token with capabilities has none: services would not look at them."""
    decision = decided(GROUPS)
    assert str(decision.right.scopes) == "storage.read:/"
    assert decision.groups == ()
    assert decision.remarks[0].what == "cut wlcg.groups"
    assert decided(GROUPS, "storage.read:/ wlcg.groups").groups == ("/dteam",)
    alone = entitled("wlcg.groups", groups=("/dteam",))
    assert decided(alone).groups == ("/dteam",)


# -- audiences -----------------------------------------------------------------------------------


def test_each_audience_must_be_allowed() -> None:
    """By its name or by a pattern; the first that is not is named."""
    whole = entitled(audiences=(SE1, "https://*.cern.test"))
    assert decided(whole, None, "https://eos.cern.test", SE1).right.audiences == (
        "https://eos.cern.test",
        SE1,
    )
    with pytest.raises(AudienceRefused, match=SE2):
        decided(whole, None, SE1, SE2)
    with pytest.raises(AudienceRefused, match="settings only"):
        decided(whole, None, "https://*.cern.test")


def test_without_an_audience_there_must_be_a_default() -> None:
    """The one of the settings, or the only one; a pattern is none."""
    assert decided(entitled()).right.audiences == (SE1,)
    only = entitled(audiences=(SE2,), default_audiences=())
    assert decided(only).right.audiences == (SE2,)
    assert decided(only).remarks[-1].what == f"added {SE2}"
    for audiences in ((SE1, SE2), ("https://*.cern.test",)):
        with pytest.raises(AudienceRefused, match="No audience is named"):
            decided(entitled(audiences=audiences, default_audiences=()))


def test_the_wildcard_is_given_where_it_is_named() -> None:
    """And nothing that can delete is for everybody."""
    with pytest.raises(AudienceRefused):
        decided(entitled(), None, ANY_AUDIENCE)
    whole = entitled("storage.read:/ storage.modify:/", audiences=(ANY_AUDIENCE,))
    assert decided(whole, "storage.read:/", ANY_AUDIENCE).right.audiences == (ANY_AUDIENCE,)
    assert decided(whole, "storage.modify:/data", SE1).right.audiences == (SE1,)
    with pytest.raises(AudienceRefused, match="named audiences only"):
        decided(whole, "storage.modify:/data", SE1, ANY_AUDIENCE)


# -- lifetimes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("longest", "asked", "given_seconds"),
    [(None, None, 3600), (None, 60, 60), (None, 7200, 3600), (7200, None, 7200), (7200, 60, 60),
     (60, None, 60), (60, 3600, 60), (90000, None, 21600), (90000, 90000, 21600), (None, 0, 1)],
)  # fmt: skip
def test_a_line_of_policy_goes_beyond_or_below_the_usual_time(
    longest: int | None, asked: int | None, given_seconds: int
) -> None:
    """Never beyond the most of the row; what is cut is remarked."""
    decision = decided(entitled(longest_seconds=longest), "storage.read:/", seconds=asked)
    assert decision.seconds == given_seconds
    said = [one.what for one in decision.remarks if " s to " in one.what]
    assert bool(said) is ((asked or 0) > given_seconds or (longest or 0) > 21600)


# -- never wider ---------------------------------------------------------------------------------

AUDIENCES = st.lists(st.sampled_from([SE1, SE2, "https://a.cern.test", ANY_AUDIENCE]), max_size=3)
ENTRIES = st.lists(
    st.sampled_from([SE1, SE2, "https://*.cern.test", ANY_AUDIENCE]), min_size=1, max_size=3
)


@given(
    mine=scope_sets, wanted=st.none() | scope_sets, entries=ENTRIES, named=AUDIENCES,
    longest=st.none() | st.integers(1, 10**6), seconds=st.none() | st.integers(0, 10**6),
    adds=st.booleans(), table=st.dictionaries(st.sampled_from(sorted(TABLE.rows)), st.integers(1, 10**5)),
)  # fmt: skip
def test_nothing_wider_than_the_entitlement_is_ever_signed(**drawn: Any) -> None:
    """Whatever is asked for: scopes, audiences, lifetime; and what was asked for is in it."""
    whole = Entitled(
        drawn["mine"], tuple(drawn["entries"]), default_audiences=(SE1,),
        longest_seconds=drawn["longest"], stage_adds_read=drawn["adds"],
    )  # fmt: skip
    rows = LifetimeTable.of(drawn["table"])
    asked = Asked(drawn["wanted"], tuple(drawn["named"]) or None, drawn["seconds"])
    try:
        decision = decide(whole, asked, rows)
    except (ScopeRefused, AudienceRefused):
        return
    assert not len(whole.scopes.missing(decision.right.scopes))
    assert decision.seconds <= max(one.most for one in rows.rows.values())
    assert drawn["seconds"] is None or decision.seconds <= max(1, drawn["seconds"])
    if drawn["named"]:
        assert set(decision.right.audiences) == set(drawn["named"])
    if drawn["wanted"] is not None and len(drawn["wanted"]):
        steering = {str(item) for item in drawn["wanted"]} & CONTROL
        left_out = {str(item) for item in decision.right.scopes.missing(drawn["wanted"])}
        assert left_out <= steering - {"offline_access"}


@given(mine=scope_sets, wanted=scope_sets)
def test_what_was_signed_may_be_asked_for_again(mine: ScopeSet, wanted: ScopeSet) -> None:
    """To decide twice changes nothing."""
    whole = Entitled(mine, (SE1,), stage_adds_read=True)
    try:
        first = decide(whole, Asked(wanted), TABLE)
    except CredbrokerError:
        return
    assume(len(first.right.scopes))
    again = decide(whole, Asked(first.right.scopes, first.right.audiences), TABLE)
    assert again.right == first.right
    assert again.seconds == first.seconds
