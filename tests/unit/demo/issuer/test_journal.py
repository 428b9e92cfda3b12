"""The diary pairs each request with the tokens its answer held, and is quick to look things up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from credbroker.demo.issuer.faults import Endpoint
from credbroker.demo.issuer.journal import Journal, sha256_hex
from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from credbroker.demo.issuer.journal import Entry
    from credbroker.demo.issuer.keys import SigningKeys


def post(journal: Journal, value: str = "") -> Entry:
    """Write the entry of a token request, by default of a login."""
    form = {"grant_type": "refresh_token", "refresh_token": value} if value else {}
    return journal.open(FakeClock().now(), Endpoint.TOKEN, "broker", form)


@pytest.fixture
def answer(keys: SigningKeys) -> dict[str, Any]:
    """What a refresh is answered with."""
    access = keys.sign({"jti": "jti-1", "exp": 5}, "ES256")
    return {"access_token": access, "refresh_token": "new-value"}


def test_an_access_token_leads_to_the_successor_that_came_with_it(answer: dict[str, Any]) -> None:
    """By hashes alone: no refresh token stands in the diary."""
    journal = Journal()
    entry = post(journal, "old-value")
    journal.acted(entry, answer)
    found = journal.of_jti("jti-1")
    assert found is entry
    assert found.refresh_sha256 == sha256_hex("old-value")
    assert (found.jti, found.successor_sha256) == ("jti-1", sha256_hex("new-value"))
    assert "-value" not in repr(journal.entries)
    assert journal.of_jti("jti-2") is None


def test_every_post_of_a_value_is_found_acted_on_or_not(answer: dict[str, Any]) -> None:
    """A login is no refresh."""
    journal = Journal()
    first, second, _ = (post(journal, value) for value in ("a", "a", "b"))
    journal.acted(second, answer)
    journal.acted(post(journal), answer)
    assert journal.posts_of("a") == [first, second]
    assert journal.posts_of("c") == []
    assert {sha: len(found) for sha, found in journal.posts().items()} == {
        sha256_hex("a"): 2,
        sha256_hex("b"): 1,
    }
    assert journal.count_refreshes() == 1
    assert [one.outcome for one in journal.entries] == ["not acted", "ok", "not acted", "ok"]
