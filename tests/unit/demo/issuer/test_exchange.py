"""Token exchange as at IAM: by registration, not by what the subject token holds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from credbroker.demo.issuer.errors import OAuthError
from credbroker.demo.issuer.grants import TokenEndpoint
from credbroker.demo.issuer.settings import ALL_GRANTS, ANY_AUDIENCE, TOKEN_EXCHANGE, Lifetimes
from tests.unit.demo.issuer.cast import ALICE, BROKER, OTHER
from tests.unit.demo.issuer.test_grants import claims, log_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from credbroker.demo.issuer.settings import Client
    from credbroker.demo.issuer.state import IssuerState
    from tests.fakes.clock import FakeClock

ACTOR = replace(BROKER, grants=(*ALL_GRANTS, TOKEN_EXCHANGE))
OTHER_ACTOR = replace(OTHER, grants=(*ALL_GRANTS, TOKEN_EXCHANGE))


def exchange(
    state: IssuerState, subject: dict[str, Any], client: Client = ACTOR, **more: str
) -> dict[str, Any]:
    """Exchange the access token of an answer."""
    form = {"grant_type": TOKEN_EXCHANGE, "subject_token": subject["access_token"], **more}
    return TokenEndpoint(state).answer(client, form)


def test_a_narrower_token_about_the_same_person_comes_of_it(state: IssuerState) -> None:
    """For another audience; the client that asked is named as the actor."""
    answer = exchange(state, log_in(state), scope="storage.read:/job", audience="https://se.test")
    said = claims(state, answer)
    assert (said["sub"], said["scope"]) == (ALICE.subject, "storage.read:/job")
    assert (said["aud"], said["act"]) == ("https://se.test", {"sub": "broker"})
    assert answer["issued_token_type"] == "urn:ietf:params:oauth:token-type:jwt"
    assert "refresh_token" not in answer


def test_each_exchange_names_its_actor_outermost(state: IssuerState) -> None:
    """RFC 8693 section 4.1."""
    first = exchange(state, log_in(state), scope="storage.read:/job")
    second = exchange(state, first, OTHER_ACTOR, scope="storage.read:/job/1")
    assert claims(state, second)["act"] == {"sub": "other", "act": {"sub": "broker"}}


def test_a_wider_and_longer_token_comes_as_easily(
    make_state: Callable[..., IssuerState], clock: FakeClock
) -> None:
    """Up-scoping is allowed, the life is a new one, and no audience means all of them."""
    state = make_state(lifetimes=Lifetimes(access=600))
    subject = log_in(state, "openid", "storage.read:/a", audience=("https://se.test",))
    clock.advance(500)
    said = claims(state, exchange(state, subject, scope="storage.modify:/"))
    assert (said["scope"], said["aud"]) == ("storage.modify:/", ANY_AUDIENCE)
    assert said["exp"] == claims(state, subject)["exp"] + 500


def test_another_client_may_get_a_refresh_token_of_its_own(state: IssuerState) -> None:
    """This is how a transfer service gets one; the first client is refused."""
    answer = exchange(
        state, log_in(state), OTHER_ACTOR, scope="openid offline_access storage.read:/"
    )
    assert answer["refresh_token"]
    with pytest.raises(OAuthError) as refusal:
        exchange(state, log_in(state), scope="offline_access storage.read:/")
    assert (refusal.value.error, refusal.value.status) == ("access_denied", 403)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({}, "invalid_request"),
        ({"scope": "storage.read:/", "actor_token": "x"}, "invalid_request"),
        ({"scope": "storage.read:/", "want_composite": "true"}, "invalid_request"),
        ({"scope": "fts"}, "invalid_scope"),
        ({"scope": "storage.read:/a/../b"}, "invalid_scope"),
        ({"scope": "storage.read:/", "subject_token": "x"}, "invalid_token"),
    ],
)
def test_an_exchange_that_iam_refuses_is_refused(
    state: IssuerState, more: dict[str, str], error: str
) -> None:
    """By the same words; a scope is compulsory."""
    with pytest.raises(OAuthError) as refusal:
        exchange(state, log_in(state), ACTOR, **more)
    assert refusal.value.error == error


def test_an_expired_or_revoked_subject_is_refused(state: IssuerState, clock: FakeClock) -> None:
    """As is a client that was not given the grant type."""
    subject = log_in(state)
    state.revoked_ids.add(claims(state, subject)["jti"])
    late = log_in(state)
    for spent in (subject, late):
        with pytest.raises(OAuthError, match="invalid_token"):
            exchange(state, spent, scope="storage.read:/")
        clock.advance(3600)
    with pytest.raises(OAuthError, match="invalid_client"):
        exchange(state, log_in(state), BROKER, scope="storage.read:/")
