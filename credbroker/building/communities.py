"""Opens the issuers that the broker itself is, one for each community of the settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from credbroker.broker.containing import Containing
from credbroker.broker.engine import Engine, SignedHere
from credbroker.broker.issuing.bridging import BridgeBy
from credbroker.broker.issuing.clearing import IssuedClearing
from credbroker.broker.issuing.clients import Clients, client_of
from credbroker.broker.issuing.communities import CommunityIssuer
from credbroker.broker.issuing.files import FilesSigning
from credbroker.broker.issuing.granting import Granting
from credbroker.broker.issuing.keyring import Keyring
from credbroker.broker.issuing.offline import Offlines
from credbroker.broker.issuing.people import People
from credbroker.broker.issuing.revoking import Revoking
from credbroker.broker.issuing.signing import Signing, algorithms
from credbroker.broker.running import Means
from credbroker.building.opening import Opened
from credbroker.config.communities import Bridge, Community, ServiceClient
from credbroker.config.load import read_secret
from credbroker.config.rights import read_rights
from credbroker.config.schema import Settings
from credbroker.domain.bridging import BridgeLimits
from credbroker.domain.clients import Client
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.rights import Rights
from credbroker.domain.secret import Secret
from credbroker.domain.signing_keys import KeyRules
from credbroker.issuers.signers import OwnKeysmith
from credbroker.stores.records import issued_records, signing_key_records
from credbroker.stores.transit import TransitKeys

Lasting = Mapping[str, Callable[[], Coroutine[Any, Any, None]]]


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs for one community, and for how long at the most."""

    signing: Signing
    keyring: Keyring
    lifetimes: LifetimeTable


@dataclass(frozen=True, slots=True)
class Signers:
    """Who signs for each community, and the revocations that all of them go by."""

    containing: Containing
    by_community: Mapping[str, Signer]

    def troubles(self) -> list[str]:
        """Return what another replica may do better for now, in sentences."""
        return [one for signer in self.by_community.values() for one in signer.keyring.troubles()]


async def open_signers(
    settings: Settings, opened: Opened, means: Means, stack: AsyncExitStack
) -> Signers:
    """Return who signs for each community, with keys that are read and, if due, made.

    Raises `Misconfigured` or `StoreUnavailable` kinds.
    """
    containing = Containing(opened.stores.revocations, means)
    by_community = {}
    for name, one in settings.communities.items():
        keyring = _keyring(name, one, opened, mount=settings.vault.mount, means=means, stack=stack)
        await keyring.open()
        by_audience = {at: particular.algorithm for at, particular in one.audiences.items()}
        choose = algorithms(one.algorithm, by_audience)
        signing = Signing(one.url, keyring, containing, means, choose, services=one.clients)
        by_community[name] = Signer(signing, keyring, LifetimeTable.of(one.lifetimes))
    return Signers(containing, by_community)


def _keyring(
    name: str, community: Community, opened: Opened, *, mount: str, means: Means,
    stack: AsyncExitStack,
) -> Keyring:  # fmt: skip
    keys, vault = community.keys, opened.vault
    remote = TransitKeys(vault, keys.transit, means.entropy) if keys.transit else None
    keysmith = OwnKeysmith(keys.threads, remote)
    stack.callback(keysmith.close)
    rows = LifetimeTable.of(community.lifetimes).rows.values()
    longest = max(row.most for row in rows)
    return Keyring(
        signing_key_records(vault, mount),
        name,
        community.url,
        keysmith=keysmith,
        rules=KeyRules(keys.announce_seconds, keys.use_seconds, longest),
        means=means,
    )


def signed_for_people(settings: Settings, signers: Signers, means: Means) -> SignedHere:
    """Return what is signed here for people, by the name of their own issuer.

    Raises `BadSettings` for rules that cannot be read.
    """
    mints = {
        name: _people(one.signed_by, settings.communities[one.signed_by], signers, means)
        for name, one in settings.issuers.items()
        if one.signed_by is not None
    }
    bridges = {
        one.bridge.upstream: _bridge(name, one, one.bridge, signers.by_community[name])
        for name, one in settings.communities.items()
        if one.bridge is not None
    }
    return SignedHere(mints, bridges)


def _people(name: str, community: Community, signers: Signers, means: Means) -> People:
    signer = signers.by_community[name]
    folder = community.rights_folder
    rights = read_rights(folder) if folder is not None else Rights(())
    is_ended = partial(signers.containing.ends_signed, name)
    return People(signer.signing, rights, signer.lifetimes, means.audit, is_ended=is_ended)


def _bridge(name: str, community: Community, bridge: Bridge, signer: Signer) -> BridgeBy:
    limits = BridgeLimits(
        frozenset(bridge.audiences),
        bridge.outage_seconds,
        bridge.longest_seconds,
        bridge.most_seconds,
        bridge.refreshed_within_seconds,
        frozenset(community.clients),
    )
    return BridgeBy(name, signer.signing, signer.lifetimes, limits)


def build_communities(
    settings: Settings, opened: Opened, engine: Engine, signers: Signers, means: Means
) -> list[CommunityIssuer]:
    """Return the issuers that the broker is, over the `engine` of the same replica."""
    return [
        _community(
            name, settings, opened, engine=engine, signer=signers.by_community[name], means=means
        )
        for name in settings.communities
    ]


def build_verifiers(
    opened: Opened, signers: Signers
) -> dict[str, Callable[[Secret], Awaitable[object]]]:
    """Return by its issuer string what verifies a token of each issuer, the broker's own among them."""
    upstream = (one.issuer for one in opened.enrolments.values())
    own = (one.signing for one in signers.by_community.values())
    return {
        **{issuer.url: issuer.verify_access_token for issuer in upstream},
        **{signing.url: signing.verify for signing in own},
    }


def lasting_of(
    settings: Settings, opened: Opened, engine: Engine, signers: Signers, means: Means
) -> Lasting:
    """Return what runs for as long as the process does: reading keys, clearing what is over."""
    running = {
        f"keys of {name}": signer.keyring.run for name, signer in signers.by_community.items()
    }
    if not running:
        return {}
    issued = issued_records(opened.vault, settings.vault.mount)
    clearing = IssuedClearing(issued, engine.replicas, means)
    return {**running, "clearing issued refresh tokens": clearing.run}


def _community(
    name: str, settings: Settings, opened: Opened, *, engine: Engine, signer: Signer, means: Means
) -> CommunityIssuer:
    containing, signing = engine.containing, signer.signing
    records = issued_records(opened.vault, settings.vault.mount)
    offlines = Offlines(name, records, opened.proofs.seal, containing, means)
    granting = Granting(
        name,
        Clients(_clients(settings.communities[name].clients)),
        signer.lifetimes,
        signing,
        offlines,
        containing=containing,
        means=means,
    )
    return CommunityIssuer(
        name,
        signing,
        granting,
        Revoking(name, signing, offlines, containing, means),
        FilesSigning(
            signing,
            signer.lifetimes,
            means.audit,
            lambda client_id: containing.judge_client(name, client_id),
        ),
    )


def _clients(clients: Mapping[str, ServiceClient]) -> dict[str, Client]:
    return {
        name: client_of(
            name, one, read_secret(one.secret_file, "client secret") if one.secret_file else None
        )
        for name, one in clients.items()
    }
