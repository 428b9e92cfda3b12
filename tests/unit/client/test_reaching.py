"""Whom a client trusts, and in which words it fails."""

from __future__ import annotations

import errno
import socket
import ssl
from pathlib import Path

import pytest

from credbroker.client.address import Address
from credbroker.client.http11 import BrokenAnswerError
from credbroker.client.reaching import in_words, shared_trust, trust
from credbroker.demo.certificates import make_authority
from credbroker.domain.errors import BrokerUnreachable, LocalFileUnfit
from credbroker.host.clock import SystemClock

BROKER = Address("https", "b.example.org", 8200)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (OSError(errno.ECONNREFUSED, "Connect call failed ('192.0.2.1', 1)"), "connection refused"),
        (TimeoutError(), "did not answer in time"),
        (socket.gaierror(-2, "x"), "its name cannot be resolved"),
        (ssl.SSLError(1, "x"), "no TLS connection came about"),
        (OSError("its name has no address."), "its name has no address."),
        (ConnectionError(), "connectionError"),
        (BrokenAnswerError("its head is too large"), "cannot be used: its head is too large."),
    ],
)
def test_every_failure_names_the_address_and_a_reason(failure: Exception, words: str) -> None:
    """In one sentence."""
    with (
        pytest.raises(BrokerUnreachable, match=r"https://b\.example\.org:8200") as told,
        in_words(BROKER),
    ):
        raise failure
    assert words in told.value.sentence


def test_nothing_older_than_tls_1_2_is_spoken_and_names_are_checked() -> None:
    """With the system's authorities as with one's own."""
    context = trust(None, None)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_folder_of_authorities_is_taken_and_rubbish_is_named(tmp_path: Path) -> None:
    """As IGTF distributes them, by hashed names."""
    assert trust(str(tmp_path), None).get_ca_certs() == []
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(LocalFileUnfit, match=r"empty\.pem"):
        trust(str(tmp_path / "empty.pem"), None)
    with pytest.raises(LocalFileUnfit, match="ca_pem"):
        trust(None, "rubbish")


def test_authorities_are_read_once_for_all_connections_and_again_when_they_change(
    tmp_path: Path,
) -> None:
    """To read the system's takes as long as many renewals."""
    file, folder = tmp_path / "copy.pem", tmp_path / "authorities"
    folder.mkdir()
    authority = make_authority(tmp_path, SystemClock())
    file.write_bytes(authority.ca_file.read_bytes())
    first = shared_trust(str(file), None, str(folder))
    assert shared_trust(str(file), None, str(folder)) is first
    assert shared_trust(None, None) is shared_trust(None, None) is not first
    (folder / "new.0").touch()
    second = shared_trust(str(file), None, str(folder))
    assert second is not first
    file.unlink()
    file.write_bytes(authority.ca_file.read_bytes() * 2)
    assert shared_trust(str(file), None, str(folder)) is not second
    file.write_text("")
    with pytest.raises(LocalFileUnfit):
        shared_trust(str(file), None, str(folder))
