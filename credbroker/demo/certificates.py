"""Makes a throw-away certificate authority and the server certificates of one machine.

The authority's key stays in memory: when the program ends, nobody can issue under it again. Server
keys are written with mode 0600. Certificates are good for 30 days and are dated one hour back, so a
clock that lags a little still accepts them. They follow the strict reading of RFC 5280, which newer
Python versions apply by default.
"""

from __future__ import annotations

import datetime
import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from credbroker.demo.private_files import write_private

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.ports import Clock

LIFETIME = datetime.timedelta(days=30)
BACK_DATED = datetime.timedelta(hours=1)

_NAMES: tuple[x509.GeneralName, ...] = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
)


class Authority:
    """Issues certificates for servers on this machine's loopback addresses.

    `ca_file` is the PEM file that clients trust.
    """

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey,
        certificate: x509.Certificate,
        ca_file: Path,
        clock: Clock,
    ) -> None:
        """Join the parts; `make_authority` is the usual way to one."""
        self.ca_file = ca_file
        self._key = key
        self._certificate = certificate
        self._clock = clock

    def issue(self, name: str, folder: Path, *hosts: str) -> tuple[Path, Path]:
        """Write a certificate for localhost, 127.0.0.1 and ::1, and its key, into `folder`.

        Args:
            name: What the server is called; it becomes the common name and the files' names.
            folder: An existing folder; files of the same name there are replaced.
            hosts: Further names that it is good for.

        Returns:
            The paths of the certificate (PEM) and of its key (PEM, mode 0600).

        Raises:
            OSError: The folder is missing or cannot be written to.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, self._certificate.subject, key, self._clock)
        names = x509.SubjectAlternativeName([*_NAMES, *map(x509.DNSName, hosts)])
        certificate = (
            builder.add_extension(names, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        certificate_file, key_file = folder / f"{name}.crt.pem", folder / f"{name}.key.pem"
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        write_private(key_file, _pem(key))
        return certificate_file, key_file


def make_authority(folder: Path, clock: Clock) -> Authority:
    """Make a new authority; its certificate is in `folder`/ca.pem afterwards, its key nowhere.

    Raises:
        OSError: The folder is missing or cannot be written to.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = "credbroker demo authority"
    certificate = (
        _builder(name, _common_name(name), key, clock)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(key, certificate, ca_file, clock)


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, clock: Clock
) -> x509.CertificateBuilder:
    start = clock.now() - BACK_DATED
    return (
        x509.CertificateBuilder()
        .subject_name(_common_name(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
