"""A ticket opens what its person granted before, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from credbroker.broker.logins.kerberos_logins import KerberosEntry, KerberosLogins, TicketLogin
from credbroker.broker.running import Means
from credbroker.domain.errors import (
    AuditUnavailable,
    CredbrokerError,
    LoginDenied,
    LoginNeeded,
    Malformed,
    NotAllowed,
    NotFound,
    StoreUnavailable,
)
from credbroker.domain.grants import GrantState
from credbroker.domain.names import GrantKey
from credbroker.domain.principals import PrincipalRules
from tests.fakes.kerberos import FakeAcceptor
from tests.unit.broker.world import DAY, ISSUER, KEY, LINE, ORIGIN, ROLE, WANT_READ, Replica, World

PLACE = f"{ISSUER}_{ROLE}"
RULES = PrincipalRules(("TEST.LOCAL",))


@dataclass
class Door:
    """One replica that takes tickets, and who issues them."""

    world: World
    replica: Replica
    tickets: FakeAcceptor
    logins: KerberosLogins

    async def log_in(self, principal: str = "ada@TEST.LOCAL", place: str = PLACE) -> TicketLogin:
        """Log in with a new ticket."""
        return await self.logins.log_in(place, self.tickets.issue(principal), ORIGIN)


def door(*entries: KerberosEntry, roles: dict[str, tuple[str, ...]] | None = None) -> Door:
    """Return a replica that serves all its issuer's people, unless other entries are given."""
    world = World()
    replica = world.replica()
    tickets = FakeAcceptor()
    logins = KerberosLogins(
        entries or (KerberosEntry(tickets, RULES),),
        roles or {ISSUER: (ROLE,)},
        world.grants,
        replica.leasing,
        Means(world.audit, world.clock, world.entropy, replica.deeds),
        login_seconds=7 * DAY,
    )
    return Door(world, replica, tickets, logins)


async def test_a_ticket_opens_a_lease_on_the_grant_that_its_person_made() -> None:
    """It is as good as one of a login, lasts as long, and may not register keys."""
    one = door()
    await one.world.give_grant()
    found = await one.log_in()
    lease = found.lease
    assert (lease.key, lease.line, lease.subject) == (KEY, LINE, "")
    assert (lease.ends_at - lease.created_at).total_seconds() == 7 * DAY
    assert (lease.is_login, lease.registers) == (True, False)
    caller = await one.replica.leasing.identify(found.token, ORIGIN)
    assert (await one.replica.minting.mint_access_token(caller, WANT_READ)).issuer == ISSUER


async def test_a_login_is_in_the_trail_with_its_principal() -> None:
    """Beside the grant, the lease and where it came from."""
    one = door()
    await one.world.give_grant()
    found = await one.log_in()
    assert one.world.audit.last("kerberos_login") == {
        "event": "kerberos_login",
        "request_id": ORIGIN.request_id,
        "address": ORIGIN.address,
        "lease": found.lease.id,
        "issuer": ISSUER,
        "credkey": "ada",
        "role": ROLE,
        "sub": "sub-ada",
        "principal": "ada@TEST.LOCAL",
    }


async def test_nothing_is_given_out_that_the_trail_does_not_have() -> None:
    """The lease that was stored is of use to nobody."""
    one = door()
    await one.world.give_grant()
    one.world.audit.refused.add("kerberos_login")
    with pytest.raises(AuditUnavailable):
        await one.log_in()


async def refusal(one: Door, principal: str = "ada@TEST.LOCAL", place: str = PLACE) -> str:
    """Return the word of the error that a login ends with, which is in the trail as well."""
    with pytest.raises(CredbrokerError) as error:
        await one.log_in(principal, place)
    line = one.world.audit.last("refused")
    assert (line["error"], line["why"]) == (error.value.code, error.value.sentence)
    assert line["path"] == f"auth/kerberos-{place}/login"
    assert line["request_id"] == ORIGIN.request_id
    assert one.world.leases.history == []
    return error.value.code


@pytest.mark.parametrize("state", [GrantState.LOST, GrantState.ENDED, None])
async def test_who_has_no_living_grant_must_log_in_through_the_browser(
    state: GrantState | None,
) -> None:
    """It was never made, the issuer ended it, or its person logged out."""
    one = door()
    if state is not None:
        await one.world.give_grant()
        await one.world.rewrite(state=state)
    assert await refusal(one) == LoginNeeded.code


@pytest.mark.parametrize("state", [GrantState.CLAIMED, GrantState.PAUSED, GrantState.IN_DOUBT])
async def test_a_grant_that_is_only_in_trouble_can_be_opened(state: GrantState) -> None:
    """Tokens at hand go on being served, and reading says what the trouble is."""
    one = door()
    await one.world.give_grant()
    await one.world.rewrite(state=state)
    assert (await one.log_in()).lease.key == KEY


