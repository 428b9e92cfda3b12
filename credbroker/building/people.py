"""Opens what is signed here for people: by rules over their issuer's claims, and while it is out."""

from __future__ import annotations

from collections.abc import Iterator

from credbroker.broker.engine import SignedHere
from credbroker.broker.issuing.bridging import BridgeBy
from credbroker.broker.issuing.people import People
from credbroker.broker.running import Means
from credbroker.building.communities import Signer, Signers
from credbroker.config.communities import Bridge
from credbroker.config.rights import read_rights
from credbroker.config.schema import Settings
from credbroker.domain.bridging import BridgeLimits
from credbroker.domain.errors import BadSettings
from credbroker.ports import LocalMint


def signed_here(settings: Settings, signers: Signers, means: Means) -> SignedHere:
    """Return what signs for people, by the name of their issuer. Raises `BadSettings`."""
    bridges = {
        one.bridge.upstream: _bridge(name, one.bridge, signers.by_community[name])
        for name, one in settings.communities.items()
        if one.bridge is not None
    }
    return SignedHere(dict(_mints(settings, signers, means)), bridges)


def _mints(settings: Settings, signers: Signers, means: Means) -> Iterator[tuple[str, LocalMint]]:
    for name, issuer in settings.issuers.items():
        if issuer.signed_by is None:
            continue
        folder = settings.communities[issuer.signed_by].rights_folder
        if folder is None:
            raise BadSettings(
                f"communities.{issuer.signed_by}.rights_folder: this key is missing; the people of"
                f" {name!r} would have no rights."
            )
        signer = signers.by_community[issuer.signed_by]
        rights = read_rights(folder)
        yield name, People(signer.signing, rights, signer.lifetimes, means.audit)


def _bridge(community: str, bridge: Bridge, signer: Signer) -> BridgeBy:
    limits = BridgeLimits(
        frozenset(bridge.audiences),
        bridge.outage_seconds,
        bridge.longest_seconds,
        bridge.most_seconds,
        bridge.refreshed_within_seconds,
    )
    return BridgeBy(community, signer.signing, signer.lifetimes, limits)
