"""Clients of a community's issuer: services that log in with a secret of their own.

- What a client may have signed stands in its settings; nothing else is signed for it.
- Of its secret only the SHA-256 is kept, and it is compared in equal time.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from typing import FrozenSet

from credbroker.domain.errors import ClientNotAllowed, Malformed
from credbroker.domain.policy import Entitled
from credbroker.domain.secret import Secret

_CLIENT_ID = re.compile(r"[\x21-\x7E]{1,255}\Z")


def check_client_id(name: str) -> str:
    """Return `name` if it can be a client's id, which is also a `sub`; raise `Malformed` if not.

    WLCG token profile 1.3: 255 ASCII characters at the most.
    """
    if not _CLIENT_ID.match(name):
        raise Malformed("A client's id is 1 to 255 printable ASCII characters without spaces.")
    return name


@dataclass(frozen=True)
class Client:
    """One service, as the settings describe it; `config.communities.ServiceClient` says what each is."""

    id: str
    grants: FrozenSet[str]
    entitled: Entitled
    secret_sha256: str = field(repr=False)
    reuse_seconds: float = 0.0
    answer_seconds: float = 2.5
    exchanges_for: FrozenSet[str] = frozenset()
    offline_seconds: float = 7 * 86400.0
    rotates: bool = False

    def has_secret(self, shown: Secret) -> bool:
        """True if this is the client's secret; takes the same time whether or not it is."""
        return hmac.compare_digest(shown.digest(), self.secret_sha256)

    def check_may(self, grant: str) -> None:
        """Raise `ClientNotAllowed` unless this client may use that kind of grant."""
        if grant not in self.grants:
            raise ClientNotAllowed(f"The client {self.id} may not use the grant {grant}.")

    def may_exchange(self, client_id: str) -> bool:
        """True if this client may exchange tokens that were given to `client_id`; its own always."""
        return client_id == self.id or client_id in self.exchanges_for
