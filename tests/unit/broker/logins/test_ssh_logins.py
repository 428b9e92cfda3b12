"""An ssh key opens the grants of who registered it, and of nobody else."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from credbroker.broker.logins.ssh_nonces import GOOD_SECONDS
from credbroker.domain.errors import AuditUnavailable, CredbrokerError, Malformed, StoreUnavailable
from credbroker.domain.grants import GrantState
from credbroker.domain.names import GrantKey
from credbroker.domain.revocations import Kind
from tests.fakes.ssh_agent import AgentKey, ecdsa_key, ed25519_key, rsa_key
from tests.unit.broker.ssh_world import SshWorld, proof_by
from tests.unit.broker.world import DAY, ISSUER, KEY, LINE, ORIGIN, WANT_READ, Replica
from tests.unit.things import seconds

ADA = ed25519_key()
EVE = ed25519_key()
ROBOT = GrantKey(ISSUER, "ada/robot/host", "default")


async def settled_world() -> tuple[SshWorld, Replica]:
    """Return a world in which ada has a grant, and a registered key."""
    world = SshWorld()
    replica = world.replica()
    await world.give_grant()
    await world.register(replica, ADA)
    return world, replica


async def refusal(world: SshWorld, replica: Replica, **changes: str) -> str:
    """Return why a login with ada's key is refused; empty if it opens a lease."""
    logins = world.ssh_logins(replica)
    try:
        await logins.log_in(proof_by(ADA, logins.nonce(), **changes), ORIGIN)
    except Malformed as error:
        return error.sentence
    return ""


@pytest.mark.parametrize("agent", [ed25519_key(), ecdsa_key("nistp384"), rsa_key()])
async def test_a_registered_key_opens_a_lease_that_gets_tokens(agent: AgentKey) -> None:
    """On the line of the grant that is there, at another replica than gave the nonce."""
    world, replica = await settled_world()
    await world.register(replica, EVE, agent)
    nonce = world.ssh_logins(replica).nonce()
    other = world.replica("other")
    opened = await world.ssh_logins(other).log_in(proof_by(agent, nonce), ORIGIN)
    assert opened is not None
    token, lease = opened
    assert (lease.key, lease.line, lease.ends_at) == (
        KEY,
        LINE,
        world.clock.now() + seconds(7 * DAY),
    )
    caller = await replica.leasing.identify(token, ORIGIN)
    minted = await replica.minting.mint_access_token(caller, WANT_READ)
    assert minted.token.scopes == WANT_READ.scopes
    line = world.audit.last("ssh_login")
    assert (line["credkey"], line["sub"], line["lease"]) == ("ada", "sub-ada", lease.id)
    assert str(line["fingerprint"]).startswith("SHA256:")


async def test_a_lease_by_ssh_key_reaches_no_robot_and_registers_no_key() -> None:
    """Else a key would open more than the identity that it was registered for."""
    world, replica = await settled_world()
    logins = world.ssh_logins(replica)
    opened = await logins.log_in(proof_by(ADA, logins.nonce()), ORIGIN)
    assert opened is not None
    lease = opened[1]
    assert not lease.registers
    assert lease.may_reach(KEY)
    assert not lease.may_reach(ROBOT)


async def test_a_key_opens_only_where_it_was_registered() -> None:
    """What the client says of itself chooses the record, and opens nothing by itself."""
    world, replica = await settled_world()
    await world.give_grant_to("eve", "another")
    for changes in (
        {"credkey": "eve"},
        {"issuer": "atlas"},
        {"credkey": "ADA"},
        {"credkey": "ada/x"},
    ):
        assert "No such ssh key is registered" in await refusal(world, replica, **changes)
    logins = world.ssh_logins(replica)
    with pytest.raises(Malformed, match="No such ssh key is registered"):
        await logins.log_in(proof_by(EVE, logins.nonce()), ORIGIN)
    assert len(world.leases.history) == 1  # of the one who registered
    assert world.audit.last("ssh_login_refused")["why"] == "No such ssh key is registered there."


async def test_a_signature_by_another_key_or_of_another_nonce_opens_nothing() -> None:
    """The public half of ada's key is known to everybody."""
    world, replica = await settled_world()
    logins = world.ssh_logins(replica)
    hers = proof_by(ADA, logins.nonce())
    eves = proof_by(EVE, hers.nonce)
    for forged in (
        replace(hers, signature=eves.signature),
        replace(hers, nonce=logins.nonce()),
        replace(hers, signature=b""),
    ):
        with pytest.raises(Malformed, match="did not sign this nonce"):
            await logins.log_in(forged, ORIGIN)
    assert await logins.log_in(hers, ORIGIN)  # none of that has used the nonce up


