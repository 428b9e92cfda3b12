"""Rules over verified claims give rights: never more than one rule names, never less for more claims."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.attenuation import ANY_AUDIENCE, Ceiling, Right
from credbroker.domain.errors import AudienceRefused, CredbrokerError, ScopeRefused
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.rights import Claims, Rights, RightsRule, UsersRule, When, by_default
from credbroker.domain.scopes import ScopeSet

SE1, SE2 = "https://se1.example.org", "https://se2.example.org"
TABLE = LifetimeTable.of({})
MEMBERS = RightsRule(When(groups=("/dteam",)), ScopeSet.parse("storage.read:/"), (SE1, SE2))
WRITERS = RightsRule(
    When(entitlements=("urn:group:dteam:writers*",)),
    ScopeSet.parse("storage.read:/ storage.modify:/home"),
    (SE1,),
)
ADA = Claims("sub-ada", ("/dteam",), ("urn:group:dteam:writers#test",))
BOB = Claims("sub-bob", ("/dteam",))


def right(scopes: str, *audiences: str) -> Right:
    """Return a right by its scopes as text."""
    return Right(ScopeSet.parse(scopes), audiences)


def test_who_meets_no_rule_has_nothing() -> None:
    """A verified login alone gives no right here."""
    rights = Rights((MEMBERS, WRITERS))
    with pytest.raises(ScopeRefused, match="gives this person anything"):
        rights.most(Claims("sub-carol", ("/dteam/prod", "dteam", "/DTEAM")))
    with pytest.raises(ScopeRefused):
        rights.decide(Claims("sub-carol"), right("storage.read:/", SE1), TABLE)


def test_a_rule_without_a_condition_is_for_nobody() -> None:
    """An empty condition is a slip of the pen, not everybody."""
    assert not When().holds(ADA)


def test_every_condition_of_a_rule_must_be_met_by_one_of_its_names() -> None:
    """Any of a list, all of the lists."""
    when = When(groups=("/x", "/dteam"), subjects=("sub-ada", "sub-eve"))
    assert when.holds(ADA)
    assert not when.holds(BOB)
    assert not when.holds(replace(ADA, groups=("/y",)))


@pytest.mark.parametrize(
    ("pattern", "met"),
    [
        ("urn:group:dteam:writers#test", True),
        ("urn:group:dteam:writers*", True),
        ("urn:group:dteam:writers", False),
        ("urn:group:dteam:writers#tes", False),
        ("URN:group:dteam:writers*", False),
    ],
)
def test_an_entitlement_is_compared_as_text_up_to_a_final_star(pattern: str, met: bool) -> None:
    """As it came from the issuer, letter by letter."""
    assert When(entitlements=(pattern,)).holds(ADA) is met


def test_what_two_rules_give_at_two_storages_adds_up_at_neither() -> None:
    """The modify scope is for the first storage alone; together only what both allow."""
    rights = Rights((MEMBERS, WRITERS))
    assert str(rights.most(ADA, (SE1,)).scopes) == "storage.read:/ storage.modify:/home"
    assert str(rights.most(ADA, (SE2,)).scopes) == "storage.read:/"
    assert rights.most(ADA) == right("storage.read:/", SE1, SE2)
    with pytest.raises(ScopeRefused):
        rights.decide(ADA, right("storage.modify:/home", SE2), TABLE)
    with pytest.raises(ScopeRefused):
        rights.decide(ADA, right("storage.modify:/home", SE1, SE2), TABLE)


def test_scopes_that_have_no_storage_in_common_are_asked_for_one_by_one() -> None:
    """Told in words, instead of a token that opens more than the rules say."""
    other = replace(MEMBERS, scopes=ScopeSet.parse("compute.read"), audiences=(SE2,))
    with pytest.raises(ScopeRefused, match="together"):
        Rights((replace(MEMBERS, audiences=(SE1,)), other)).most(ADA)


def test_an_audience_that_no_rule_names_is_refused() -> None:
    """Patterns name many; without any named outright the caller must name one."""
    rights = Rights((replace(MEMBERS, audiences=("https://*.example.org",)),))
    assert rights.most(BOB, (SE1,)).audiences == (SE1,)
    for audiences in (None, ("https://se1.example.com",), (ANY_AUDIENCE,), (SE1, "https://x")):
        with pytest.raises(AudienceRefused):
            rights.most(BOB, audiences)


def test_the_narrower_of_two_folders_is_what_both_storages_allow() -> None:
    """The wider one is allowed at the first only."""
    home = replace(MEMBERS, scopes=ScopeSet.parse("storage.read:/home"), audiences=(SE2,))
    assert str(
        Rights((replace(WRITERS, when=MEMBERS.when), home)).most(ADA, (SE1, SE2)).scopes
    ) == ("storage.read:/home")


def test_a_token_lives_as_long_as_its_shortest_part_may() -> None:
    """Of the rules that give a part, the one that gives most counts."""
    long = replace(MEMBERS, longest_seconds=4 * 3600)
    short = replace(WRITERS, longest_seconds=600)
    rights = Rights((long, short))
    assert rights.decide(ADA, right("storage.read:/x", SE1), TABLE).seconds == 4 * 3600
    assert rights.decide(ADA, right("storage.modify:/home", SE1), TABLE).seconds == 600
    both = right("storage.read:/x storage.modify:/home", SE1)
    assert rights.decide(ADA, both, TABLE).seconds == 600
    assert Rights((MEMBERS, long)).decide(BOB, right("storage.read:/", SE1), TABLE).seconds == (
        4 * 3600
    )


def test_groups_are_signed_only_where_a_rule_names_them() -> None:
    """And then those that the upstream issuer vouches for."""
    grouped = replace(MEMBERS, scopes=ScopeSet.parse("wlcg.groups"))
    assert Rights((grouped,)).decide(ADA, right("wlcg.groups", SE1), TABLE).groups == ("/dteam",)
    with pytest.raises(ScopeRefused):
        Rights((MEMBERS,)).decide(ADA, right("wlcg.groups:/dteam", SE1), TABLE)


# -- users of an access point ---------------------------------------------------------------------

USERS = UsersRule(
    When(subjects=("ap-robot",)),
    ("alice", "grid*"),
    ("storage.read:/", "storage.create:/home/{username}"),
    (SE1,),
)
ROBOT = Claims("ap-robot")


@pytest.mark.parametrize(
    ("most", "given"),
    [
        ("storage.read:/ wlcg.groups wlcg.groups:/dteam", "storage.read:/"),
        ("wlcg.groups:/dteam", "wlcg.groups:/dteam"),
        ("storage.read:/", "storage.read:/"),
    ],
)
def test_groups_come_beside_capabilities_only_by_name(most: str, given: str) -> None:
    """Alone they come to whoever names nothing."""
    assert by_default(right(most, SE1)) == right(given, SE1)


@pytest.mark.parametrize("user", ["alice", "grid01"])
def test_an_access_point_has_tokens_signed_about_the_users_that_are_named(user: str) -> None:
    """Their names stand in the paths."""
    rights = Rights(users=(USERS,)).about(user)
    asked = right(f"storage.create:/home/{user}/job", SE1)
    assert rights.decide(ROBOT, asked, TABLE).right == asked
    with pytest.raises(ScopeRefused):
        rights.decide(ROBOT, right("storage.create:/home/other", SE1), TABLE)
    with pytest.raises(ScopeRefused):
        rights.decide(ADA, asked, TABLE)


@pytest.mark.parametrize(
    "user", ["bob", "alice2", "", ".", "..", "../alice", "grid/x", "grid x", "grid%2F", "grid" * 20]
)
def test_about_anybody_else_nothing_is_signed(user: str) -> None:
    """Nor about a name that would be more than one step of a path."""
    with pytest.raises(ScopeRefused):
        Rights(users=(USERS,)).about(user)


def test_rules_about_users_give_the_access_point_itself_nothing() -> None:
    """Nor do its own rules give its users anything."""
    with pytest.raises(ScopeRefused):
        Rights(users=(USERS,)).most(ROBOT)
    with pytest.raises(ScopeRefused):
        Rights((MEMBERS,)).about("alice")


# -- whatever the rules and claims ---------------------------------------------------------------

_GROUPS = st.lists(st.sampled_from(["/a", "/b", "/c"]), max_size=3, unique=True).map(tuple)
_ENTITLEMENTS = st.lists(st.sampled_from(["urn:x:1", "urn:x:2", "urn:y"]), max_size=2).map(tuple)
_LIKE = st.lists(st.sampled_from(["urn:x:*", "urn:x:2", "urn:y"]), max_size=2).map(tuple)
_CLAIMS = st.builds(Claims, st.sampled_from(["ada", "bob"]), _GROUPS, _ENTITLEMENTS)
_SCOPES = st.lists(
    st.sampled_from(
        [
            "storage.read:/",
            "storage.read:/a",
            "storage.create:/a",
            "storage.modify:/a",
            "compute.read",
        ]
    ),
    min_size=1,
    max_size=3,
).map(ScopeSet.of)
_HOSTS = st.lists(st.sampled_from([SE1, SE2, "https://se3.test"]), min_size=1, max_size=2).map(
    tuple
)
_RULE = st.builds(
    RightsRule,
    st.builds(When, _GROUPS, _LIKE, st.sampled_from([(), ("ada",)])),
    _SCOPES,
    _HOSTS,
    st.sampled_from([None, 60, 7200]),
)
_RIGHTS = st.lists(_RULE, max_size=5).map(tuple).map(Rights)
_ASKED = st.builds(Right, _SCOPES, _HOSTS)


def lifetime(rights: Rights, claims: Claims, asked: Right) -> int:
    """Return for how long this would be signed, in seconds; 0 if it is refused."""
    try:
        decision = rights.decide(claims, asked, TABLE)
    except CredbrokerError:
        return 0
    assert decision.right.within(asked)
    return decision.seconds


@given(_RIGHTS, _CLAIMS, _CLAIMS, _ASKED)
def test_more_claims_never_mean_less_right(
    rights: Rights, claims: Claims, more: Claims, asked: Right
) -> None:
    """Nor a shorter life."""
    richer = replace(
        claims,
        groups=claims.groups + more.groups,
        entitlements=claims.entitlements + more.entitlements,
    )
    assert lifetime(rights, richer, asked) >= lifetime(rights, claims, asked)


@given(_RIGHTS, _CLAIMS, _ASKED)
def test_the_order_of_rules_and_claims_does_not_matter(
    rights: Rights, claims: Claims, asked: Right
) -> None:
    """Nor that of what is asked."""
    turned = replace(claims, groups=claims.groups[::-1], entitlements=claims.entitlements[::-1])
    other = Right(ScopeSet(asked.scopes.items[::-1]), asked.audiences[::-1])
    assert lifetime(Rights(rights.rules[::-1]), turned, other) == lifetime(rights, claims, asked)


@given(_RIGHTS, st.sampled_from(["bob", "carol"]), _ASKED)
def test_a_person_without_claims_has_nothing(rights: Rights, subject: str, asked: Right) -> None:
    """Unless a rule names them by their subject."""
    assert lifetime(rights, Claims(subject), asked) == 0


@given(_RIGHTS, _CLAIMS, _ASKED)
def test_each_scope_is_signed_for_an_audience_by_a_rule_that_names_both(
    rights: Rights, claims: Claims, asked: Right
) -> None:
    """By an account of its own: rule by rule, part by part."""
    by_hand = all(
        any(
            rule.when.holds(claims)
            and audience in rule.audiences
            and not len(rule.scopes.missing(ScopeSet((item,))))
            for rule in rights.rules
        )
        for item in asked.scopes
        for audience in asked.audiences
    )
    assert bool(lifetime(rights, claims, asked)) is by_hand


@given(_RIGHTS, _CLAIMS, _HOSTS)
def test_the_most_is_what_may_be_had(
    rights: Rights, claims: Claims, audiences: tuple[str, ...]
) -> None:
    """All of it at once, and nothing of it is outside what was asked for."""
    try:
        most = rights.most(claims, audiences)
    except CredbrokerError:
        return
    assert Ceiling(None, most.audiences).within(Ceiling(None, audiences))
    assert lifetime(rights, claims, most)
