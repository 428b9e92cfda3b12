"""Wires together the deeds that only clients of an HTVault ask for, over the broker's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from credbroker.broker.custody.outages import Watched
from credbroker.broker.engine import Engine, Stores
from credbroker.broker.legacy import Legacy, LegacyServer
from credbroker.broker.logins.confirmed_logins import ConfirmedLogins
from credbroker.broker.logins.confirming import Confirming, ConfirmingRules
from credbroker.broker.logins.kerberos_logins import KerberosEntry, KerberosLogins
from credbroker.broker.logins.placing import Placing
from credbroker.broker.logins.remembering import Remembering
from credbroker.broker.logins.returning import Returning
from credbroker.broker.logins.ssh_logins import SshLogins
from credbroker.broker.logins.ssh_nonces import SshNonces
from credbroker.broker.logins.ssh_registering import SshRegistering
from credbroker.broker.logins.visiting import Visiting
from credbroker.broker.my_grants import MyGrants
from credbroker.broker.running import Means
from credbroker.domain.errors import CredbrokerError
from credbroker.domain.grants import Grant
from credbroker.ports import Clock, Issuer, LoginSeal, RecordStore, SshSignatures

EXPIRE_SECONDS = 60.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Proofs:
    """What logins are proved by, and the HTVaults that know vault tokens which are not ours."""

    seal: LoginSeal
    signatures: SshSignatures
    kerberos: Sequence[KerberosEntry] = ()
    legacy: Mapping[str, LegacyServer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HtvaultRules:
    """What the settings say: of logins through a browser, the roles by issuer, ssh keys."""

    confirming: ConfirmingRules
    roles: Mapping[str, Collection[str]]
    ssh_registration: bool


@dataclass(frozen=True, slots=True)
class Htvault:
    """Those deeds, of one replica."""

    confirming: Confirming
    returning: Returning
    placing: Placing
    kerberos: KerberosLogins
    ssh: SshLogins
    ssh_registering: SshRegistering
    visiting: Visiting
    my_grants: MyGrants
    legacy: Legacy
    clock: Clock

    async def expire_for_ever(self) -> None:
        """Revoke what waits for its place in vain, again and again."""
        while True:
            try:
                await self.placing.expire()
            except CredbrokerError as error:
                log.warning("waiting_logins_not_looked_through", why=error.sentence)
            await self.clock.sleep(EXPIRE_SECONDS)


def assemble(
    engine: Engine,
    stores: Stores,
    issuers: Mapping[str, Issuer],
    *,
    proofs: Proofs,
    rules: HtvaultRules,
    means: Means,
) -> Htvault:
    """Return these deeds over the stores and the `engine` of the same replica."""
    grants, login_seconds = Watched(stores.grants, engine.outages), rules.confirming.login_seconds
    remembering = Remembering(stores.robots)
    placing = _placing(engine, stores, grants, remembering, means)
    logins = ConfirmedLogins(stores.confirmed, means, rewinding=engine.rewinding)
    returning = Returning(
        logins,
        engine.taking_in,
        placing,
        means,
        seal=proofs.seal,
        public_url=rules.confirming.public_url,
    )
    ssh_registering = SshRegistering(
        stores.ssh_keys, means, issuers=issuers, allowed=rules.ssh_registration
    )
    return Htvault(
        confirming=Confirming(
            logins,
            engine.taking_in,
            engine.leasing,
            returning,
            means,
            seal=proofs.seal,
            gates=engine.gates,
            rules=rules.confirming,
        ),
        returning=returning,
        placing=placing,
        kerberos=KerberosLogins(
            proofs.kerberos, rules.roles, grants, engine.leasing, means, login_seconds=login_seconds
        ),
        ssh=_ssh(stores, engine, proofs, means, login_seconds),
        ssh_registering=ssh_registering,
        visiting=_visiting(engine, returning, proofs, rules, means),
        my_grants=MyGrants(
            grants,
            means,
            roles=rules.roles,
            leasing=engine.leasing,
            ending=engine.ending,
            ssh_registering=ssh_registering,
            remembering=remembering,
            judge=engine.containing.judge,
        ),
        legacy=Legacy(proofs.legacy, means.audit, means.clock),
        clock=means.clock,
    )


def _ssh(
    stores: Stores, engine: Engine, proofs: Proofs, means: Means, login_seconds: float
) -> SshLogins:
    return SshLogins(
        stores.ssh_keys,
        stores.grants,
        engine.leasing,
        SshNonces(stores.seen, proofs.seal, means),
        means,
        signatures=proofs.signatures,
        login_seconds=login_seconds,
    )


def _placing(
    engine: Engine,
    stores: Stores,
    grants: RecordStore[Grant],
    remembering: Remembering,
    means: Means,
) -> Placing:
    return Placing(
        stores.confirmed,
        grants,
        engine.taking_in,
        means,
        rewinding=engine.rewinding,
        replicas=engine.replicas,
        remembering=remembering,
    )


def _visiting(
    engine: Engine, returning: Returning, proofs: Proofs, rules: HtvaultRules, means: Means
) -> Visiting:
    return Visiting(
        engine.taking_in,
        means,
        seal=proofs.seal,
        back_to=returning.back_to,
        issuers=[one for one in rules.roles if one not in rules.confirming.by_device],
        containing=engine.containing,
    )
