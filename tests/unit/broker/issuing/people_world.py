"""The usual world, in which a community's issuer signs for the people of the usual issuer."""

from __future__ import annotations

from dataclasses import replace

from credbroker.broker.engine import SignedHere
from credbroker.broker.issuing.people import People
from credbroker.broker.issuing.signing import Signing
from credbroker.broker.leasing import Caller
from credbroker.domain.attenuation import Wanted
from credbroker.domain.errors import TokenRefused
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.revocations import check_signed
from credbroker.domain.rights import Rights, RightsRule, UsersRule, When
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.tokens import AccessToken
from tests.fakes.signing import memory_signing
from tests.unit.broker.world import ISSUER, Replica, World

SE1, SE2 = "https://se1.example.org", "https://se2.example.org"
TABLE = LifetimeTable.of({})
RIGHTS = Rights(
    (
        RightsRule(
            When(groups=("/dteam",)),
            ScopeSet.parse("storage.read:/ compute.read wlcg.groups"),
            (SE1, SE2),
        ),
        RightsRule(
            When(entitlements=("urn:writers*",)), ScopeSet.parse("storage.modify:/home"), (SE1,)
        ),
    ),
    (
        UsersRule(
            When(subjects=("sub-ada",)),
            ("*",),
            ("storage.read:/", "storage.create:/home/{username}"),
            (SE1,),
        ),
    ),
)


class PeopleWorld(World):
    """People have a group, `/dteam`, and no entitlement until a test says otherwise."""

    signing: Signing

    @classmethod
    async def made(cls) -> PeopleWorld:
        """Return one, with a key to sign with."""
        world = cls()
        world.signing = await memory_signing(world.clock)
        world.have_rules(RIGHTS)
        world.claim("/dteam")
        await world.give_grant()
        return world

    def have_rules(self, rights: Rights) -> None:
        """Sign by these rules, at the replicas that start from now on."""
        self.signed_here = SignedHere(mints={ISSUER: people_of(self, self.signing, rights)})

    def claim(self, *groups: str, entitlements: tuple[str, ...] = ()) -> None:
        """Have the issuer vouch for these from the next refresh on, in a token of no profile."""
        self.issuer.widen = lambda one: replace(
            one, groups=groups, entitlements=entitlements, version="", scopes=ScopeSet()
        )

    async def ready(self, name: str = "replica-1") -> tuple[Replica, Caller]:
        """Start a replica, with a caller whose lease is as wide as can be."""
        replica = self.replica(name)
        _, caller = await self.give_lease(replica)
        return replica, caller


def people_of(world: World, signing: Signing, rights: Rights) -> People:
    """Return who signs by these rules, knowing of the marks that all replicas see."""

    def is_ended(client_id: str, token: AccessToken) -> bool:
        marks = {one[0].kind: one[0].marks for one in world.revocations._newest.values()}
        try:
            check_signed("dteam", (client_id, token.subject), token.jti, token.issued_at, marks)
        except TokenRefused:
            return True
        return False

    return People(signing, rights, TABLE, world.audit, is_ended=is_ended)


async def mint(
    replica: Replica, caller: Caller, scopes: str | None = None, *audiences: str
) -> AccessToken:
    """Mint as a surface does."""
    wanted = Wanted(None if scopes is None else ScopeSet.parse(scopes), audiences or None)
    return (await replica.minting.mint_access_token(caller, wanted)).token
