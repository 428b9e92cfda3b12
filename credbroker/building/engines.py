"""Wires the deeds of one replica, as the settings say, over what was opened."""

from __future__ import annotations

from credbroker.broker.deliveries.deeds import Deliveries
from credbroker.broker.deliveries.deeds import assemble as assemble_deliveries
from credbroker.broker.deliveries.hosting import HostRules
from credbroker.broker.engine import Engine, Rules, assemble
from credbroker.broker.htvault import Htvault, HtvaultRules
from credbroker.broker.htvault import assemble as assemble_htvault
from credbroker.broker.logins.confirming import ConfirmingRules
from credbroker.broker.minting import MintingRules
from credbroker.broker.responding import Responding
from credbroker.broker.running import Means
from credbroker.building.communities import Signers, signed_for_people
from credbroker.building.opening import Opened
from credbroker.config.schema import Settings
from credbroker.domain.hosts import check_host_pattern
from credbroker.domain.keeping import KeepingRules
from credbroker.domain.pacing import IssuerLimits
from credbroker.domain.rotation import Custody
from credbroker.issuers.host_signatures import HostSignatures


def build_engine(
    settings: Settings, opened: Opened, means: Means, replica: str, signers: Signers | None = None
) -> Engine:
    """Return the deeds of one replica, over what was opened; `signers` go by the same revocations."""
    return assemble(
        opened.stores,
        opened.enrolments,
        rules_of(settings),
        means,
        replica,
        containing=signers.containing if signers is not None else None,
        signed_here=signed_for_people(settings, signers, means) if signers is not None else None,
    )


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
        rules=HostRules(
            settings.public_url, _patterns(hosts.names), groups, port=settings.listen.port
        ),
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
