"""Wires the broker's deeds together over their ports: the one place that knows who needs whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from credbroker.broker.containing import Containing
from credbroker.broker.custody.beating import Beating
from credbroker.broker.custody.claiming import Claiming
from credbroker.broker.custody.gate import Gates
from credbroker.broker.custody.handing_in import HandingIn
from credbroker.broker.custody.issuer_marks import IssuerMarks
from credbroker.broker.custody.outages import Outages, Watched
from credbroker.broker.custody.recovering import Recovering
from credbroker.broker.custody.refreshing import Custodians, Refreshing
from credbroker.broker.custody.replicas import Replicas
from credbroker.broker.custody.rewinding import Rewinding
from credbroker.broker.custody.sorting import Sorting
from credbroker.broker.custody.successors import Successors
from credbroker.broker.ending import Ending
from credbroker.broker.holding import HeldTokens
from credbroker.broker.issuing.bridging import BridgeBy, Bridging, Lookout
from credbroker.broker.keeper.clearing import Clearable, Cleared, Clearing
from credbroker.broker.keeper.keeping import Keeping
from credbroker.broker.known_grants import KnownGrants
from credbroker.broker.leasing import Leasing
from credbroker.broker.logins.enrolling import Enrolling
from credbroker.broker.logins.taking_in import Enrolment, TakingIn
from credbroker.broker.minting import Minting, MintingRules
from credbroker.broker.narrowing import Narrowing
from credbroker.broker.reaching import Reaching
from credbroker.broker.running import Means
from credbroker.broker.stepping import Stepping
from credbroker.domain.confirming import ConfirmedLogin
from credbroker.domain.device import PendingLogin
from credbroker.domain.grants import Grant
from credbroker.domain.keeping import KeepingRules
from credbroker.domain.leases import Lease
from credbroker.domain.marks import Heartbeat, IssuerCount, IssuerMark, RewindMark
from credbroker.domain.narrow import NarrowToken
from credbroker.domain.pacing import IssuerLimits
from credbroker.domain.revocations import Revocations
from credbroker.domain.robots import Robots
from credbroker.domain.rotation import Custody
from credbroker.domain.ssh_keys import SeenNonce, SshKeys
from credbroker.ports import HostMarks, Issuer, LocalMint, RecordStore, Spool


@dataclass(frozen=True, slots=True)
class Stores:
    """Everything that is kept, in Vault or on this host."""

    grants: RecordStore[Grant]
    leases: Clearable[Lease]
    logins: Clearable[PendingLogin]
    issuer_marks: RecordStore[IssuerMark]
    heartbeats: RecordStore[Heartbeat]
    rewind: RecordStore[RewindMark]
    spool: Spool
    host_marks: HostMarks
    revocations: RecordStore[Revocations]
    narrow: RecordStore[NarrowToken]
    confirmed: Clearable[ConfirmedLogin]
    ssh_keys: RecordStore[SshKeys]
    seen: Clearable[SeenNonce]
    robots: RecordStore[Robots]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say about the deeds; times in seconds."""

    minting: MintingRules
    limits: Mapping[str, IssuerLimits]
    custody: Custody
    keeping: KeepingRules
    login_seconds: float
    longest_job_seconds: float


@dataclass(frozen=True, slots=True)
class Engine:
    """All deeds of one replica."""

    containing: Containing
    leasing: Leasing
    stepping: Stepping
    taking_in: TakingIn
    enrolling: Enrolling
    minting: Minting
    reaching: Reaching
    claiming: Claiming
    refreshing: Refreshing
    ending: Ending
    replicas: Replicas
    marks: IssuerMarks
    gates: Gates
    rewinding: Rewinding
    sorting: Sorting
    keeping: Keeping
    recovering: Recovering
    beating: Beating
    outages: Outages
    clearing: Clearing
    held: HeldTokens


@dataclass(frozen=True, slots=True)
class _Guard:
    """What keeps refresh tokens safe, below the deeds that callers ask for."""

    grants: Watched[Grant]
    issuers: Mapping[str, Issuer]
    replicas: Replicas
    marks: IssuerMarks
    gates: Gates
    sorting: Sorting
    rewinding: Rewinding
    successors: Successors
    claiming: Claiming
    containing: Containing
    known: KnownGrants
    noted: Noted


class Noted:
    """Whoever stores a grant says so here, to all who listen."""

    def __init__(self) -> None:
        """Begin with nobody listening."""
        self.listeners: list[Callable[[Grant], None]] = []

    def __call__(self, grant: Grant) -> None:
        """Tell everybody that this record is stored."""
        for listener in self.listeners:
            listener(grant)


@dataclass(frozen=True, slots=True)
class SignedHere:
    """What is signed here for people, by the name of their issuer.

    `mints` sign all that the people of an issuer get; `bridges` sign while it is out.
    """

    mints: Mapping[str, LocalMint] = field(default_factory=dict)
    bridges: Mapping[str, BridgeBy] = field(default_factory=dict)


