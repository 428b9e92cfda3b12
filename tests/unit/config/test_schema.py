"""The settings have safe defaults, cannot be changed, and know no key by accident."""

from __future__ import annotations

import msgspec
import pytest

from credbroker.config.schema import (
    Issuer,
    Keeper,
    Leases,
    Listen,
    Tokens,
)
from credbroker.config.section import Section


def sections(of: type[Section] = Section) -> list[type[Section]]:
    """Return every section of the settings."""
    return [one for child in of.__subclasses__() for one in [child, *sections(child)]]


def test_every_section_refuses_keys_it_does_not_know() -> None:
    """And is frozen: nothing changes a setting while the program runs."""
    assert len(sections()) >= 10
    for section in sections():
        config = section.__struct_config__
        assert config.forbid_unknown_fields, section
        assert config.frozen, section


def test_no_setting_holds_a_secret_itself() -> None:
    """Only the file that holds it, or the hash by which it is known again."""
    fields = {name for section in sections() for name in section.__struct_fields__}
    named = {name for name in fields if "secret" in name}
    assert named == {"secret_id_file", "client_secret_file", "secret_file", "secret_sha256"}


def test_defaults_are_the_safe_ones() -> None:
    """Loopback only, no retry at an unknown issuer, four weeks, half of a token's life."""
    days = 86400
    issuer = msgspec.convert(
        {"url": "u", "client_id": "c", "roles": {"r": {"scopes": ["s"]}}}, Issuer
    )
    assert (issuer.unclear_answer, issuer.grace_seconds) == (None, None)
    assert issuer.revoke_replaced
    assert (issuer.refreshes_at_once, issuer.refreshes_per_second) == (16, 50.0)
    assert Keeper() == Keeper(
        idle_refresh_seconds=7 * days, dormant_seconds=90 * days, warn_seconds=7 * days
    )
    assert (Listen().address, Listen().tls) == ("127.0.0.1", None)
    assert Leases().login_seconds == 28 * 86400
    assert Tokens().renew_after == 0.5


@pytest.mark.parametrize("fraction", [0, 1, -1, 2])
def test_tokens_are_renewed_within_their_life(fraction: float) -> None:
    """Neither at once nor at the end."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"renew_after": fraction}, Tokens)
