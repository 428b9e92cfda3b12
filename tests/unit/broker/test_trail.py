"""What every audit line about a grant says, and what none may."""

from __future__ import annotations

from hashlib import sha1

from credbroker.broker.leasing import Origin
from credbroker.broker.trail import about, names, traces, whence
from tests.unit.things import KEY, access_token, grant


def test_a_line_names_the_grant_and_never_its_token() -> None:
    """Whose it is, where, by which client, and how often its token was replaced."""
    said = about(grant(generation=3))
    assert said == {
        **names(KEY),
        "sub": "sub-ada",
        "client_id": grant().client_id,
        "generation": 3,
    }
    assert names(KEY) == {"issuer": "egi", "credkey": "ada", "role": "default"}


def test_a_token_is_found_by_what_other_services_keep_of_it() -> None:
    """By `jti`, SHA-256, or as FTS knows it; the token itself is not in it."""
    token = access_token("storage.read:/a")
    said = traces(token)
    assert (said["jti"], said["sha256"]) == (token.jti, token.value.digest())
    assert (
        said["fts_id"]
        == sha1(token.value.reveal().encode(), usedforsecurity=False).hexdigest()[:16]
    )
    assert token.value.reveal() not in str(said)


def test_a_line_says_where_its_request_came_from() -> None:
    """The address, and the id by which the log has the request."""
    said = whence(Origin("192.0.2.7", "request-1", "login.example.org"))
    assert said == {"address": "192.0.2.7", "request_id": "request-1"}
