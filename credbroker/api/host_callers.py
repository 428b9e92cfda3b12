"""Which host is asking: its certificate in the TLS connection, or its token in `Authorization`."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from credbroker.api.callers import bearer_of, origin
from credbroker.api.problems import LEASE_ID
from credbroker.api.strangers import Strangers
from credbroker.broker.deliveries.hosting import Hosting, KnownHost
from credbroker.domain.errors import LeaseUnknown, NotAllowed
from credbroker.domain.hosts import HOST_TOKEN, HostCertificate, HostSecret


def is_host(request: web.Request) -> bool:
    """True if the request shows what has the form of a host's token."""
    return _shown(request).startswith(f"{HOST_TOKEN}_")


async def identify_host(request: web.Request, hosting: Hosting, strangers: Strangers) -> KnownHost:
    """Return the host; raise `LeaseUnknown`, `LeaseEnded` or `TooManyRequests`."""
    with strangers.counted_unless_known(request):
        token = HostSecret.parse(HOST_TOKEN, _shown(request))
        request[LEASE_ID] = token.place
        return await hosting.identify(token, origin(request))


def certificate_of(request: web.Request, tls: ssl.SSLContext | None) -> HostCertificate:
    """Return the certificate that the connection has verified; raise `NotAllowed` without one.

    A connection may be older than the settings; it counts if the authorities are those of `tls`.
    """
    shown: Mapping[str, Any] | None = request.get_extra_info("peercert")
    if not shown:
        raise NotAllowed(
            "The host has shown neither an assertion nor a certificate.",
            "Join it with: credbroker admin host-join NAME; or connect with its certificate.",
        )
    by: ssl.SSLContext = request.get_extra_info("ssl_object").context
    if tls is None or by.get_ca_certs(binary_form=True) != tls.get_ca_certs(binary_form=True):
        raise NotAllowed(
            "Whose certificates count here has changed since this connection was made.",
            "Connect once more.",
        )
    names = shown.get("subjectAltName", ())
    return HostCertificate(
        tuple(str(name) for kind, name in names if kind == "DNS"),
        _moment(shown["notBefore"]),
        _moment(shown["notAfter"]),
    )


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(ssl.cert_time_to_seconds(text), datetime.UTC)


def _shown(request: web.Request) -> str:
    text = bearer_of(request)
    if text is None:
        raise LeaseUnknown("Neither a host's token nor a lease was shown.")
    return text
