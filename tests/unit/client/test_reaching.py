"""Whom a client trusts, and in which words it fails."""

from __future__ import annotations

import errno
import socket
import ssl
from pathlib import Path

import pytest

from credbroker.client.address import Address
from credbroker.client.http11 import BrokenAnswerError
from credbroker.client.reaching import in_words, trust
from credbroker.domain.errors import BrokerUnreachable, LocalFileUnfit

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
