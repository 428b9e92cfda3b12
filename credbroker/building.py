"""Builds a broker from its settings: opens the stores and issuers they name, and wires the deeds.

The only place that knows every adapter. `daemon` runs what is built here, `admin` uses parts of it.
"""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from credbroker.broker.custody.replicas import name_segment
from credbroker.broker.deliveries.clearing import DeliveryStores
from credbroker.broker.deliveries.deeds import Deliveries
from credbroker.broker.deliveries.deeds import assemble as assemble_deliveries
from credbroker.broker.deliveries.hosting import HostRules
from credbroker.broker.engine import Engine, Rules, Stores, assemble
from credbroker.broker.htvault import Htvault, HtvaultRules, Proofs
from credbroker.broker.htvault import assemble as assemble_htvault
from credbroker.broker.legacy import LegacyServer
from credbroker.broker.logins.confirming import ConfirmingRules
from credbroker.broker.logins.kerberos_logins import KerberosEntry
from credbroker.broker.logins.taking_in import Enrolment
from credbroker.broker.minting import MintingRules
from credbroker.broker.responding import Responding
from credbroker.broker.running import Means
from credbroker.config.load import check_private, read_secret
from credbroker.config.schema import Hosts, Listen, Settings
from credbroker.config.schema import Issuer as IssuerSettings
from credbroker.config.schema import Kerberos as KerberosSettings
from credbroker.config.schema import Vault as VaultSettings
from credbroker.domain.errors import BadSettings
from credbroker.domain.hosts import check_host_pattern
from credbroker.domain.keeping import KeepingRules
from credbroker.domain.pacing import IssuerLimits
from credbroker.domain.principals import PrincipalRules
from credbroker.domain.rotation import Custody, Rule, UnclearRule
from credbroker.domain.scopes import ScopeSet
from credbroker.host.http import OutgoingHttp
from credbroker.host.kerberos import GssAcceptor
from credbroker.issuers.host_signatures import HostSignatures
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


def build_engine(settings: Settings, opened: Opened, means: Means, replica: str) -> Engine:
    """Return the deeds of one replica, over what was opened."""
    return assemble(opened.stores, opened.enrolments, rules_of(settings), means, replica)


def build_htvault(settings: Settings, opened: Opened, engine: Engine, means: Means) -> Htvault:
    """Return the deeds that stand in for an HTVault, over the `engine` of the same replica."""
    issuers = {name: enrolment.issuer for name, enrolment in opened.enrolments.items()}
    rules = HtvaultRules(
        ConfirmingRules(
            settings.public_url,
            frozenset(name for name, one in settings.issuers.items() if one.confirm == "device"),
            settings.leases.login_seconds,
        ),
        {name: tuple(one.roles) for name, one in settings.issuers.items()},
        settings.ssh.registration,
    )
    return assemble_htvault(
        engine, opened.stores, issuers, proofs=opened.proofs, rules=rules, means=means
    )


def build_deliveries(
    settings: Settings, opened: Opened, engine: Engine, means: Means
) -> Deliveries:
    """Return the deeds of hosts and standing orders, over the `engine` of the same replica."""
    hosts = settings.hosts
    groups = {name: _patterns(one) for name, one in hosts.groups.items()}
    return assemble_deliveries(
        engine,
        opened.deliveries,
        means,
        signatures=HostSignatures(),
        rules=HostRules(settings.public_url, _patterns(hosts.names), groups),
        roles={name: tuple(one.roles) for name, one in settings.issuers.items()},
    )


def _patterns(texts: list[str]) -> tuple[str, ...]:
    return tuple(map(check_host_pattern, texts))


def build_responding(
    settings: Settings, opened: Opened, engine: Engine, means: Means
) -> Responding:
    """Return what the operators whom the settings name may do, over the `engine` of the replica."""
    return Responding(
        engine.containing,
        engine.leasing,
        opened.stores.leases,
        means,
        operators=[(one.issuer, one.subject) for one in settings.operators],
        issuers=settings.issuers,
    )


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
    )
    return OidcIssuer(dialect, door, clock, kept)


def open_door(ca_file: Path | None) -> OutgoingHttp:
    """Return a way out that trusts the authorities in `ca_file`, or the system's."""
    try:
        return OutgoingHttp(str(ca_file) if ca_file is not None else None)
    except (OSError, ssl.SSLError):
        raise BadSettings(f"{ca_file}: this does not hold certificates (PEM).") from None


def server_tls(listen: Listen, hosts: Hosts) -> ssl.SSLContext | None:
    """Return what the broker shows its callers; None where the settings want no TLS.

    With authorities for `hosts`, callers may show a certificate of theirs; nobody must.
    """
    if listen.tls is None:
        return None
    check_private(listen.tls.key_file, "TLS key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(listen.tls.certificate_file, listen.tls.key_file)
    except (OSError, ssl.SSLError):
        raise BadSettings(
            f"{listen.tls.certificate_file}: this certificate and its key do not work together."
        ) from None
    if hosts.ca_file is not None:
        _trust(context, hosts.ca_file)
    return context


def _trust(context: ssl.SSLContext, ca_file: Path) -> None:
    try:
        context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError):
        raise BadSettings(f"{ca_file}: this does not hold certificates (PEM).") from None
    context.verify_mode = ssl.CERT_OPTIONAL


def rules_of(settings: Settings) -> Rules:
    """Return what the settings say about the deeds."""
    custody, keeper = settings.custody, settings.keeper
    return Rules(
        minting=_minting_rules(settings),
        limits={
            name: IssuerLimits(one.refreshes_per_second, one.refreshes_at_once)
            for name, one in settings.issuers.items()
        },
        custody=Custody(
            custody.store_seconds,
            custody.margin_seconds,
            custody.spools_first_seconds,
            custody.paused_seconds,
        ),
        keeping=KeepingRules(
            idle_refresh_seconds=keeper.idle_refresh_seconds,
            dormant_seconds=keeper.dormant_seconds,
            warn_seconds=keeper.warn_seconds,
        ),
        login_seconds=settings.leases.login_seconds,
        longest_job_seconds=settings.leases.job_seconds,
    )


def _enrolment(settings: IssuerSettings, issuer: OidcIssuer) -> Enrolment:
    roles = {name: ScopeSet.of(role.scopes) for name, role in settings.roles.items()}
    return Enrolment(issuer, settings.credkey_claim, roles)


def _minting_rules(settings: Settings) -> MintingRules:
    audiences = {
        (name, role_name): tuple(role.audiences)
        for name, issuer in settings.issuers.items()
        for role_name, role in issuer.roles.items()
    }
    only_one = frozenset(
        at for at in audiences if settings.issuers[at[0]].audience_parameter == "resource"
    )
    return MintingRules(audiences, settings.tokens.renew_after, only_one)
