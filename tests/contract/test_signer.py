"""What `broker.issuing.keyring` asks of who makes and uses keys, held here and in a real OpenBao."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import import_key

from credbroker.broker.issuing.keyring import Keyring
from credbroker.broker.issuing.signing import Signing, Statement
from credbroker.broker.running import Deeds, Means
from credbroker.demo.certificates import Authority
from credbroker.demo.openbao import OpenBaoServer
from credbroker.domain.errors import StoreMisconfigured, StoreUnavailable
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.signing_keys import ALGORITHMS
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.host.http import OutgoingHttp
from credbroker.issuers.signers import OwnKeysmith
from credbroker.stores.broker_place import POLICY_NAME, broker_policy
from credbroker.stores.records import signing_key_records
from credbroker.stores.transit import TransitKeys
from credbroker.wire.compact import part, put_together
from tests.contract.test_record_store import client_of
from tests.fakes.audit import FakeAudit
from tests.fakes.signing import RULES, URL, FreshMarks
from tests.fixtures_openbao import admin_hvac

SIGNED = [part(b'{"alg":"%s"}') + b"." + part(b'{"sub":"%d"}' % n) for n in range(5)]


@pytest.fixture(scope="module")
def engine(shared_openbao: OpenBaoServer) -> OpenBaoServer:
    """A server with a transit engine that the broker may use, as its policy's comment says."""
    admin = admin_hvac(shared_openbao)
    admin.sys.enable_secrets_engine("transit")
    policy = broker_policy("credbroker").replace("# path", "path")
    admin.sys.create_or_update_policy(POLICY_NAME, policy)
    return shared_openbao


@pytest.fixture(params=["here", "OpenBao"])
async def smith(request: pytest.FixtureRequest) -> AsyncIterator[OwnKeysmith]:
    """One that keeps keys here, or in the engine."""
    if request.param == "here":
        made = OwnKeysmith()
        yield made
        made.close()
        return
    server = request.getfixturevalue("engine")
    async with OutgoingHttp(str(request.getfixturevalue("authority").ca_file)) as door:
        client = client_of(server, door)
        await client.log_in()
        made = OwnKeysmith(remote=TransitKeys(client, "transit", SystemEntropy()))
        yield made
        made.close()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_what_was_signed_is_verified_by_the_public_half(
    smith: OwnKeysmith, algorithm: str
) -> None:
    """One and many, in their order; another content, key or signature is not."""
    halves, other = await smith.make(algorithm), await smith.make(algorithm)
    [one] = await smith.signer(halves).sign(SIGNED[:1])
    many = await smith.signer(halves).sign(SIGNED)
    assert all(map(smith.verify, [halves] * 5, SIGNED, many))
    assert smith.verify(halves, SIGNED[0], one)
    assert not smith.verify(halves, SIGNED[1], one)
    assert not smith.verify(other, SIGNED[0], one)
    for wrong in (b"", one[:-1], one + b"\0", bytes(len(one)), b"\xff" * len(one)):
        assert not smith.verify(halves, SIGNED[0], wrong)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_library_verifies_the_token_made_of_it(smith: OwnKeysmith, algorithm: str) -> None:
    """By the published JWK alone (RFC 7515 section 5.2)."""
    halves = await smith.make(algorithm)
    signed = part(b'{"alg":"%s"}' % algorithm.encode()) + b"." + part(b"{}")
    [signature] = await smith.signer(halves).sign([signed])
    key = import_key(json.loads(halves.public))
    token = put_together(signed, signature).reveal()
    assert jws.deserialize_compact(token, key, algorithms=[algorithm]).payload == b"{}"
    assert key.thumbprint() == halves.key_id


async def test_a_key_in_the_engine_cannot_be_taken_out_or_removed(
    engine: OpenBaoServer, authority: Authority
) -> None:
    """Not by the broker, nor by an operator without changing it first."""
    async with OutgoingHttp(str(authority.ca_file)) as door:
        client = client_of(engine, door)
        await client.log_in()
        name, _ = await TransitKeys(client, "transit", SystemEntropy()).make("ES256")
        for path in (f"transit/export/signing-key/{name}", f"transit/backup/{name}"):
            with pytest.raises(StoreMisconfigured):
                await client.get(path)
        with pytest.raises(StoreMisconfigured):
            await client.post(f"transit/keys/{name}/config", {"exportable": True})
    found: Any = admin_hvac(engine).read(f"transit/keys/{name}")
    found = found["data"]
    assert (found["exportable"], found["deletion_allowed"]) == (False, False)
    assert found["allow_plaintext_backup"] is False


async def test_a_key_that_was_rotated_in_the_engine_signs_as_it_is_published(
    engine: OpenBaoServer, authority: Authority
) -> None:
    """Its first version is what everybody checks by; a later one is nobody's."""
    async with OutgoingHttp(str(authority.ca_file)) as door:
        client = client_of(engine, door)
        await client.log_in()
        smith = OwnKeysmith(remote=TransitKeys(client, "transit", SystemEntropy()))
        for algorithm in ALGORITHMS:
            halves = await smith.make(algorithm)
            admin_hvac(engine).write(f"transit/keys/{halves.remote}/rotate", None)
            signatures = await smith.signer(halves).sign(SIGNED)
            assert all(map(smith.verify, [halves] * 5, SIGNED, signatures))
        smith.close()


async def test_a_missing_engine_or_key_is_told(engine: OpenBaoServer, authority: Authority) -> None:
    """Nothing is signed with anything else."""
    async with OutgoingHttp(str(authority.ca_file)) as door:
        client = client_of(engine, door)
        await client.log_in()
        with pytest.raises((StoreMisconfigured, StoreUnavailable)):
            await TransitKeys(client, "elsewhere", SystemEntropy()).make("ES256")
        with pytest.raises((StoreMisconfigured, StoreUnavailable)):
            await TransitKeys(client, "transit", SystemEntropy()).sign("credbroker-none", [b"a"])


@pytest.mark.parametrize("lies", ["here", "in the engine"])
async def test_replicas_over_a_real_store_share_their_keys(
    engine: OpenBaoServer, authority: Authority, lies: str
) -> None:
    """Opened at once, under the broker's own policy; a private half is in the record or nowhere."""
    async with OutgoingHttp(str(authority.ca_file)) as door:
        client = client_of(engine, door)
        await client.log_in()
        remote = TransitKeys(client, "transit", SystemEntropy()) if lies != "here" else None
        smith, clock = OwnKeysmith(remote=remote), SystemClock()
        means = Means(FakeAudit(), clock, SystemEntropy(), Deeds(clock))
        rings = [
            Keyring(
                signing_key_records(client, "credbroker"), f"dteam {lies}", URL,
                keysmith=smith, rules=RULES, means=means,
            )
            for _ in range(2)
        ]  # fmt: skip
        await asyncio.gather(*(ring.open() for ring in rings))
        signings = [Signing(URL, ring, FreshMarks(), means, lambda _: "RS256") for ring in rings]
        token = await signings[0].sign(
            Statement("rucio", "rucio", ScopeSet.parse("storage.read:/a"), ("https://se",), 60)
        )
        assert (await signings[1].verify(token.value)).token.jti == token.jti
        assert signings[0].jwks() == signings[1].jwks()
        halves = [key.halves for key in rings[0].published()]
        assert {one.algorithm for one in halves} == set(ALGORITHMS)
        assert all((one.private is None) == bool(one.remote) == (lies != "here") for one in halves)
        smith.close()
