"""The ways in which the broker logs in to OpenBao or Vault.

What is shown is read afresh at each login, so that a file which somebody renews is taken up by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from credbroker.domain.secret import Secret


class Login(Protocol):
    """A way to log in: what people call it, where it is asked for, and what is sent there."""

    @property
    def name(self) -> str:
        """What it is called in a sentence, as in "the broker's AppRole login"."""

    @property
    def mount(self) -> str:
        """Where the method is mounted, below `auth/`."""

    def body(self) -> dict[str, str]:
        """Return what is sent, read now; raise `BadSettings` if a file of it cannot be read."""


@dataclass(frozen=True, slots=True)
class AppRoleLogin:
    """By AppRole: where it is mounted, and how to read its two halves. Follows `Login`."""

    mount: str
    role_id: Callable[[], Secret]
    secret_id: Callable[[], Secret]
    name: str = field(default="AppRole", init=False)

    def body(self) -> dict[str, str]:
        """Return both halves; see `Login.body`."""
        return {"role_id": self.role_id().reveal(), "secret_id": self.secret_id().reveal()}


@dataclass(frozen=True, slots=True)
class KubernetesLogin:
    """By the service account of a pod, which the cluster vouches for. Follows `Login`."""

    mount: str
    role: str
    account_token: Callable[[], Secret]
    name: str = field(default="Kubernetes", init=False)

    def body(self) -> dict[str, str]:
        """Return the role and the account's token as it is now; see `Login.body`."""
        return {"role": self.role, "jwt": self.account_token().reveal()}
