"""The settings of a community's own issuer have safe defaults."""

from __future__ import annotations

import msgspec
import pytest

from credbroker.config.communities import Bridge, Community, Keys, ServiceClient

CLIENT = {"scopes": ["storage.read:/"], "audiences": ["https://se"]}


def test_a_client_may_do_little_unless_more_is_written() -> None:
    """Tokens about itself, new each time, answered within 2.5 s; nobody else's tokens, no rotation."""
    client = msgspec.convert(CLIENT, ServiceClient)
    assert client.grants == ("client_credentials",)
    assert (client.reuse_seconds, client.answer_seconds) == (0.0, 2.5)
    assert (client.exchanges_for, client.rotates, client.stage_adds_read) == ([], False, False)
    assert client.default_audiences == []


def test_a_new_key_is_announced_for_a_day() -> None:
    """Caches of keys are up to a day old."""
    keys = Keys()
    assert (keys.announce_seconds, keys.use_seconds) == (86400.0, 180 * 86400.0)
    assert (keys.transit, keys.threads) == (None, 1)


def test_tokens_are_signed_by_what_every_service_can_check() -> None:
    """RS256, unless an audience is named for which it is another; and no bridge."""
    community = msgspec.convert({"url": "https://tokens/vo/"}, Community)
    assert community.algorithm == "RS256"
    assert (community.bridge, community.rights_folder) == (None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"outage_seconds": 299},
        {"longest_seconds": 3601},
        {"most_seconds": 86401},
        {"refreshed_within_seconds": 21601},
        {"audiences": []},
    ],
)
def test_no_setting_makes_a_bridge_wider_than_its_limits(wrong: dict[str, object]) -> None:
    """They may only be made tighter."""
    bridge = {"upstream": "iam", "audiences": ["https://se"]}
    assert msgspec.convert(bridge, Bridge).most_seconds == 86400.0
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**bridge, **wrong}, Bridge)


@pytest.mark.parametrize(
    "wrong",
    [{"secret_sha256": "ABC"}, {"grants": ["password"]}, {"answer_seconds": 61}, {"secret": "x"}],
)
def test_what_a_client_cannot_have_is_refused(wrong: dict[str, object]) -> None:
    """A hash that is none, a grant that is not offered, an answer that nobody waits for."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**CLIENT, **wrong}, ServiceClient)
