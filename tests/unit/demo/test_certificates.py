"""The throw-away authority and what it issues."""

from __future__ import annotations

import datetime
import ipaddress
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.verification import (
    PolicyBuilder,
    Store,
    Subject,
    VerificationError,
)

from credbroker.demo.certificates import Authority, make_authority

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.datetime(2030, 5, 17, 12, 0, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)
DAY = datetime.timedelta(days=1)
LOOPBACK: list[Subject] = [
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
]


class StoppedClock:
    """A clock that stands still."""

    def now(self) -> datetime.datetime:
        """Return the one instant there is."""
        return NOW

    def elapsed(self) -> float:
        """Return nothing gone by."""
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Wait not at all."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority made at NOW."""
    return make_authority(tmp_path, StoppedClock())


def verify(certificate_file: Path, ca_file: Path, subject: Subject, at: datetime.datetime) -> None:
    """Check a server's certificate as a strict client would at that time."""
    trusted = Store([x509.load_pem_x509_certificate(ca_file.read_bytes())])
    shown = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    PolicyBuilder().store(trusted).time(at).build_server_verifier(subject).verify(shown, [])


@pytest.mark.parametrize("subject", LOOPBACK, ids=lambda subject: str(subject.value))
def test_a_server_is_trusted_under_every_loopback_name(
    authority: Authority, tmp_path: Path, subject: Subject
) -> None:
    """A strict client accepts the certificate for each name and address of this machine."""
    certificate_file, _ = authority.issue("openbao", tmp_path)
    verify(certificate_file, authority.ca_file, subject, NOW)


def test_a_server_is_not_trusted_under_another_name(authority: Authority, tmp_path: Path) -> None:
    """The certificate speaks for loopback alone."""
    certificate_file, _ = authority.issue("openbao", tmp_path)
    with pytest.raises(VerificationError):
        verify(certificate_file, authority.ca_file, x509.DNSName("example.org"), NOW)


def test_another_authority_vouches_for_nothing(authority: Authority, tmp_path: Path) -> None:
    """Two authorities with the same name do not trust each other's servers."""
    certificate_file, _ = authority.issue("openbao", tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = make_authority(elsewhere, StoppedClock())
    with pytest.raises(VerificationError):
        verify(certificate_file, other.ca_file, LOOPBACK[0], NOW)


@pytest.mark.parametrize("offset", [-59 * MINUTE, 29 * DAY])
def test_a_certificate_holds_for_a_month_and_for_a_clock_that_lags(
    authority: Authority, tmp_path: Path, offset: datetime.timedelta
) -> None:
    """It is dated one hour back and good for 30 days."""
    certificate_file, _ = authority.issue("openbao", tmp_path)
    verify(certificate_file, authority.ca_file, LOOPBACK[0], NOW + offset)


@pytest.mark.parametrize("offset", [-61 * MINUTE, 30 * DAY])
def test_a_certificate_is_refused_outside_its_time(
    authority: Authority, tmp_path: Path, offset: datetime.timedelta
) -> None:
    """Neither long before nor long after is it accepted."""
    certificate_file, _ = authority.issue("openbao", tmp_path)
    with pytest.raises(VerificationError):
        verify(certificate_file, authority.ca_file, LOOPBACK[0], NOW + offset)


def test_a_key_is_private_even_where_an_open_file_was(authority: Authority, tmp_path: Path) -> None:
    """Issuing again replaces a key that everybody could read by one that nobody else can."""
    _, key_file = authority.issue("openbao", tmp_path)
    key_file.chmod(0o644)
    first = key_file.read_bytes()
    authority.issue("openbao", tmp_path)
    assert key_file.read_bytes() != first
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600


def test_the_key_of_the_authority_is_on_no_disk(authority: Authority, tmp_path: Path) -> None:
    """Only the server's key is found among the files."""
    authority.issue("openbao", tmp_path)
    with_keys = [path.name for path in tmp_path.iterdir() if b"PRIVATE KEY" in path.read_bytes()]
    assert with_keys == ["openbao.key.pem"]
