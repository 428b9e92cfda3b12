"""The settings of the one door, and how it closes; what it does on the wire is in the contract."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from credbroker import __version__
from credbroker.demo.certificates import make_authority
from credbroker.host.clock import SystemClock
from credbroker.host.http import OutgoingHttp
from credbroker.ports import NoAnswerError

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_SECONDS = 5.0


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


async def test_a_connection_that_is_still_being_made_when_the_door_closes_is_ended(
    tmp_path: Path,
) -> None:
    """Nobody else would: its server never says that TLS is over."""
    authority = make_authority(tmp_path, SystemClock())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("slow", tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_SECONDS)
        url = f"https://localhost:{listener.getsockname()[1]}/"
        async with OutgoingHttp(str(authority.ca_file)) as door:
            asked = asyncio.ensure_future(door.get(url, seconds=PATIENCE_SECONDS))
            plain, _ = await asyncio.to_thread(listener.accept)
        await asyncio.to_thread(_shake_hands_until_the_end, plain, tls)
        with pytest.raises(NoAnswerError):
            await asked


def _shake_hands_until_the_end(plain: socket.socket, tls: ssl.SSLContext) -> None:
    """Return once the other side has ended the connection itself, not only TLS; else time out."""
    with plain:
        plain.settimeout(PATIENCE_SECONDS)
        try:
            with tls.wrap_socket(plain, server_side=True) as connection:
                while connection.recv(1):
                    pass
                while socket.socket.recv(connection, 1):
                    pass
        except (ConnectionError, ssl.SSLError):
            return
