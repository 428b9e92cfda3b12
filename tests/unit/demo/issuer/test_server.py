"""What a test may do to a whole issuer: back it up and restore it, change its mind, fill it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credbroker.demo.issuer import DevIssuer, IssuerSettings, RefreshPolicy
from credbroker.demo.issuer.clients import authenticate
from credbroker.demo.issuer.errors import OAuthError
from credbroker.demo.issuer.grants import TokenEndpoint
from credbroker.demo.issuer.journal import sha256_hex
from credbroker.host.entropy import SystemEntropy
from tests.fakes.clock import FakeClock
from tests.unit.demo.issuer.cast import ALICE, BROKER

if TYPE_CHECKING:
    from credbroker.demo.issuer.keys import SigningKeys


@pytest.fixture
def issuer(clock: FakeClock, keys: SigningKeys) -> DevIssuer:
    """An issuer that is not started."""
    settings = IssuerSettings((BROKER,), (ALICE,), algorithm="ES256")
    return DevIssuer(settings, clock, SystemEntropy(), keys=keys)


def refresh(issuer: DevIssuer, value: str) -> str:
    """Use a value as a request from the broker would; return its successor."""
    form = {"grant_type": "refresh_token", "refresh_token": value}
    answer = TokenEndpoint(issuer._state).answer(BROKER, form)
    return str(answer["refresh_token"])


def refused(issuer: DevIssuer, value: str) -> bool:
    """Tell whether a value is refused."""
    try:
        refresh(issuer, value)
    except OAuthError:
        return True
    return False


def knows(issuer: DevIssuer, secret: str) -> bool:
    """Tell whether the broker's client is let in with a secret."""
    form = {"client_id": "broker", "client_secret": secret}
    try:
        authenticate(issuer._state, "", form)
    except OAuthError:
        return False
    return True


def test_an_issuer_rolled_back_forgets_and_remembers_when_rolled_forward(
    issuer: DevIssuer,
) -> None:
    """Grants, clients and their secrets; a backup can be used more than once."""
    old = issuer.grant_for("alice", "broker")
    yesterday = issuer.snapshot()
    new = refresh(issuer, old)
    issuer.change_secret("broker", "another word")
    today = issuer.snapshot()
    for _ in range(2):
        issuer.restore(yesterday)
        assert refused(issuer, new)
        assert not refused(issuer, old)
        assert knows(issuer, "broker's word")
        issuer.restore(today)
        assert refused(issuer, old)
        assert not refused(issuer, new)
        assert knows(issuer, "another word")


def test_a_client_secret_changes_and_changes_back(issuer: DevIssuer) -> None:
    """The rest of the registration stays; an unknown client has none."""
    issuer.change_secret("broker", "another word")
    assert (knows(issuer, "broker's word"), knows(issuer, "another word")) == (False, True)
    issuer.change_secret("broker", "broker's word")
    assert knows(issuer, "broker's word")
    with pytest.raises(OAuthError, match="Unknown client"):
        issuer.change_secret("nobody", "x")


def test_a_policy_is_switched_while_it_runs(issuer: DevIssuer) -> None:
    """Also for values that are out already."""
    value = issuer.grant_for("alice", "broker")
    issuer.switch_policy(RefreshPolicy.REUSE)
    assert refresh(issuer, value) == value
    issuer.switch_policy(RefreshPolicy.ROTATE)
    assert refresh(issuer, value) != value


def test_many_grants_are_made_without_a_browser(issuer: DevIssuer) -> None:
    """Each with a refresh token of its own, for all the client may have or for less."""
    values = {issuer.grant_for("alice", "broker", ["offline_access"]) for _ in range(1000)}
    assert values == set(issuer.refresh_tokens_issued)
    assert len(values) == 1000
    for wrong in [("bob", "broker", ()), ("alice", "nobody", ()), ("alice", "broker", ["fts"])]:
        with pytest.raises(OAuthError):
            issuer.grant_for(*wrong)


def test_a_backup_shows_no_secret(issuer: DevIssuer) -> None:
    """Nor a refresh token."""
    value = issuer.grant_for("alice", "broker")
    shown = repr(issuer.snapshot())
    assert value not in shown
    assert "word" not in shown


def test_the_diary_is_read_through_the_issuer(issuer: DevIssuer) -> None:
    """Before anything was asked it is empty."""
    assert issuer.entry_of("jti") is None
    assert sha256_hex("x") not in issuer.posts_by_value()
