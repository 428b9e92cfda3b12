"""A person at a machine, and a server in HTVault's way that they reach."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from credbroker.cli.desk import Desk
from credbroker.host.entropy import SystemEntropy
from tests.fakes.htvault import FakeHtvault, access_token, answer, bearer, by_browser, refusal
from tests.fakes.step_clock import StepClock
from tests.unit.cli.conftest import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.client.address import Address

AUTH_URL, POLL = "/oidc/auth_url", "/oidc/poll"
CREDS, STS, CREATE = "/v1/secret/oauth/creds/", "/v1/secret/oauth/sts/", "/v1/auth/token/create"


@dataclasses.dataclass
class Person:
    """One person, what they have, and whom they reach."""

    folder: Path
    server: FakeHtvault
    clock: StepClock
    environ: dict[str, str]
    out: Terminal = dataclasses.field(default_factory=Terminal)
    err: Terminal = dataclasses.field(default_factory=Terminal)
    inp: Terminal = dataclasses.field(default_factory=Terminal)
    reached: list[str] = dataclasses.field(default_factory=list)
    pages: list[str] = dataclasses.field(default_factory=list)
    """What was opened in a browser."""

    @property
    def vault_file(self) -> Path:
        """Where the vault token is kept."""
        return self.folder / "vt"

    @property
    def bearer_file(self) -> Path:
        """Where programs look for the token."""
        return self.folder / "bt_u7"

    @property
    def words(self) -> tuple[str, ...]:
        """What is typed each time."""
        return ("-a", "vault.example.org", "-i", "cms", f"--vaulttokenfile={self.vault_file}")

    def desk(self) -> Desk:
        """Return the desk that stand-ins get."""
        return Desk(
            clock=self.clock,
            entropy=SystemEntropy(),
            environ=self.environ,
            euid=7,
            out=self.out,
            err=self.err,
            inp=self.inp,
            open_page=lambda address, _: self.pages.append(address),
        )

    def reach(self, address: Address, *_: object) -> FakeHtvault:
        """Reach the one server there is, whatever its address."""
        self.reached.append(str(address))
        return self.server

    def has_logged_in(self) -> None:
        """Have what a login leaves behind."""
        self.vault_file.write_text("hvs.kept\n")
        known = self.folder / ".config/htgettoken/credkey-cms-default"
        known.parent.mkdir(parents=True)
        known.write_text("ada\n")

    def token(self, seconds: float = 3600) -> str:
        """Return a token that lives so long from now."""
        now = self.clock.now().timestamp()
        return access_token(now + seconds, now)

    def sits_at_a_terminal(self) -> None:
        """Be there to log in by browser."""
        self.err.is_terminal = True


@pytest.fixture
def person(tmp_path: Path) -> Person:
    """Somebody who has nothing yet, at a server where a login by browser goes well at the second look."""
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "SSH_CLIENT": "far away"}
    somebody = Person(tmp_path, FakeHtvault(), StepClock(), environ)
    begun = {
        "auth_url": "https://idp.example.org/x",
        "user_code": "ABCD",
        "state": "s",
        "more": "m",
    }
    somebody.server.plan(AUTH_URL, answer({"data": {**begun, "poll_interval": "3"}}))
    somebody.server.plan(POLL, refusal(400, "authorization_pending"), by_browser())
    somebody.server.plan(CREDS, bearer(somebody.token()))
    somebody.server.plan(STS, bearer(somebody.token()))
    return somebody
