"""Asks OpenBao or Vault under a token that an operator brought, to set up what a broker needs there.

All that `VaultClient` guarantees holds; but there is no login, so a request that is denied is refused
at once, and the token is neither renewed nor revoked: it stays the operator's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from credbroker.domain.errors import StoreMisconfigured
from credbroker.domain.secret import Secret
from credbroker.ports import Clock, Entropy, HttpDoor
from credbroker.stores.vault import VaultClient
from credbroker.stores.vault_answers import checked, json_of
from credbroker.stores.vault_logins import Login

_CALL_SECONDS = 10.0


class NoLogin:
    """Stands where a login would; nobody logs in by it. Follows `vault_logins.Login`."""

    name = "operator's"
    mount = "token"

    def body(self) -> NoReturn:
        """Raise; there is nothing to send."""
        raise StoreMisconfigured(
            "OpenBao/Vault does not accept the token, or it may not do what the set-up takes.",
            "Use a token whose policy lets it read and write mounts, policies and the AppRole.",
        )


class OperatorVault(VaultClient):
    """One OpenBao or Vault cluster, under `token`."""

    def __init__(
        self,
        door: HttpDoor,
        addresses: Sequence[str],
        token: Secret,
        *,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """Talk to `addresses`, base URLs of one cluster's nodes."""
        super().__init__(
            door, addresses, NoLogin(), clock=clock, entropy=entropy, seconds=_CALL_SECONDS
        )
        self._token = token

    async def content(self, path: str) -> dict[str, Any] | None:
        """Return what is at `path`, without the answer's wrapping; None where there is nothing.

        Raises `StoreMisconfigured` or `StoreUnavailable` kinds.
        """
        answer = await self.get(path)
        found = json_of(answer).get("data") if answer is not None else None
        return found if isinstance(found, dict) else None

    async def opens(self, login: Login) -> bool:
        """Return whether one can log in by `login`; the token that this gave is ended at once.

        Raises `StoreUnavailable` kinds, and `BadSettings` if a file of the login cannot be read.
        """
        body = json.dumps(login.body()).encode()
        answer = await self._sent("POST", f"auth/{login.mount}/login", body, None)
        if answer.status in {400, 403, 404}:
            return False
        given = (json_of(checked(answer)).get("auth") or {}).get("client_token", "")
        await self._sent("POST", "auth/token/revoke-self", b"{}", Secret("Vault token", given))
        return True
