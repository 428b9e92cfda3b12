"""A client has one secret, and uses the grants and tokens that its settings name."""

from __future__ import annotations

import hashlib

import pytest

from credbroker.domain.clients import Client, check_client_id
from credbroker.domain.errors import ClientNotAllowed
from credbroker.domain.policy import Entitled
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from tests.unit.things import refusal

FTS = Client(
    "fts",
    frozenset({"token_exchange"}),
    Entitled(ScopeSet(), ()),
    secret_sha256=hashlib.sha256(b"opensesame").hexdigest(),
    exchanges_for=frozenset({"rucio"}),
)


def test_a_client_knows_its_secret_by_its_hash() -> None:
    """The hash itself opens nothing, and stands in no text."""
    assert FTS.has_secret(Secret("client secret", "opensesame"))
    assert not FTS.has_secret(Secret("client secret", "opensesame "))
    assert not FTS.has_secret(Secret("client secret", FTS.secret_sha256))
    assert FTS.secret_sha256 not in repr(FTS)


def test_a_grant_that_is_not_named_is_refused_by_name() -> None:
    """With whom to ask."""
    FTS.check_may("token_exchange")
    with pytest.raises(
        ClientNotAllowed, match="fts may not use the grant client_credentials"
    ) as error:
        FTS.check_may("client_credentials")
    assert "operator" in error.value.remedy


def test_a_client_may_exchange_its_own_tokens_and_those_of_named_clients() -> None:
    """Nobody else's."""
    assert [FTS.may_exchange(one) for one in ("fts", "rucio", "dirac", "")] == [
        True, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["rucio", "host:ce.example.org", "a" * 255])
def test_an_id_that_can_be_a_subject_is_taken(name: str) -> None:
    """It stands as `sub` in its tokens."""
    assert check_client_id(name) == name


@pytest.mark.parametrize("name", ["", "a b", "é", "a" * 256, "a\n"])
def test_other_ids_are_refused(name: str) -> None:
    """WLCG profile: ASCII, 255 characters."""
    assert "255" in refusal(lambda: check_client_id(name))
