"""Wires the broker's deeds together over their ports: the one place that knows who needs whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from credbroker.broker.beating import Beating
from credbroker.broker.claiming import Claiming
from credbroker.broker.ending import Ending
from credbroker.broker.enrolling import Enrolling, Enrolment
from credbroker.broker.gate import Gates
from credbroker.broker.handing_in import HandingIn
from credbroker.broker.holding import HeldTokens
from credbroker.broker.issuer_marks import IssuerMarks
from credbroker.broker.keeping import Keeping
from credbroker.broker.leasing import Leasing
from credbroker.broker.minting import Minting, MintingRules
from credbroker.broker.outages import Outages, Watched
from credbroker.broker.recovering import Recovering
from credbroker.broker.refreshing import Custodians, Refreshing
from credbroker.broker.replicas import Replicas
from credbroker.broker.rewinding import Rewinding
from credbroker.broker.running import Means
from credbroker.broker.sorting import Sorting
from credbroker.broker.successors import Successors
from credbroker.domain.device import PendingLogin
from credbroker.domain.grants import Grant
from credbroker.domain.keeping import KeepingRules
from credbroker.domain.leases import Lease
from credbroker.domain.marks import Heartbeat, IssuerCount, IssuerMark, RewindMark
from credbroker.domain.pacing import IssuerLimits
from credbroker.domain.rotation import Custody
from credbroker.ports import HostMarks, RecordStore, Spool


@dataclass(frozen=True, slots=True)
class Stores:
    """Everything that is kept, in Vault or on this host."""

    grants: RecordStore[Grant]
    leases: RecordStore[Lease]
    logins: RecordStore[PendingLogin]
    issuer_marks: RecordStore[IssuerMark]
    heartbeats: RecordStore[Heartbeat]
    rewind: RecordStore[RewindMark]
    spool: Spool
    host_marks: HostMarks


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

    leasing: Leasing
    enrolling: Enrolling
    minting: Minting
    claiming: Claiming
    refreshing: Refreshing
    ending: Ending
    replicas: Replicas
    marks: IssuerMarks
    gates: Gates
    rewinding: Rewinding
    sorting: Sorting
    handing_in: HandingIn
    keeping: Keeping
    recovering: Recovering
    beating: Beating


def assemble(
    stores: Stores, enrolments: Mapping[str, Enrolment], rules: Rules, means: Means, replica: str
) -> Engine:
    """Return the deeds of the replica of this name, over these stores and issuers."""
    issuers = {name: enrolment.issuer for name, enrolment in enrolments.items()}
    outages = Outages(means.clock)
    grants, rewind = Watched(stores.grants, outages), Watched(stores.rewind, outages)
    held = HeldTokens(means.clock)
    replicas = Replicas(stores.heartbeats, replica, means)
    marks = IssuerMarks(stores.issuer_marks, issuers, means, replica=replica)
    sorting = Sorting(
        grants,
        rewind,
        stores.host_marks,
        replicas,
        means,
        may_rotate=marks.may_rotate,
    )
    rewinding = Rewinding(rewind, stores.host_marks, sorting, replicas, means)
    gates = Gates(issuers, rules.limits, replicas, marks, means)
    # Whoever stores a grant says so here; the keeper, which comes last, listens too.
    listeners = [rewinding.saw]

    def noted(grant: Grant) -> None:
        for listener in listeners:
            listener(grant)

    successors = Successors(grants, issuers, stores.spool, marks, noted=noted, means=means)
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
    custodians = Custodians(claiming, successors, gates, marks)
    refreshing = Refreshing(issuers, custodians, held, means)
    minting = Minting(grants, refreshing, held, rules.minting, means)
    leasing = Leasing(stores.leases, means, longest_job_seconds=rules.longest_job_seconds)
    ending = Ending(grants, refreshing, minting, leasing, means, noted=noted)
    keeping = Keeping(
        grants,
        refreshing,
        minting,
        ending,
        held,
        replicas=replicas,
        rules=rules.keeping,
        means=means,
    )
    listeners.append(keeping.noted)
    recovering = Recovering(gates, issuers, refreshing.refresh, keeping.candidates, means)

    def counts() -> Mapping[str, IssuerCount]:
        return {
            name: replace(gates.of(name).counts(), horizon=keeping.horizon(name))
            for name in issuers
        }

    handing_in = HandingIn(stores.spool, grants, successors, means)
    return Engine(
        leasing=leasing,
        enrolling=Enrolling(
            stores.logins,
            grants,
            leasing,
            enrolments,
            means,
            rewinding=rewinding,
            noted=noted,
            login_seconds=rules.login_seconds,
        ),
        minting=minting,
        claiming=claiming,
        refreshing=refreshing,
        ending=ending,
        replicas=replicas,
        marks=marks,
        gates=gates,
        rewinding=rewinding,
        sorting=sorting,
        handing_in=handing_in,
        keeping=keeping,
        recovering=recovering,
        beating=Beating(replicas, marks, rewinding, handing_in, counts, clock=means.clock),
    )
