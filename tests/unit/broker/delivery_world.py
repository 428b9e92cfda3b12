"""Hosts, people and their orders, over the usual world: at as many replicas as a story needs."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.memory import BytesInMemory
from credbroker.broker.deliveries.clearing import DeliveryStores
from credbroker.broker.deliveries.deeds import Deliveries, assemble
from credbroker.broker.deliveries.hosting import HostRules, KnownHost
from credbroker.broker.deliveries.joining import invite
from credbroker.broker.leasing import Caller, Origin
from credbroker.broker.running import Means
from credbroker.domain.deliveries import Announced, Delivery, HostLease, Ordered, Shown, Target
from credbroker.domain.errors import Malformed, NotAllowed
from credbroker.domain.hosts import Host, HostCertificate, HostSession
from credbroker.domain.secret import Secret
from credbroker.wire import hosts as wire
from tests.fakes.store import MemoryRecords
from tests.unit.broker.world import ISSUER, ORIGIN, ROLE, Replica, World
from tests.unit.things import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

PUBLIC = "https://broker.example.org"
LX1, LX2, DB1 = "lx1.example.org", "lx2.example.org", "db1.example.org"
LX = Target("lx", is_group=True)
RULES = HostRules(PUBLIC, ("*.example.org",), {"lx": ("lx*.example.org",)}, port=8200)


class SignedByName:
    """Takes what begins with a key's name for signed by it. Follows `joining.Signatures`."""

    claims: Mapping[str, object]

    def __init__(self) -> None:
        """Have signed nothing yet."""
        self.claims = {}

    def read_key(self, pem: str) -> str:
        """Return it, unless it is nothing."""
        if not pem:
            raise Malformed("The host's public key must be PEM.")
        return pem

    def signed_by(self, pem: str, assertion: Secret) -> Mapping[str, object]:
        """Return the claims that the test set, if the assertion is of this key."""
        if self.claims.get("key") != pem:
            raise NotAllowed("The host's key has not signed this assertion.")
        return self.claims


@dataclass
class DeliveryWorld:
    """What replicas share of deliveries."""

    world: World = field(default_factory=World)
    signatures: SignedByName = field(default_factory=SignedByName)

    def __post_init__(self) -> None:
        """Begin with nothing stored."""
        clock = self.world.clock
        sessions = BytesInMemory[HostSession](
            clock, wire.write_host_session, wire.read_host_session
        )
        held = BytesInMemory[HostLease](clock, wire.write_host_lease, wire.read_host_lease)
        held._kept, held._in_order = sessions._kept, sessions._in_order  # they share a folder
        self.sessions, self.held = sessions, held
        self.hosts = MemoryRecords[Host](clock)
        self.waiting = MemoryRecords[Announced](clock)
        self.standing = MemoryRecords[Delivery](clock)
        self.stores = DeliveryStores(
            self.hosts, self.sessions, self.held, self.waiting, self.standing
        )
        self.replica = self.world.replica()
        self.deeds = self.deeds_of(self.replica)

    def means(self, replica: Replica | None = None) -> Means:
        """Return what a replica's deeds work with."""
        world, deeds = self.world, (replica or self.replica).deeds
        return Means(world.audit, world.clock, world.entropy, deeds, check_clock=self._check_clock)

    def _check_clock(self) -> None:
        self.world.check_clock()

    def deeds_of(self, replica: Replica) -> Deliveries:
        """Return what a replica does about deliveries."""
        return assemble(
            replica.engine,
            self.stores,
            self.means(replica),
            signatures=self.signatures,
            rules=RULES,
            roles={ISSUER: (ROLE,)},
        )

    def certificate(self, name: str = LX1, age: float = 60.0) -> HostCertificate:
        """Return what a certificate says that is so old."""
        now = self.world.clock.now()
        return HostCertificate((name,), now - seconds(age), now + seconds(86400.0))

    async def host(
        self, name: str = LX1, origin: Origin = ORIGIN, deeds: Deliveries | None = None
    ) -> KnownHost:
        """Let a host show its certificate."""
        deeds = deeds or self.deeds
        return (await deeds.hosting.by_certificate(self.certificate(name), origin))[1]

    async def joined(self, name: str = LX1, key: str = "key-1") -> Host:
        """Let a host join by a new token."""
        token = await invite(self.hosts, name, self.means())
        return await self.deeds.joining.join(token, key, ORIGIN)

    def assertion(
        self, jti: str = "j-1", name: str = LX1, key: str = "key-1", **more: Any
    ) -> Secret:
        """Have a key sign this, just now."""
        ends = self.world.clock.now().timestamp() + 60
        good = {"iss": name, "sub": name, "aud": PUBLIC, "exp": ends, "jti": jti, "key": key}
        self.signatures.claims = good | more
        return Secret("host assertion", _unsigned(name))

    async def person(self) -> Caller:
        """Log ada in."""
        if not self.world.grants._newest:
            await self.world.give_grant()
        return (await self.world.give_lease(self.replica))[1]

    async def announced(
        self, host: KnownHost | None = None, **changes: Any
    ) -> tuple[Announced, Secret]:
        """Have an order announced."""
        host = host or await self.host()
        return await self.deeds.ordering.announce(host, ordered(host, **changes))

    async def order(self, caller: Caller | None = None, **changes: Any) -> Delivery:
        """Have an order announced and consented to."""
        waits, code = await self.announced(**changes)
        caller = caller or await self.person()
        return await self.deeds.ordering.consent(caller, waits.id, shown(waits, code))


def _unsigned(name: str) -> str:
    """Return what has the form of a token, and says whom it is from."""
    parts = ({"alg": "ES256"}, {"iss": name}, "x")
    return ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=")
                    for one in parts)  # fmt: skip


def ordered(host: KnownHost, **changes: Any) -> Ordered:
    """Return what somebody ordered on this host."""
    fields: dict[str, Any] = {
        "target": Target(host.name), "uid": 1000, "user": "ada", "issuer": ISSUER, "role": ROLE,
        "scopes": ("storage.read:/",), "audiences": (),
    }  # fmt: skip
    return Ordered(**fields | changes)


def shown(waits: Announced, code: Secret) -> Shown:
    """Return that this was shown to its person, as it is."""
    what = waits.ordered
    return Shown(
        target=what.target,
        uid=what.uid,
        user=what.user,
        scopes=what.scopes,
        audiences=what.audiences,
        name=what.name,
        replaces_foreign=what.replaces_foreign,
        code_hash=code.digest(),
    )
