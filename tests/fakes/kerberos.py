"""Tickets without a KDC: a token is whatever the test says it is. Follows `ports.KerberosAcceptor`."""

from __future__ import annotations

from credbroker.domain.errors import LoginDenied, Malformed


class FakeAcceptor:
    """Takes each token it was told of once."""

    def __init__(self) -> None:
        """Begin with no token that holds."""
        self._principals: dict[bytes, str] = {}

    def issue(self, principal: str) -> bytes:
        """Return a new token for a principal, written with its realm."""
        token = f"ticket {len(self._principals) + 1} of {principal}".encode()
        self._principals[token] = principal
        return token

    async def accept(self, token: bytes) -> str:
        """Return the principal the first time a token is shown."""
        if not token:
            raise Malformed("No Kerberos ticket was shown.")
        principal = self._principals.get(token)
        if not principal:
            raise LoginDenied("Kerberos does not accept this ticket.")
        self._principals[token] = ""
        return principal