async def test_a_login_that_was_overheard_opens_nothing_more() -> None:
    """Of those that come at once, one; and none later."""
    world, replica = await settled_world()
    both = [world.ssh_logins(replica), world.ssh_logins(world.replica("other"))]
    proof = proof_by(ADA, both[0].nonce())
    ends = await asyncio.gather(
        *(one.log_in(proof, ORIGIN) for one in both), return_exceptions=True
    )
    assert [type(one) for one in ends if isinstance(one, Exception)] == [Malformed]
    with pytest.raises(Malformed, match="used before"):
        await both[0].log_in(proof, ORIGIN)
    world.clock.advance(GOOD_SECONDS + 1)
    with pytest.raises(Malformed, match="older than"):
        await both[0].log_in(proof, ORIGIN)


@pytest.mark.parametrize("state", [GrantState.LOST, GrantState.ENDED])
async def test_a_good_key_without_a_grant_that_lives_opens_nothing(state: GrantState) -> None:
    """It is no error: the client has to go on to a login at the issuer."""
    world, replica = await settled_world()
    await world.rewrite(state=state)
    logins = world.ssh_logins(replica)
    assert await logins.log_in(proof_by(ADA, logins.nonce()), ORIGIN) is None
    assert await logins.log_in(proof_by(ADA, logins.nonce(), role="pilot"), ORIGIN) is None
    assert world.audit.last("ssh_login_refused")["role"] == "pilot"
    assert world.seen.history == []


@pytest.mark.parametrize("state", [GrantState.PAUSED, GrantState.IN_DOUBT, GrantState.CLAIMED])
async def test_a_grant_that_may_come_back_is_gone_on_with(state: GrantState) -> None:
    """What becomes of it is told where tokens are asked for."""
    world, replica = await settled_world()
    await world.rewrite(state=state)
    logins = world.ssh_logins(replica)
    assert await logins.log_in(proof_by(ADA, logins.nonce()), ORIGIN)


@pytest.mark.parametrize(
    "changes", [{"subject": "sub-another"}, {"issuer_url": "https://another.test/"}]
)
async def test_a_key_opens_nothing_of_who_was_given_the_same_credkey_later(
    changes: dict[str, str],
) -> None:
    """It is bound to the person at the issuer, not to the name."""
    world, replica = await settled_world()
    await world.rewrite(**changes)
    logins = world.ssh_logins(replica)
    assert await logins.log_in(proof_by(ADA, logins.nonce()), ORIGIN) is None


async def test_a_key_that_was_taken_away_opens_nothing() -> None:
    """From then on, at every replica."""
    world, replica = await settled_world()
    record = await world.register(replica, ADA, EVE)
    _, caller = await world.fresh_login(replica)
    registering = world.registering(replica)
    await registering.remove(caller, "ada", record.keys[0].fingerprint())
    assert "No such ssh key is registered" in await refusal(world, world.replica("other"))


async def test_who_was_contained_must_register_anew() -> None:
    """A stolen key would else open what an operator has just closed; another person's stays good."""
    world, replica = await settled_world()
    logins, containing = world.ssh_logins(replica), replica.engine.containing
    await containing.revoke(Kind.PERSON, f"{ISSUER}/eve")
    assert await logins.log_in(proof_by(ADA, logins.nonce()), ORIGIN)
    await containing.revoke(Kind.PERSON, f"{ISSUER}/ada")
    assert await logins.log_in(proof_by(ADA, logins.nonce()), ORIGIN) is None
    world.clock.advance(60)
    await world.register(replica, ADA)
    assert await logins.log_in(proof_by(ADA, logins.nonce()), ORIGIN) is None
    await world.rewrite(created_at=world.clock.now())  # as a login at the issuer does
    assert await logins.log_in(proof_by(ADA, logins.nonce()), ORIGIN)


async def test_a_trail_that_cannot_be_written_or_a_silent_store_gives_nothing_out() -> None:
    """The caller hears that, and not that the key is wrong."""
    world, replica = await settled_world()
    logins = world.ssh_logins(replica)
    away = StoreUnavailable("OpenBao/Vault does not answer.")
    for records in (world.keys, world.grants, world.seen, world.leases):
        records.fail_next(away)
        assert await _fails(world, replica) is StoreUnavailable
    world.audit.refused.add("ssh_login")
    assert await _fails(world, replica) is AuditUnavailable
    world.audit.refused.clear()
    assert await logins.log_in(proof_by(ADA, logins.nonce()), ORIGIN)


async def _fails(world: SshWorld, replica: Replica) -> type[CredbrokerError]:
    logins = world.ssh_logins(replica)
    try:
        await logins.log_in(proof_by(ADA, logins.nonce()), ORIGIN)
    except CredbrokerError as error:
        return type(error)
    raise AssertionError("it did not fail")
