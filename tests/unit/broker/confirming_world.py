"""Logins of Vault clients, their persons' browsers, and replicas that share one store and one key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from credbroker.broker.leasing import Caller
from credbroker.broker.logins.confirmed_logins import ConfirmedLogins
from credbroker.broker.logins.confirming import (
    Begun,
    Confirmed,
    Confirming,
    ConfirmingRules,
    LoggedIn,
)
from credbroker.broker.logins.placing import Placing
from credbroker.broker.logins.remembering import Remembering
from credbroker.broker.logins.returning import Returning
from credbroker.broker.logins.taking_in import Enrolment, TakingIn
from credbroker.broker.running import Deeds, Means
from credbroker.domain.confirming import CameBack, ConfirmedLogin
from credbroker.domain.grants import Grant
from credbroker.domain.names import GrantKey
from credbroker.domain.secret import Secret
from credbroker.stores.login_seal import AesLoginSeal
from credbroker.wire.confirmed import read_asked
from tests.fakes.store import MemoryRecords
from tests.unit.broker.world import GRANTED, ISSUER, ORIGIN, ROLE, Replica, World

PUBLIC = "https://broker.test"
NONCE = "n" * 43
ADA = {"sub": "sub-ada", "wlcg.credkey": "ada"}
LOGIN_SECONDS = 28 * 86400.0
SEAL = AesLoginSeal(Secret("login key", "A" * 43))


@dataclass(frozen=True)
class Side:
    """What one replica does for such logins."""

    replica: Replica
    confirming: Confirming
    returning: Returning
    placing: Placing


@dataclass
class ConfirmingWorld:
    """A world in which people log in through Vault clients."""

    world: World = field(default_factory=World)
    by_device: bool = False
    records: MemoryRecords[ConfirmedLogin] = field(init=False)

    def __post_init__(self) -> None:
        """Begin without a login."""
        self.records = MemoryRecords(self.world.clock)

    def side(self, name: str = "replica-1") -> Side:
        """Start one more replica."""
        world, replica = self.world, self.world.replica(name)
        engine, deeds = replica.engine, Deeds(world.clock)
        means = Means(world.audit, world.clock, world.entropy, deeds, world.waypoints)
        enrolments = {ISSUER: Enrolment(world.issuer, "wlcg.credkey", {ROLE: GRANTED})}
        taking_in = TakingIn(
            world.grants, enrolments, means, containing=engine.containing, noted=lambda _: None
        )
        placing = Placing(
            self.records, world.grants, taking_in, means,
            rewinding=engine.rewinding, replicas=engine.replicas,
            remembering=Remembering(world.robots),
        )  # fmt: skip
        logins = ConfirmedLogins(self.records, means, rewinding=engine.rewinding)
        returning = Returning(logins, taking_in, placing, means, seal=SEAL, public_url=PUBLIC)
        rules = ConfirmingRules(
            PUBLIC, frozenset({ISSUER} if self.by_device else ()), LOGIN_SECONDS
        )
        confirming = Confirming(
            logins, taking_in, engine.leasing, returning, means,
            seal=SEAL, gates=engine.gates, rules=rules,
        )  # fmt: skip
        return Side(replica, confirming, returning, placing)

    async def begin(self, side: Side) -> Login:
        """Begin a login as htgettoken does."""
        return Login(self, side, await side.confirming.begin(ISSUER, ROLE, NONCE, ORIGIN))

    @property
    def writes(self) -> int:
        """How often anything was written."""
        world = self.world
        return sum(len(one.history) for one in (self.records, world.grants, world.leases))


@dataclass
class Login:
    """One login, from the first request to the last."""

    around: ConfirmingWorld
    side: Side
    begun: Begun
    cookie: str = ""

    @property
    def id(self) -> str:
        """Its id, which only the broker reads from the sealed state."""
        return read_asked(SEAL.open("login", self.begun.state)).id

    @property
    def record(self) -> ConfirmedLogin:
        """Its record as it is stored now."""
        return self.around.records.newest(self.id)

    def waits(self) -> bool:
        """True while a grant waits in its record."""
        return self.record.pending is not None

    async def confirm(self, code: str | None = None, side: Side | None = None) -> Confirmed:
        """Enter a code, by default the right one."""
        confirming = (side or self.side).confirming
        shown = self.begun.user_code if code is None else code
        confirmed = await confirming.confirm(self.begun.state, shown, ORIGIN)
        self.cookie = confirmed.cookie
        return confirmed

    async def come_back(
        self,
        code: str | None,
        side: Side | None = None,
        cookie: str | None = None,
        *,
        issuer: str = ISSUER,
        iss: str = "",
    ) -> str:
        """Come back with this code from the issuer, which says itself that it is `iss`."""
        shown = Secret("authorization code", code) if code is not None else None
        known = self.cookie if cookie is None else cookie
        answer = CameBack(self.id, shown, issuer, iss)
        return await (side or self.side).returning.returned(answer, known, ORIGIN)

    async def log_in(self, claims: Mapping[str, object] = ADA, side: Side | None = None) -> str:
        """Do all that a browser does."""
        confirmed = await self.confirm(side=side)
        code = self.around.world.issuer.log_in(confirmed.go_to, claims)
        return await self.come_back(code, side)

    async def poll(self, side: Side | None = None, nonce: str = NONCE) -> LoggedIn | None:
        """Poll once."""
        return await (side or self.side).confirming.poll(self.begun.state, nonce, ORIGIN)

    async def leased(self, claims: Mapping[str, object] = ADA) -> LoggedIn:
        """Do all that a browser does, and poll."""
        await self.log_in(claims)
        found = await self.poll()
        assert found is not None
        return found

    async def place(self, found: LoggedIn, credkey: str = "ada", side: Side | None = None) -> Grant:
        """Store the handle as the client does; return the grant that is there now."""
        key = GrantKey(ISSUER, credkey, ROLE)
        placing = (side or self.side).placing
        await placing.place(Caller(found.lease, ORIGIN), key, found.handle)
        return self.around.world.grants.newest(key.segment())
