"""What the broker shows when it logs in is read anew each time, and shown to nobody else."""

from __future__ import annotations

from credbroker.domain.secret import Secret
from credbroker.stores.vault_logins import AppRoleLogin, KubernetesLogin


class Renewed:
    """A file that somebody renews: each reading gives the next text."""

    def __init__(self) -> None:
        self.readings = 0

    def __call__(self) -> Secret:
        self.readings += 1
        return Secret("login", f"text-{self.readings}")


def test_both_halves_of_an_approle_are_read_at_each_login() -> None:
    """A new secret id is taken up by itself."""
    login = AppRoleLogin("approle", Renewed(), Renewed())
    assert login.body() == {"role_id": "text-1", "secret_id": "text-1"}
    assert login.body() == {"role_id": "text-2", "secret_id": "text-2"}


def test_a_service_accounts_token_is_read_at_each_login() -> None:
    """The cluster renews it every hour."""
    login = KubernetesLogin("kubernetes", "credbroker", Renewed())
    assert login.body() == {"role": "credbroker", "jwt": "text-1"}
    assert login.body() == {"role": "credbroker", "jwt": "text-2"}


def test_a_login_says_its_name_and_none_of_its_texts() -> None:
    """Its name stands in the sentence of a refusal."""
    logins = (AppRoleLogin("a", Renewed(), Renewed()), KubernetesLogin("k", "r", Renewed()))
    assert [login.name for login in logins] == ["AppRole", "Kubernetes"]
    assert "text-" not in repr(logins)
