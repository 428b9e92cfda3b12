"""The two files by which one host's broker logs in: looked at, and written where there are none.

What is there is never written over: it may be another broker's, or all that one has.
"""

from __future__ import annotations

from pathlib import Path

from credbroker.admin.vault_looking import Finding, Standing
from credbroker.config.load import read_secret
from credbroker.delivery import whole_file
from credbroker.domain.errors import StoreMisconfigured, StoreUnavailable
from credbroker.ports import Entropy
from credbroker.stores.broker_place import ROLE_NAME
from credbroker.stores.operator_vault import OperatorVault
from credbroker.stores.vault_answers import json_of
from credbroker.stores.vault_logins import AppRoleLogin


class LoginFiles:
    """`role-id` and `secret-id` in one folder."""

    def __init__(self, folder: Path, vault: OperatorVault, mount: str, entropy: Entropy) -> None:
        """Look after the login in `folder`, at the AppRole method mounted at `mount`."""
        self._role_id, self._secret_id = folder / "role-id", folder / "secret-id"
        self._what = f"the broker's login, {self._role_id} and secret-id"
        self._vault = vault
        self._mount = mount
        self._entropy = entropy

    async def look(self) -> Finding:
        """Return how the files stand; they are right if one can log in by them."""
        there = [file for file in (self._role_id, self._secret_id) if file.exists()]
        if not there:
            return Finding(self._what, Standing.MISSING)
        if len(there) == 1:
            return Finding(self._what, Standing.DIFFERENT, (f"only {there[0].name} is there",))
        login = AppRoleLogin(
            self._mount,
            lambda: read_secret(self._role_id, "AppRole role id"),
            lambda: read_secret(self._secret_id, "AppRole secret id"),
        )
        if not await self._vault.opens(login):
            return Finding(self._what, Standing.DIFFERENT, ("nobody can log in by them",))
        return Finding(self._what, Standing.RIGHT)

    async def write(self) -> None:
        """Make a new secret id, and write both files so that their owner alone can read them.

        Raises `StoreMisconfigured` and `StoreUnavailable` kinds, and `LocalFileUnfit`.
        """
        role = f"auth/{self._mount}/role/{ROLE_NAME}"
        named = await self._vault.content(f"{role}/role-id")
        made = json_of(await self._vault.post(f"{role}/secret-id", {})).get("data")
        if not isinstance(named, dict) or not isinstance(made, dict):
            raise StoreUnavailable("OpenBao/Vault answered without a login.")
        for file, content in (
            (self._role_id, named.get("role_id")),
            (self._secret_id, made.get("secret_id")),
        ):
            if not isinstance(content, str):
                raise StoreMisconfigured("OpenBao/Vault answered without a login.")
            whole_file.replace(
                file, f"{content}\n".encode(), self._entropy, may_replace=lambda _: False
            )
