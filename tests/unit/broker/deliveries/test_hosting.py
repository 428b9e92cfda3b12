"""A host is who it proves to be, once for each proof, and no longer than it should be."""

from __future__ import annotations

import pytest

from credbroker.broker.deliveries import hosting
from credbroker.broker.leasing import Origin
from credbroker.domain.deliveries import Target, host_lease_segment
from credbroker.domain.errors import (
    LeaseEnded,
    LeaseUnknown,
    NotAllowed,
    StoreUnavailable,
    TooManyRequests,
)
from credbroker.domain.hosts import HOST_TOKEN, HostSecret
from credbroker.domain.revocations import CLOCKS_OFF_SECONDS, Kind
from credbroker.domain.secret import Secret
from tests.unit.broker.delivery_world import DB1, LX, LX1, LX2, PUBLIC, DeliveryWorld
from tests.unit.broker.world import ORIGIN

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")
ELSEWHERE = Origin("198.51.100.9", "request-2")


async def test_a_session_is_known_at_every_replica() -> None:
    """By its token alone; the groups are those of the settings."""
    around = DeliveryWorld()
    token, host = await around.deeds.hosting.by_certificate(around.certificate(), ORIGIN)
    other = around.deeds_of(around.world.replica("replica-2"))
    found = await other.hosting.identify(token, ORIGIN)
    assert (found.name, found.groups, found.session.id) == (LX1, ("lx",), host.session.id)
    assert found.targets == (Target(LX1), LX)
    assert (await around.host(DB1)).targets == (Target(DB1),)


async def test_a_host_opens_so_many_sessions_and_no_more() -> None:
    """Each is a record that stays for an hour; one host must not fill the store with them."""
    around = DeliveryWorld()
    for _ in range(hosting.PACE.burst):
        await around.host()
    with pytest.raises(TooManyRequests):
        await around.host()
    assert len(around.sessions._kept) == hosting.PACE.burst
    assert (await around.host(LX2)).name == LX2


async def test_the_place_of_a_hosts_lease_is_no_session() -> None:
    """They share a folder; whoever can tell such a place raises no alarm of a damaged record."""
    around = DeliveryWorld()
    host, delivery = await around.host(), await around.order()
    await around.deeds.delivering.lease(host, delivery.id)
    place = host_lease_segment(delivery.id, host.name)
    forged = HostSecret(HOST_TOKEN, place, Secret("host token", "y" * 43))
    other = around.deeds_of(around.world.replica("replica-2"))
    with pytest.raises(LeaseUnknown):
        await other.hosting.identify(forged, ORIGIN)


async def test_a_known_session_costs_no_call_to_the_store() -> None:
    """In the steady state nothing is asked twice."""
    around = DeliveryWorld()
    token, _ = await around.deeds.hosting.by_certificate(around.certificate(), ORIGIN)
    before = around.sessions.reads
    for _ in range(9):
        await around.deeds.hosting.identify(token, ORIGIN)
    assert around.sessions.reads == before


async def test_a_token_with_another_secret_is_unknown() -> None:
    """And so is one of a place where nothing is."""
    around = DeliveryWorld()
    token, _ = await around.deeds.hosting.by_certificate(around.certificate(), ORIGIN)
    for place in (token.place, "x" * 22):
        forged = HostSecret(HOST_TOKEN, place, Secret("host token", "y" * 43))
        with pytest.raises(LeaseUnknown):
            await around.deeds.hosting.identify(forged, ORIGIN)


async def test_a_key_speaks_for_the_host_that_joined_with_it() -> None:
    """For no other, and not any more once the host has joined anew."""
    around = DeliveryWorld()
    await around.joined()
    _, host = await around.deeds.hosting.by_assertion(around.assertion(), ORIGIN)
    assert host.name == LX1
    with pytest.raises(NotAllowed, match="No host of this name"):
        await around.deeds.hosting.by_assertion(around.assertion("j-2", name=LX2), ORIGIN)
    await around.joined(key="key-2")
    with pytest.raises(NotAllowed, match="has not signed"):
        await around.deeds.hosting.by_assertion(around.assertion("j-3"), ORIGIN)


