"""What a scenario stands on: a real OpenBao, an issuer in its own program, settings for brokers."""

from __future__ import annotations

import asyncio
import datetime
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from bench.issuer import CLIENT_ID, PERSON, SCOPES, IssuerChild
from credbroker.demo.certificates import Authority, make_authority
from credbroker.demo.openbao import OpenBaoServer
from credbroker.demo.private_files import write_private
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.names import GrantKey
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from tests.vault_settings import vault_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

ISSUER = "bench"
ROLE = "default"
REFRESH_DAYS = 30


@dataclass(frozen=True)
class Ground:
    """Everything runs while this is open; all files are below `folder`."""

    folder: Path
    authority: Authority
    openbao: OpenBaoServer
    issuer: IssuerChild

    def grant(self, credkey: str, refresh_token: str) -> Grant:
        """Return the grant of a login just made, as enrolment would store it."""
        now = SystemClock().now()
        return Grant(
            key=GrantKey(ISSUER, credkey, ROLE),
            line=SystemEntropy().token(16),
            issuer_url=self.issuer.url,
            subject=PERSON.subject,
            client_id=CLIENT_ID,
            scopes=ScopeSet.of(SCOPES),
            refresh_token=Secret("refresh token", refresh_token),
            generation=1,
            state=GrantState.READY,
            write_id=SystemEntropy().token(16),
            created_at=now,
            refreshed_at=now,
            refresh_expires_at=now + datetime.timedelta(days=REFRESH_DAYS),
            rotated=True,
        )

    def write_settings(
        self, name: str, port: int, more: Mapping[str, object] | None = None
    ) -> Path:
        """Write the settings of a broker on this ground, with `more` at the top; return their folder."""
        made = self.folder / name
        folder, audit, secret_file = made / "config.d", made / "audit", made / "client-secret"
        for one in (made, folder, audit):
            one.mkdir(mode=0o700)
        write_private(secret_file, self.issuer.client_secret.encode())
        certificate, key = self.authority.issue("broker", made)
        content: dict[str, object] = {
            "public_url": f"https://127.0.0.1:{port}",
            "listen": {
                "port": port,
                "tls": {"certificate_file": str(certificate), "key_file": str(key)},
            },
            "audit": {"folder": str(audit)},
            # A thousand strangers from one address are no attack here.
            "limits": {"per_address_per_second": 10_000, "per_address_burst": 10_000},
            "vault": vault_settings(self.openbao),
            "issuers": {
                ISSUER: {
                    "url": self.issuer.url,
                    "client_id": CLIENT_ID,
                    "client_secret_file": str(secret_file),
                    "ca_file": str(self.authority.ca_file),
                    "credkey_claim": "preferred_username",
                    # The broker is measured, not the limits that spare an issuer.
                    "refreshes_at_once": 10_000,
                    "refreshes_per_second": 10_000.0,
                    "roles": {ROLE: {"scopes": list(SCOPES)}},
                }
            },
        }
        content |= more or {}
        (folder / "10-all.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        return folder


@asynccontextmanager
async def open_ground(folder: Path, *, issuer_port: int = 0) -> AsyncIterator[Ground]:
    """Start all of it below `folder`, where an OpenBao's folder may lie already; end it after."""
    clock = SystemClock()
    await asyncio.to_thread(folder.mkdir, mode=0o700, exist_ok=True)
    authority = make_authority(folder, clock)
    openbao = OpenBaoServer(folder / "openbao", authority, clock, SystemEntropy())
    try:
        await asyncio.to_thread(openbao.start)
        issuer = await IssuerChild.start(authority.issue("issuer", folder), issuer_port)
        try:
            yield Ground(folder, authority, openbao, issuer)
        finally:
            await issuer.stop()
    finally:
        await asyncio.to_thread(openbao.stop)
