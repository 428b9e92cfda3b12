"""Opens what the settings name: Vault and what it keeps, the issuers, proofs, this host's folders."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
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
from credbroker.ports import Clock, Entropy, HttpDoor, LoginSeal
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
from credbroker.stores.vault import VaultClient
from credbroker.stores.vault_logins import AppRoleLogin, KubernetesLogin, Login
from credbroker.telemetry.outgoing import Outgoing

Watched = Callable[[HttpDoor], HttpDoor]
"""Puts a watcher before a door."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Vault, this host's folders, and what is kept there: all that outlives a change of settings."""

    vault: VaultClient
    stores: Stores
    deliveries: DeliveryStores
    seal: LoginSeal


@dataclass(frozen=True, slots=True)
class Opened:
    """What the settings name, opened and checked."""

    vault: VaultClient
    stores: Stores
    enrolments: dict[str, Enrolment]
    proofs: Proofs
    deliveries: DeliveryStores


async def open_kept(
    settings: Settings,
    replica: str,
    clock: Clock,
    entropy: Entropy,
    stack: AsyncExitStack,
    *,
    outgoing: Outgoing,
) -> Kept:
    """Log in to Vault, and open what is kept there and on this host; all is closed with `stack`.

    What goes out to OpenBao/Vault is watched by `outgoing`.
    Raises `Misconfigured` or `StoreUnavailable` kinds.
    """
    vault = await open_vault(settings.vault, clock, entropy, stack, watched=outgoing.to_vault)
    stores = await open_stores(settings, vault, replica, stack)
    seal = await open_login_seal(login_key_records(vault, settings.vault.mount))
    return Kept(vault, stores, _delivery_stores(settings, vault), seal)


async def open_all(
    settings: Settings, kept: Kept, clock: Clock, stack: AsyncExitStack, *, outgoing: Outgoing
) -> Opened:
    """Open everything else that `settings` name, and check it; it is closed with `stack`.

    What goes out to issuers is watched by `outgoing`. Raises `Misconfigured` kinds.
    """
    published = published_key_records(kept.vault, settings.vault.mount)
    enrolments = {
        name: _enrolment(
            one,
            await open_issuer(
                one,
                clock,
                stack,
                KeptKeys(published, f"keys-{name_segment(name)}", one.url),
                watched=partial(outgoing.to_issuer, name),
            ),
            keeps_mail=settings.notify.mail is not None,
        )
        for name, one in settings.issuers.items()
    }
    proofs = await _open_proofs(settings, kept.seal, stack)
    return Opened(kept.vault, kept.stores, enrolments, proofs, kept.deliveries)


async def open_vault(
    settings: VaultSettings,
    clock: Clock,
    entropy: Entropy,
    stack: AsyncExitStack,
    *,
    watched: Watched = lambda door: door,
) -> VaultClient:
    """Return a client that is logged in, to a mount that is fit."""
    door = watched(await stack.enter_async_context(open_door(settings.ca_file)))
    vault = VaultClient(
        door,
        settings.addresses,
        _login(settings),
        clock=clock,
        entropy=entropy,
        seconds=settings.seconds,
    )
    await vault.log_in()
    await check_mount(vault, settings.mount)
    return vault


def _login(settings: VaultSettings) -> Login:
    approle, kubernetes = settings.approle, settings.kubernetes
    if approle is not None:
        return AppRoleLogin(
            approle.mount,
            lambda: read_secret(approle.role_id_file, "AppRole role id"),
            lambda: read_secret(approle.secret_id_file, "AppRole secret id"),
        )
    assert kubernetes is not None, "settings name one of the two"
    return KubernetesLogin(
        kubernetes.mount,
        kubernetes.role,
        lambda: read_secret(kubernetes.token_file, "service account's token"),
    )


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


async def _open_proofs(settings: Settings, seal: LoginSeal, stack: AsyncExitStack) -> Proofs:
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
    settings: IssuerSettings,
    clock: Clock,
    stack: AsyncExitStack,
    kept: KeptKeys | None = None,
    *,
    watched: Watched = lambda door: door,
) -> OidcIssuer:
    """Return the adapter of one issuer, whose keys are `kept`; nothing is asked of it yet."""
    door = watched(await stack.enter_async_context(open_door(settings.ca_file)))
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


def _enrolment(settings: IssuerSettings, issuer: OidcIssuer, *, keeps_mail: bool) -> Enrolment:
    roles = {name: ScopeSet.of(role.scopes) for name, role in settings.roles.items()}
    return Enrolment(issuer, settings.credkey_claim, roles, keeps_mail)


def open_door(ca_file: Path | None) -> OutgoingHttp:
    """Return a way out that trusts the authorities in `ca_file`, or the system's."""
    try:
        return OutgoingHttp(str(ca_file) if ca_file is not None else None)
    except (OSError, ssl.SSLError):
        raise BadSettings(f"{ca_file}: this does not hold certificates (PEM).") from None