async def test_a_robot_opens_its_own_grant_and_never_its_persons() -> None:
    """Nor does the person's ticket need the robot's."""
    one = door()
    await one.world.give_grant()
    assert await refusal(one, "ada/cron/host1@TEST.LOCAL") == LoginNeeded.code
    robot = GrantKey(ISSUER, "ada/cron/host1", ROLE)
    await one.world.give_grant(robot, "line-robot", "robots")
    found = await one.log_in("ada/cron/host1@TEST.LOCAL")
    assert (found.lease.key, found.lease.line) == (robot, "line-robot")
    assert found.principal.name == "ada/cron/host1"


@pytest.mark.parametrize("principal", ["ada@OTHER.LOCAL", "ada/admin@TEST.LOCAL"])
async def test_a_foreign_realm_or_an_odd_principal_opens_nothing(principal: str) -> None:
    """Although the ticket is good and a grant of that name is there."""
    one = door()
    await one.world.give_grant()
    assert await refusal(one, principal) == NotAllowed.code


async def test_a_ticket_that_was_shown_before_is_refused() -> None:
    """Even to the one who got a lease for it."""
    one = door()
    await one.world.give_grant()
    ticket = one.tickets.issue("ada@TEST.LOCAL")
    await one.logins.log_in(PLACE, ticket, ORIGIN)
    with pytest.raises(LoginDenied):
        await one.logins.log_in(PLACE, ticket, ORIGIN)
    assert one.world.audit.events() == ["kerberos_login", "refused"]
    assert len(one.world.leases.history) == 1


async def test_no_ticket_at_all_is_refused() -> None:
    """And noted."""
    one = door()
    with pytest.raises(Malformed):
        await one.logins.log_in(PLACE, b"", ORIGIN)
    assert one.world.audit.last("refused")["error"] == Malformed.code


@pytest.mark.parametrize("place", ["", "_", ISSUER, f"{ISSUER}_", f"_{ROLE}", "cms_x", "x_default"])
async def test_a_place_that_is_not_served_is_refused(place: str) -> None:
    """Before any ticket is looked at."""
    one = door()
    await one.world.give_grant()
    assert await refusal(one, place=place) == NotFound.code


async def test_issuer_and_role_may_hold_underscores_themselves() -> None:
    """The last place where both halves are served counts."""
    roles = {"a": ("b", "b_c"), "a_b": ("c",), "x_y": ("z_w",)}
    one = door(roles=roles)
    for place, issuer, role in (
        ("a_b_c", "a_b", "c"),
        ("a_b", "a", "b"),
        ("x_y_z_w", "x_y", "z_w"),
    ):
        await one.world.give_grant(GrantKey(issuer, "ada", role), f"line-{place}", place)
        assert (await one.log_in(place=place)).lease.line == f"line-{place}"


async def test_the_first_entry_that_serves_the_issuer_decides() -> None:
    """A ticket of another entry's realm is as good as none; who serves no issuer is not asked."""
    theirs, ours = FakeAcceptor(), FakeAcceptor()
    one = door(
        KerberosEntry(theirs, PrincipalRules(("THEIRS",)), frozenset({"egi"})),
        KerberosEntry(ours, RULES, frozenset({ISSUER})),
        roles={ISSUER: (ROLE,), "egi": (ROLE,), "ilc": (ROLE,)},
    )
    await one.world.give_grant()
    one.tickets = ours
    assert (await one.log_in()).lease.key == KEY
    with pytest.raises(LoginDenied):
        await one.log_in(place=f"egi_{ROLE}")
    with pytest.raises(NotFound):
        await one.log_in(place=f"ilc_{ROLE}")


async def test_the_domain_is_part_of_the_name_that_is_opened() -> None:
    """So a plain name never opens what belongs to another domain."""
    tickets = FakeAcceptor()
    one = door(KerberosEntry(tickets, replace(RULES, domain="@cms.test")))
    one.tickets = tickets
    await one.world.give_grant()
    assert await refusal(one) == LoginNeeded.code
    await one.world.give_grant(GrantKey(ISSUER, "ada@cms.test", ROLE), "line-domain", "domain")
    assert (await one.log_in()).lease.line == "line-domain"


async def test_a_store_that_is_away_is_nobodys_refusal() -> None:
    """The error says so, and the trail has no line."""
    one = door()
    one.world.grants.fail_next(StoreUnavailable("Away."))
    with pytest.raises(StoreUnavailable):
        await one.log_in()
    assert one.world.audit.lines == []
