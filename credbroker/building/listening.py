"""What the broker shows to those who connect."""

from __future__ import annotations

import ssl
from pathlib import Path

from credbroker.config.load import check_private
from credbroker.config.schema import Hosts, Listen
from credbroker.domain.errors import BadSettings


def server_tls(listen: Listen, hosts: Hosts) -> ssl.SSLContext | None:
    """Return what the broker shows its callers; None where the settings want no TLS.

    With authorities for `hosts`, callers may show a certificate of theirs; nobody must.
    """
    if listen.tls is None:
        return None
    check_private(listen.tls.key_file, "TLS key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(listen.tls.certificate_file, listen.tls.key_file)
    except (OSError, ssl.SSLError):
        raise BadSettings(
            f"{listen.tls.certificate_file}: this certificate and its key do not work together."
        ) from None
    if hosts.ca_file is not None:
        _trust(context, hosts.ca_file)
    return context


def _trust(context: ssl.SSLContext, ca_file: Path) -> None:
    try:
        context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError):
        raise BadSettings(f"{ca_file}: this does not hold certificates (PEM).") from None
    context.verify_mode = ssl.CERT_OPTIONAL