def assemble(
    stores: Stores,
    enrolments: Mapping[str, Enrolment],
    rules: Rules,
    means: Means,
    replica: str,
    *,
    containing: Containing | None = None,
    signed_here: SignedHere | None = None,
) -> Engine:
    """Return the deeds of the replica of this name, over these stores and issuers.

    `containing` is given where others go by it, too, as those do who sign what is `signed_here`.
    """
    issuers = {name: enrolment.issuer for name, enrolment in enrolments.items()}
    containing = containing or Containing(stores.revocations, means)
    signed_here = signed_here or SignedHere()
    guard = _guard(stores, issuers, rules, means, replica=replica, containing=containing)
    bridges = _bridges(guard, signed_here.bridges, means)
    served = _served(guard, stores, rules, signed_here.mints, bridges=bridges, means=means)
    leasing, minting, refreshing = served.leasing, served.minting, served.refreshing
    ending = Ending(
        guard.grants, refreshing, minting, leasing, means, issuers=issuers, noted=guard.noted
    )
    taking_in = TakingIn(guard.grants, enrolments, means, containing=containing, noted=guard.noted)
    enrolling = Enrolling(
        stores.logins, taking_in, leasing, means,
        rewinding=guard.rewinding, login_seconds=rules.login_seconds,
    )  # fmt: skip
    keeping = Keeping(
        guard.grants, refreshing, minting, ending, served.held,
        replicas=guard.replicas, rules=rules.keeping, means=means,
    )  # fmt: skip
    guard.noted.listeners.append(keeping.noted)
    return Engine(
        containing=containing,
        leasing=leasing,
        stepping=Stepping(stores.leases, leasing, containing, means),
        taking_in=taking_in,
        enrolling=enrolling,
        minting=minting,
        reaching=Reaching(guard.known, means.clock),
        claiming=guard.claiming,
        refreshing=refreshing,
        ending=ending,
        replicas=guard.replicas,
        marks=guard.marks,
        gates=guard.gates,
        rewinding=guard.rewinding,
        sorting=guard.sorting,
        keeping=keeping,
        recovering=Recovering(guard.gates, issuers, refreshing.refresh, keeping.candidates, means),
        beating=_beating(stores, guard, keeping, bridges, means=means),
        outages=guard.grants.outages,
        clearing=_clearing(stores, guard, means),
        held=served.held,
    )


@dataclass(frozen=True, slots=True)
class _Served:
    """What callers are served by: who they are, and what they get."""

    held: HeldTokens
    refreshing: Refreshing
    leasing: Leasing
    minting: Minting


def _served(
    guard: _Guard,
    stores: Stores,
    rules: Rules,
    mints: Mapping[str, LocalMint],
    *,
    bridges: Mapping[str, Bridging],
    means: Means,
) -> _Served:
    held, containing = HeldTokens(means.clock), guard.containing
    custodians = Custodians(guard.claiming, guard.successors, guard.gates, guard.marks, containing)
    renew_after = rules.minting.renew_after
    refreshing = Refreshing(
        guard.issuers, custodians, held, means, renew_after=renew_after, proofs_only=mints
    )
    longest = rules.longest_job_seconds
    leasing = Leasing(stores.leases, means, longest_job_seconds=longest, containing=containing)
    narrowing = Narrowing(
        guard.issuers,
        refreshing,
        guard.gates,
        held,
        means,
        shared=stores.narrow,
        renew_after=renew_after,
        mints=mints,
    )
    minting = Minting(
        guard.known,
        refreshing,
        held,
        rules.minting,
        means,
        leasing=leasing,
        narrowing=narrowing,
        bridges=bridges,
    )
    return _Served(held, refreshing, leasing, minting)


def _bridges(guard: _Guard, over: Mapping[str, BridgeBy], means: Means) -> Mapping[str, Bridging]:
    bridges = {
        name: Bridging(
            by,
            Lookout(name, guard.issuers[name], guard.gates[name], guard.replicas, guard.marks),
            guard.containing,
            means,
        )
        for name, by in over.items()
    }
    guard.noted.listeners += [one.noted for one in bridges.values()]
    return bridges


def _guard(
    stores: Stores,
    issuers: Mapping[str, Issuer],
    rules: Rules,
    means: Means,
    *,
    replica: str,
    containing: Containing,
) -> _Guard:
    outages, noted = Outages(means.clock), Noted()
    grants, rewind = Watched(stores.grants, outages), Watched(stores.rewind, outages)
    replicas = Replicas(stores.heartbeats, replica, means)
    marks = IssuerMarks(stores.issuer_marks, issuers, means, replica=replica)
    gates = Gates(issuers, rules.limits, replicas, marks, means)
    sorting = Sorting(
        grants, rewind, stores.host_marks, replicas, means, may_rotate=marks.may_rotate
    )
    rewinding = Rewinding(rewind, stores.host_marks, sorting, replicas, means)
    noted.listeners.append(rewinding.saw)
    successors = Successors(
        grants, issuers, stores.spool, marks, rewinding=rewinding, noted=noted, means=means
    )
    claiming = Claiming(
        grants,
        issuers,
        successors,
        marks,
        rules.custody,
        rewinding=rewinding,
        means=means,
        replica=replica,
    )
    return _Guard(
        grants,
        issuers,
        replicas,
        marks,
        gates,
        sorting,
        rewinding,
        successors,
        claiming,
        containing,
        KnownGrants(grants, containing, means.clock),
        noted,
    )


def _clearing(stores: Stores, guard: _Guard, means: Means) -> Clearing:
    cleared = Cleared(stores.leases, stores.logins, stores.confirmed, stores.seen)
    return Clearing(cleared, guard.replicas, means)


def _beating(
    stores: Stores,
    guard: _Guard,
    keeping: Keeping,
    bridges: Mapping[str, Bridging],
    *,
    means: Means,
) -> Beating:
    def counts() -> Mapping[str, IssuerCount]:
        return {
            name: replace(gate.counts(), horizon=keeping.horizon(name))
            for name, gate in guard.gates.items()
        }

    handing_in = HandingIn(stores.spool, guard.grants, guard.successors, means)
    return Beating(
        guard.replicas,
        guard.marks,
        guard.rewinding,
        handing_in,
        counts,
        clock=means.clock,
        more={f"bridge over {name}": one.look for name, one in bridges.items()},
    )
