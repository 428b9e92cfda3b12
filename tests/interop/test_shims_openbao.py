"""Our stand-ins at a server nobody here wrote: a real OpenBao, set up as an HTVault is.

- Its own OIDC method goes by the device flow of the development issuer, with an HTVault's lifetimes, claims
  and metadata: the refresh token comes to the client, which hands it back.
- In place of an HTVault's plugin there is a store: what is handed back can be looked at there, and where
  narrowed tokens are read there is one.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from credbroker.host.clock import SystemClock
from credbroker.telemetry.canaries import Canaries
from tests.fakes.htvault import access_token
from tests.interop.htgettoken.browser import Browser
from tests.interop.htgettoken.issuer import CLIENT_ID, IssuerThread, password_of
from tests.interop.htgettoken.terminal import Terminal
from tests.interop.site import STEP_SECONDS, bare_environment
from tests.interop.stand_ins import write_stand_ins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.demo.openbao import OpenBaoServer

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(120)]

AUTH, OAUTH = "auth/oidc-cms", "secret/oauth"
STORED, NARROWED = "creds/cms/ada:default", "sts/cms/ada:default"
POLICY = """
path "secret/oauth/+/cms/*" { capabilities = ["read", "delete", "create", "update"] }
path "auth/token/create" { capabilities = ["update"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
"""
SILENT = ("--nooidc", "--nokerberos", "--nossh")
WEEK, MONTH = 7 * 86400, 28 * 86400
ADDRESS = re.compile(r"Complete the authentication at:\n\s+(https://\S+)")


@dataclass
class Htvault:
    """The server, its issuer, and a person's folder on another machine."""

    server: OpenBaoServer
    issuer: IssuerThread
    folder: Path
    stand_ins: Path
    said: str = ""

    def words(self, *more: str) -> list[str]:
        """Return what is typed."""
        where = self.server.address.removeprefix("https://")
        typed = (
            "-a",
            where,
            "-i",
            "cms",
            f"--cafile={self.server.ca_file}",
            "--scopes=compute.read",
        )
        kept = ("-d", f"--vaulttokenfile={self.folder}/vt")
        return [str(self.stand_ins / "htgettoken"), *typed, *kept, *more]

    def run(self, *more: str) -> int:
        """Type htgettoken, as ada does in her browser what it asks for; return its exit code."""
        environ = {**bare_environment(), "HOME": str(self.folder), "SSH_CLIENT": "far"}
        environ["XDG_RUNTIME_DIR"] = str(self.folder)
        with Terminal() as terminal:
            child = subprocess.Popen(
                self.words(*more), stdin=terminal.inside, stdout=terminal.inside,
                stderr=terminal.inside, env=environ,
            )  # fmt: skip
            try:
                self._confirm(child, terminal)
                code = child.wait(STEP_SECONDS)
            finally:
                child.kill()
                child.wait()
        self.said += terminal.text
        return code

    def _confirm(self, child: subprocess.Popen[bytes], terminal: Terminal) -> None:
        clock = SystemClock()
        ends = clock.elapsed() + STEP_SECONDS
        while child.poll() is None and clock.elapsed() < ends:
            if shown := ADDRESS.search(terminal.text):
                known = {"name": "ada", "password": password_of("ada")}
                Browser(self.server.ca_file, known).log_in(shown[1])
                return
            clock.block(0.05)


@pytest.fixture
def htvault(tmp_path: Path, authority: Authority, openbao: OpenBaoServer) -> Iterator[Htvault]:
    """A server where nobody has logged in yet, with a narrowed token for ada."""
    callback = f"{openbao.address}/v1/{AUTH}/oidc/callback"
    for name in ("issuer", "person"):
        (tmp_path / name).mkdir(mode=0o700)
    issuer = IssuerThread(tmp_path / "issuer", authority, callback)
    issuer.start()
    try:
        set_up(openbao, issuer, authority, callback)
        stand_ins = write_stand_ins(tmp_path / "bin")
        yield Htvault(openbao, issuer, tmp_path / "person", stand_ins)
    finally:
        openbao.kill()  # first, so that it connects to the issuer no more
        issuer.stop()


def set_up(
    server: OpenBaoServer, issuer: IssuerThread, authority: Authority, callback: str
) -> None:
    """Have the server be what an HTVault's configuration makes of it."""
    admin = server.admin_client()
    admin.sys.create_or_update_policy("oidc-cms_default", POLICY)
    admin.sys.enable_secrets_engine("kv", path=OAUTH, options={"version": "1"})
    now = SystemClock().now().timestamp()
    admin.write_data(f"{OAUTH}/{NARROWED}", data={"access_token": access_token(now + 3600, now)})
    admin.sys.enable_auth_method("oidc", path=AUTH.removeprefix("auth/"))
    registered = {
        "oidc_discovery_url": issuer.url,
        "oidc_discovery_ca_pem": authority.ca_file.read_text(),
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": issuer.client_secret_file.read_text(),
        "default_role": "default",
    }
    admin.write_data(f"{AUTH}/config", data=registered)
    role = {
        "role_type": "oidc",
        "user_claim": "preferred_username",
        "claim_mappings": {"preferred_username": "credkey"},
        "oauth2_metadata": ["refresh_token"],
        "allowed_redirect_uris": callback,
        "callback_mode": "device",
        "poll_interval": 1,
        "oidc_scopes": "openid,offline_access,compute.read",
        "token_policies": ["oidc-cms_default"],
        "token_no_default_policy": True,
        "token_ttl": "28d",
        "token_max_ttl": "28d",
    }
    admin.write_data(f"{AUTH}/role/default", data=role)


def test_a_person_logs_in_and_reads_a_token_at_a_server_nobody_here_wrote(
    htvault: Htvault,
) -> None:
    """What is kept lasts a week; the refresh token is handed back, and nobody else sees it."""
    assert htvault.run() == 0, htvault.said
    admin = htvault.server.admin_client()
    store = admin.secrets.kv.v1
    (bearer,) = htvault.folder.glob("bt_u*")
    assert bearer.read_text() == store.read_secret(NARROWED, OAUTH)["data"]["access_token"] + "\n"
    (refresh_token,) = htvault.issuer.refresh_tokens
    assert store.read_secret(STORED, OAUTH)["data"] == {
        "server": "cms",
        "refresh_token": refresh_token,
    }
    vault_token = (htvault.folder / "vt").read_text().strip()
    kept = admin.auth.token.lookup(vault_token)["data"]
    assert WEEK - 60 < kept["ttl"] <= WEEK
    canaries = Canaries()
    canaries.plant("refresh token", refresh_token)
    canaries.search_folder(htvault.folder)
    canaries.search_text("the terminal", htvault.said.encode())
    canaries.assert_unseen()
    assert vault_token not in htvault.said


def test_the_next_time_nobody_is_asked_until_the_vault_token_is_over(htvault: Htvault) -> None:
    """Then it is refused in the server's own words, and nothing is thrown away."""
    assert htvault.run() == 0, htvault.said
    assert htvault.run(*SILENT, "--vaulttokenminttl=6d") == 0, htvault.said
    vault_token = (htvault.folder / "vt").read_text().strip()
    htvault.server.admin_client().auth.token.revoke(vault_token)
    htvault.said = ""
    assert htvault.run(*SILENT) == 1
    assert "permission denied" in htvault.said
    assert (htvault.folder / "vt").read_text().strip() == vault_token
    assert htvault.run() == 0, htvault.said
    assert (htvault.folder / "vt").read_text().strip() != vault_token
