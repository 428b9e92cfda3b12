"""The settings of the one door; what it does on the wire is in the contract."""

from __future__ import annotations

import ssl

import pytest

from credbroker import __version__
from credbroker.host.http import OutgoingHttp


async def test_the_door_must_be_opened_before_use() -> None:
    """A request through a closed one is a mistake of ours, and told at once."""
    with pytest.raises(AssertionError, match="async context"):
        await OutgoingHttp().get("https://issuer.test/", seconds=1)


async def test_the_door_checks_who_answers_and_says_who_asks() -> None:
    """Certificates and names are checked, TLS is recent, environment and cookies are ignored."""
    async with OutgoingHttp() as door:
        assert door._tls.verify_mode is ssl.CERT_REQUIRED
        assert door._tls.check_hostname
        assert door._tls.minimum_version >= ssl.TLSVersion.TLSv1_2
        assert door._kept is not None
        assert not door._kept.trust_env
        assert door._kept.headers["User-Agent"] == f"credbroker/{__version__}"


def test_a_missing_authority_is_told_at_the_start() -> None:
    """Not at the first refresh."""
    with pytest.raises(OSError, match="No such file"):
        OutgoingHttp("/nowhere/ca.pem")
