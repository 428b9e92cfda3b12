"""Opens what the settings name: Vault and what it keeps, the issuers, proofs, this host's folders."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from credbroker.broker.custody.replicas import name_segment
from credbroker.broker.deliveries.clearing import DeliveryStores
from credbroker.broker.engine import Stores
from credbroker.broker.htvault import Proofs
from credbroker.broker.legacy import LegacyServer
from credbroker.broker.logins.kerberos_logins import KerberosEntry
from credbroker.broker.logins.taking_in import Enrolment
from credbroker.config.load import read_secret
from credbroker.config.schema import Issuer as IssuerSettings
from credbroker.config.schema import Kerberos as KerberosSettings
from credbroker.config.schema import Settings
from credbroker.config.schema import Vault as VaultSettings
from credbroker.domain.errors import BadSettings
from credbroker.domain.principals import PrincipalRules
from credbroker.domain.rotation import Rule, UnclearRule
from credbroker.domain.scopes import ScopeSet
from credbroker.host.http import OutgoingHttp
from credbroker.host.kerberos import GssAcceptor
from credbroker.issuers.kept_keys import KeptKeys
from credbroker.issuers.legacy import FormerHtvault
from credbroker.issuers.oidc import Dialect, OidcIssuer
from credbroker.issuers.ssh_signatures import AgentSignatures
from credbroker.ports import Clock, Entropy
from credbroker.stores.host_marks import SqliteHostMarks
from credbroker.stores.login_seal import open_login_seal
from credbroker.stores.records import (
    announced_records,
    check_mount,
    confirmed_records,
    delivery_records,
    grant_records,
    heartbeat_records,
    host_lease_records,
    host_records,
    host_session_records,
    issuer_mark_records,
    lease_records,
    login_key_records,
    login_records,
    narrow_records,
    published_key_records,
    revocation_records,
    rewind_records,
    robot_records,
    seen_records,
    spool_key_records,
    ssh_key_records,
)
from credbroker.stores.spool import SealedSpool
from credbroker.stores.vault import AppRoleLogin, VaultClient


@dataclass(frozen=True, slots=True)
class Opened:
    """What the settings name, opened and checked."""

    vault: VaultClient
    stores: Stores
    enrolments: dict[str, Enrolment]
    proofs: Proofs
    deliveries: DeliveryStores


async def open_all(
    settings: Settings, replica: str, clock: Clock, entropy: Entropy, stack: AsyncExitStack
) -> Opened:
    """Open everything that `settings` name, and check it; what was opened is closed with `stack`.

    Raises `Misconfigured` or `StoreUnavailable` kinds.
    """
    vault = await open_vault(settings.vault, clock, entropy, stack)
    published = published_key_records(vault, settings.vault.mount)
    enrolments = {
        name: _enrolment(
            one,
            await open_issuer(
                one, clock, stack, KeptKeys(published, f"keys-{name_segment(name)}", one.url)
            ),
        )
        for name, one in settings.issuers.items()
    }
    stores = await open_stores(settings, vault, replica, stack)
    proofs = await _open_proofs(settings, vault, stack)
    return Opened(vault, stores, enrolments, proofs, _delivery_stores(settings, vault))


async def open_vault(
    settings: VaultSettings, clock: Clock, entropy: Entropy, stack: AsyncExitStack
) -> VaultClient:
    """Return a client that is logged in, to a mount that is fit."""
    door = await stack.enter_async_context(open_door(settings.ca_file))
    approle = settings.approle
    login = AppRoleLogin(
        approle.mount,
        lambda: read_secret(approle.role_id_file, "AppRole role id"),
        lambda: read_secret(approle.secret_id_file, "AppRole secret id"),
    )
    vault = VaultClient(
        door, settings.addresses, login, clock=clock, entropy=entropy, seconds=settings.seconds
    )
    await vault.log_in()
    await check_mount(vault, settings.mount)
    return vault


async def open_stores(
    settings: Settings, vault: VaultClient, replica: str, stack: AsyncExitStack
) -> Stores:
    """Return everything that is kept, in Vault and on this host."""
    mount = settings.vault.mount
    folder = _custody_folder(settings)
    spool = SealedSpool(
        folder, replica, spool_key_records(vault, mount), slots=settings.custody.spool_entries
    )
    await spool.open()
    stack.callback(spool.close)
    host_marks = SqliteHostMarks(folder, replica)
    stack.callback(host_marks.close)
    return Stores(
        grant_records(vault, mount),
        lease_records(vault, mount),
        login_records(vault, mount),
        issuer_mark_records(vault, mount),
        heartbeat_records(vault, mount),
        rewind_records(vault, mount),
        spool,
        host_marks,
        revocation_records(vault, mount),
        narrow_records(vault, mount),
        confirmed_records(vault, mount),
        ssh_key_records(vault, mount),
        seen_records(vault, mount),
        robot_records(vault, mount),
    )


def _delivery_stores(settings: Settings, vault: VaultClient) -> DeliveryStores:
    mount = settings.vault.mount
    return DeliveryStores(
        host_records(vault, mount),
        host_session_records(vault, mount),
        host_lease_records(vault, mount),
        announced_records(vault, mount),
        delivery_records(vault, mount),
    )


async def _open_proofs(settings: Settings, vault: VaultClient, stack: AsyncExitStack) -> Proofs:
    seal = await open_login_seal(login_key_records(vault, settings.vault.mount))
    kerberos = [_kerberos(one, settings, stack) for one in settings.kerberos]
    legacy = {
        name: LegacyServer(
            FormerHtvault(
                one.legacy.url, await stack.enter_async_context(open_door(one.legacy.ca_file))
            ),
            one.legacy.until,
        )
        for name, one in settings.issuers.items()
        if one.legacy is not None
    }
    return Proofs(seal, AgentSignatures(), kerberos, legacy)


def _kerberos(one: KerberosSettings, settings: Settings, stack: AsyncExitStack) -> KerberosEntry:
    # Replicas of one host share the file: a ticket is good for one of them.
    acceptor = GssAcceptor(one.keytab_file, _custody_folder(settings) / "kerberos-replays")
    stack.callback(acceptor.close)
    rules = PrincipalRules(tuple(one.realms), one.domain)
    return KerberosEntry(acceptor, rules, frozenset(one.issuers))


def _custody_folder(settings: Settings) -> Path:
    return settings.custody.folder or settings.audit.folder / "custody"


async def open_issuer(
    settings: IssuerSettings, clock: Clock, stack: AsyncExitStack, kept: KeptKeys | None = None
) -> OidcIssuer:
    """Return the adapter of one issuer, whose keys are `kept`; nothing is asked of it yet."""
    door = await stack.enter_async_context(open_door(settings.ca_file))
    secret_file = settings.client_secret_file
    set_rule = settings.unclear_answer
    dialect = Dialect(
        url=settings.url,
        client_id=settings.client_id,
        client_secret=read_secret(secret_file, "client secret") if secret_file else None,
        audience_parameter=settings.audience_parameter,
        rule=Rule(UnclearRule(set_rule), settings.grace_seconds or 0.0) if set_rule else None,
        seconds=settings.seconds,
        refresh_seconds=settings.refresh_seconds,
        revoke_replaced=settings.revoke_replaced,
        exchanges=settings.exchange,
        proofs_only=settings.signed_by is not None,
    )
    return OidcIssuer(dialect, door, clock, kept)


def _enrolment(settings: IssuerSettings, issuer: OidcIssuer) -> Enrolment:
    roles = {name: ScopeSet.of(role.scopes) for name, role in settings.roles.items()}
    return Enrolment(issuer, settings.credkey_claim, roles)


def open_door(ca_file: Path | None) -> OutgoingHttp:
    """Return a way out that trusts the authorities in `ca_file`, or the system's."""
    try:
        return OutgoingHttp(str(ca_file) if ca_file is not None else None)
    except (OSError, ssl.SSLError):
        raise BadSettings(f"{ca_file}: this does not hold certificates (PEM).") from None