async def test_a_host_may_call_the_broker_at_its_own_port() -> None:
    """Behind an Ingress only pages have the port that `public_url` leaves out."""
    around = DeliveryWorld()
    await around.joined()
    hosting_of = around.deeds.hosting
    for jti, url in (("j-1", PUBLIC), ("j-2", f"{PUBLIC}/"), ("j-3", f"{PUBLIC}:8200")):
        await hosting_of.by_assertion(around.assertion(jti, aud=url), ORIGIN)
    for url in (f"{PUBLIC}:8201", f"{PUBLIC}.test:8200", "https://:8200"):
        with pytest.raises(NotAllowed):
            await hosting_of.by_assertion(around.assertion("j-4", aud=url), ORIGIN)
    rules = hosting.HostRules(f"{PUBLIC}:443/", port=8200)
    assert set(rules.addresses) == {f"{PUBLIC}:443"}


async def test_an_invited_host_is_none_yet() -> None:
    """A join token that waits opens no session."""
    around = DeliveryWorld()
    from credbroker.broker.deliveries.joining import invite

    await invite(around.hosts, LX1, around.means())
    with pytest.raises(NotAllowed, match="No host of this name"):
        await around.deeds.hosting.by_assertion(around.assertion(key=""), ORIGIN)


async def test_an_assertion_opens_one_session_at_whichever_replica() -> None:
    """The place of its session is taken; another host's `jti` of the same name is its own."""
    around = DeliveryWorld()
    await around.joined()
    await around.joined(LX2)
    other = around.deeds_of(around.world.replica("replica-2"))
    await around.deeds.hosting.by_assertion(around.assertion(), ORIGIN)
    for deeds in (around.deeds, other):
        with pytest.raises(NotAllowed, match="used before"):
            await deeds.hosting.by_assertion(around.assertion(), ORIGIN)
    await other.hosting.by_assertion(around.assertion(name=LX2), ORIGIN)


@pytest.mark.parametrize("text", ["", "a.b.c", "x"])
async def test_what_is_no_assertion_is_not_said_back(text: str) -> None:
    """It may be a secret of another kind."""
    with pytest.raises(NotAllowed, match="no assertion"):
        await DeliveryWorld().deeds.hosting.by_assertion(Secret("host assertion", text), ORIGIN)


@pytest.mark.parametrize("name", [LX1, ORIGIN.address])
async def test_a_contained_host_is_nobody_until_it_proves_itself_anew(name: str) -> None:
    """Its sessions are over, and no certificate from before opens one, nor a key."""
    around = DeliveryWorld()
    await around.joined()
    token, _ = await around.deeds.hosting.by_certificate(around.certificate(), ORIGIN)
    await around.replica.engine.containing.revoke(Kind.HOST, name)
    around.world.clock.advance(CLOCKS_OFF_SECONDS + 1)
    hosting = around.deeds.hosting
    for deed in (
        hosting.identify(token, ORIGIN),
        hosting.by_certificate(around.certificate(age=9999.0), ORIGIN),
        hosting.by_assertion(around.assertion(), ORIGIN),
    ):
        with pytest.raises(LeaseEnded, match="contained"):
            await deed
    await hosting.by_certificate(around.certificate(age=0.0), ORIGIN)
    await around.joined()
    await hosting.by_assertion(around.assertion("j-2"), ORIGIN)


async def test_a_session_is_over_wherever_it_came_from_or_goes_to() -> None:
    """A contained address uses no token that was got elsewhere, and none from there is used elsewhere."""
    around = DeliveryWorld()
    hosting = around.deeds.hosting
    token, _ = await hosting.by_certificate(around.certificate(), ORIGIN)
    away, _ = await hosting.by_certificate(around.certificate(), ELSEWHERE)
    await around.replica.engine.containing.revoke(Kind.HOST, ORIGIN.address)
    for shown, origin in ((token, ELSEWHERE), (away, ORIGIN)):
        with pytest.raises(LeaseEnded):
            await hosting.identify(shown, origin)
    assert (await hosting.identify(away, ELSEWHERE)).name == LX1


async def test_who_cannot_know_what_is_contained_lets_no_host_in() -> None:
    """After half a minute without the store."""
    around = DeliveryWorld()
    token, _ = await around.deeds.hosting.by_certificate(around.certificate(), ORIGIN)
    around.world.clock.advance(31)
    for deed in (
        lambda: around.deeds.hosting.identify(token, ORIGIN),
        lambda: around.deeds.hosting.by_certificate(around.certificate(), ORIGIN),
    ):
        around.world.revocations.fail_next(AWAY)
        with pytest.raises(StoreUnavailable):
            await deed()
        around.world.revocations.mend()


async def test_a_session_that_is_not_stored_or_written_down_is_given_to_nobody() -> None:
    """The store first, then the trail, then the answer."""
    around = DeliveryWorld()
    around.world.audit.refused.add("host_session")
    with pytest.raises(Exception, match="audit trail"):
        await around.host()
    assert around.sessions.writes == 1
