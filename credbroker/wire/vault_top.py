"""What an access point keeps of a login: the files that HTCondor's credd stores and a vault credmon reads.

A service's file names where to ask and holds the lease to ask under. A handle's file names where
to ask alone: its credmon takes the lease from the service's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from credbroker.wire.fields import write_object

if TYPE_CHECKING:
    from credbroker.domain.names import GrantKey
    from credbroker.domain.secret import Secret

_READ = "/v1/secret/oauth/creds"
# What a path may hold as it is (RFC 3986 section 3.3) and credkeys often do.
_PLAIN = "/@"


def vault_url(broker: str, key: GrantKey) -> str:
    """Return where the tokens of a login are read; `broker` is its address, as scheme and authority."""
    names = quote(key.issuer), quote(key.credkey, safe=_PLAIN), quote(key.role)
    return "{}{}/{}/{}:{}".format(broker, _READ, *names)


def write_top(url: str, lease_token: Secret | None) -> bytes:
    """Write what is stored of a service, or, without a lease, of one of its handles."""
    shown = lease_token.reveal() if lease_token is not None else None
    return write_object({"vault_token": shown, "vault_url": url}) + b"\n"
