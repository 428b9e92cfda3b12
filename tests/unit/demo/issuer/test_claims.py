"""The claims of the WLCG profile."""

from __future__ import annotations

import pytest

from credbroker.demo.issuer.claims import Stamp, access_claims, groups_of, identity_claims
from credbroker.demo.issuer.consent import Asked, Grant
from credbroker.demo.issuer.settings import ANY_AUDIENCE, Person

ALICE = Person("alice", "word", groups=("/cms",), optional_groups=("/cms/a", "/cms/b"))
STAMP = Stamp("https://issuer.test/", 1_800_000_000.9, 3600, "one-of-a-kind")


def grant(*scopes: str, audience: tuple[str, ...] = (), nonce: str = "") -> Grant:
    """Return what alice granted."""
    return Asked("broker", scopes, audience, nonce).granted_by(ALICE, None, 1_799_999_000.5)


def test_an_access_token_says_what_the_profile_requires() -> None:
    """Whole seconds, `nbf` 60 s back, version 1.0, the wildcard audience as a string."""
    assert access_claims(grant("openid", "storage.read:/x"), STAMP) == {
        "iss": "https://issuer.test/",
        "sub": ALICE.subject,
        "aud": ANY_AUDIENCE,
        "iat": 1_800_000_000,
        "nbf": 1_799_999_940,
        "exp": 1_800_003_600,
        "jti": "one-of-a-kind",
        "client_id": "broker",
        "scope": "openid storage.read:/x",
        "wlcg.ver": "1.0",
    }


def test_several_audiences_make_an_array() -> None:
    """One is a string, more are an array in the order asked."""
    assert access_claims(grant(audience=("https://a",)), STAMP)["aud"] == "https://a"
    both = ("https://b", "https://a")
    assert access_claims(grant(audience=both), STAMP)["aud"] == list(both)


def test_an_id_token_is_for_the_client_and_carries_the_nonce() -> None:
    """`aud` is the client id; without a nonce the claim is absent."""
    claims = identity_claims(grant("openid", nonce="n-1"), STAMP)
    assert claims["aud"] == "broker"
    assert claims["nonce"] == "n-1"
    assert claims["preferred_username"] == "alice"
    assert claims["auth_time"] == 1_799_999_000
    assert "nonce" not in identity_claims(grant("openid"), STAMP)


def test_a_client_of_its_own_is_its_own_subject() -> None:
    """Without a person `sub` is the client id, and there are no groups."""
    claims = access_claims(Grant("robot", None, ("compute.read", "wlcg.groups")), STAMP)
    assert claims["sub"] == "robot"
    assert "wlcg.groups" not in claims


@pytest.mark.parametrize(
    ("asked", "groups"),
    [
        ("", []),
        ("openid", []),
        ("wlcg.groups", ["/cms"]),
        ("wlcg.groups:/cms/a wlcg.groups:/cms/b", ["/cms/a", "/cms/b", "/cms"]),
        ("wlcg.groups:/cms/a wlcg.groups:/cms/b wlcg.groups", ["/cms/a", "/cms/b", "/cms"]),
        ("wlcg.groups wlcg.groups:/cms/a wlcg.groups:/cms/b", ["/cms", "/cms/a", "/cms/b"]),
        ("wlcg.groups:/cms wlcg.groups:/cms/a", ["/cms", "/cms/a"]),
        ("wlcg.groups:/atlas", ["/cms"]),
    ],
)
def test_groups_come_in_the_order_asked(asked: str, groups: list[str]) -> None:
    """The profile's table, row by row; a group that is not hers is left out."""
    assert groups_of(ALICE, tuple(asked.split())) == groups


def test_both_tokens_carry_the_groups() -> None:
    """What is asked for and due is in the access token and in the ID token."""
    wanted = grant("openid", "wlcg.groups")
    assert access_claims(wanted, STAMP)["wlcg.groups"] == ["/cms"]
    assert identity_claims(wanted, STAMP)["wlcg.groups"] == ["/cms"]


def test_a_person_may_leave_scopes_out() -> None:
    """Only items that were asked can be granted, in the order asked."""
    asked = Asked("broker", ("a", "b", "c"))
    assert asked.granted_by(ALICE, ["c", "a", "never asked"], 0).scopes == ("a", "c")
    assert asked.granted_by(ALICE, [], 0).scopes == ()


def test_a_secret_does_not_show_in_a_repr() -> None:
    """Neither a password nor a client secret."""
    assert "word" not in repr(ALICE)
