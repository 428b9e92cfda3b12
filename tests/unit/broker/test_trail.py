"""What every audit line about a grant says, and what none may."""

from __future__ import annotations

from credbroker.broker.trail import about, names
from tests.unit.things import KEY, grant


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
