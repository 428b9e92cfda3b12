"""Ssh keys are registered by who has just logged in at the issuer, for nobody but that person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from credbroker.broker.leasing import Caller
from credbroker.broker.logins.ssh_registering import FRESH_SECONDS
from credbroker.domain.errors import Malformed, NotAllowed, NotFound, StoreUnclear
from credbroker.domain.ssh_keys import SshKey, place_of
from tests.fakes.ssh_agent import ecdsa_key, ed25519_key
from tests.unit.broker.ssh_world import SshWorld
from tests.unit.broker.world import ISSUER, KEY, ORIGIN, READ, Replica

ONE, TWO = ed25519_key(), ecdsa_key()
KEYS = [SshKey.parse(one.line) for one in (ONE, TWO)]
LINES = [ONE.line, TWO.line]
FIDO = "sk-ssh-ed25519@openssh.com AAAA me"


def start() -> tuple[SshWorld, Replica]:
    """Return a world and a replica; no grant is there yet, as at the first login of all."""
    world = SshWorld()
    return world, world.replica()


async def test_registering_puts_the_keys_in_the_place_of_those_before() -> None:
    """Bound to who logged in; the trail says which keys."""
    world, replica = start()
    _, caller = await world.fresh_login(replica)
    registering = world.registering(replica)
    await registering.register(caller, "ada", [ecdsa_key().line])
    record, left_out = await registering.register(caller, "ada", [*LINES, FIDO])
    assert world.keys.newest(place_of(ISSUER, "ada")) == record
    assert record.keys == tuple(KEYS)
    assert (record.issuer_url, record.subject) == (world.issuer.url, "sub-ada")
    assert left_out == [
        "Key 3: A FIDO key cannot be used: its signature does not reach the broker whole."
    ]
    line = world.audit.last("ssh_keys_registered")
    assert (line["credkey"], line["lease"]) == ("ada", caller.lease.id)
    assert line["fingerprints"] == [key.fingerprint() for key in KEYS]


async def test_only_a_lease_straight_from_a_login_at_the_issuer_registers() -> None:
    """Not one made from it, nor of another kind of login."""
    world, replica = start()
    _, caller = await world.fresh_login(replica)
    token, _ = await world.fresh_login(replica)
    shorter = replace(caller.lease, id=token.id, ancestors=(caller.lease.id,))
    for lease in (shorter, replace(caller.lease, registers=False)):
        with pytest.raises(NotAllowed, match="Only a login just made"):
            await world.registering(replica).register(Caller(lease, ORIGIN), "ada", LINES)
    assert world.keys.history == []


async def test_a_lease_registers_for_ten_minutes_after_its_login() -> None:
    """It may live for weeks after that, and nobody may know where."""
    world, replica = start()
    _, caller = await world.fresh_login(replica)
    world.clock.advance(FRESH_SECONDS)
    await world.registering(replica).register(caller, "ada", LINES)
    world.clock.advance(1)
    with pytest.raises(NotAllowed, match="Only a login just made"):
        await world.registering(replica).register(caller, "ada", LINES)


@pytest.mark.parametrize("credkey", ["eve", "Ada", "ada/robot/host", "", "../ada", "*"])
async def test_the_keys_of_another_identity_cannot_be_touched(credkey: str) -> None:
    """Neither registered nor listed nor taken away; one's own robots are others, too."""
    world, replica = start()
    _, caller = await world.fresh_login(replica)
    registering = world.registering(replica)
    with pytest.raises(NotAllowed):
        await registering.register(caller, credkey, LINES)
    with pytest.raises(NotAllowed):
        await registering.listed(caller, credkey)
    with pytest.raises(NotAllowed):
        await registering.remove(caller, credkey, KEYS[0].fingerprint())


async def test_where_registering_is_not_allowed_what_is_registered_stays_good() -> None:
    """It can be listed and taken away."""
    world, replica = start()
    await world.register(replica, ONE, TWO)
    _, caller = await world.fresh_login(replica)
    closed = world.registering(replica, allowed=False)
    with pytest.raises(NotAllowed, match="cannot be registered here"):
        await closed.register(caller, "ada", LINES)
    assert await closed.listed(caller, "ada") == tuple(KEYS)
    await closed.remove(caller, "ada", KEYS[0].fingerprint())
    assert await closed.listed(caller, "ada") == (KEYS[1],)
    assert world.audit.last("ssh_key_removed")["fingerprints"] == [KEYS[0].fingerprint()]


async def test_a_key_that_is_not_there_cannot_be_taken_away() -> None:
    """Nor anything where nothing was registered."""
    world, replica = start()
    _, caller = await world.fresh_login(replica)
    registering = world.registering(replica)
    assert await registering.listed(caller, "ada") == ()
    with pytest.raises(NotFound, match="No ssh keys are registered"):
        await registering.remove(caller, "ada", KEYS[0].fingerprint())
    await world.register(replica, ONE)
    with pytest.raises(NotFound, match="No ssh key with this fingerprint"):
        await registering.remove(caller, "ada", KEYS[1].fingerprint())


async def test_the_lease_of_a_job_sees_no_keys() -> None:
    """It may fetch the job's tokens, and nothing else."""
    world, replica = start()
    await world.give_grant()
    _, caller = await world.fresh_login(replica)
    _, child = await replica.leasing.make_child(caller, READ, job="job-1", seconds=60)
    with pytest.raises(NotAllowed):
        await world.registering(replica).listed(Caller(child, ORIGIN), KEY.credkey)


async def test_a_list_without_a_fit_key_replaces_nothing() -> None:
    """What was registered stays."""
    world, replica = start()
    await world.register(replica, ONE)
    _, caller = await world.fresh_login(replica)
    with pytest.raises(Malformed, match="FIDO"):
        await world.registering(replica).register(caller, "ada", [FIDO])
    assert await world.registering(replica).listed(caller, "ada") == (KEYS[0],)


async def test_a_registration_whose_answer_got_lost_is_found_again() -> None:
    """And one that came between is written over: the last one counts."""
    world, replica = start()
    world.keys.fail_next(StoreUnclear("The answer got lost."), acted=True, on="put")
    await world.register(replica, ONE)
    assert len(world.keys.history) == 1
    lost = StoreUnclear("The answer got lost.")
    world.keys.fail_next(lost, acted=False, on="put")
    await world.register(replica, TWO)
    assert world.keys.newest(place_of(ISSUER, "ada")).keys == (KEYS[1],)
