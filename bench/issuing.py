"""Our own issuer's endpoints, asked as services ask them, against other issuers and bare limits."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from statistics import median
from typing import TYPE_CHECKING

from bench.bare import Chain, open_bare
from bench.child import ask_child
from bench.ground import open_ground
from bench.names import ES256_TOKENS, LEAST_TOKENS, REUSED, RS256_TOKENS
from bench.pace import Pace, keep_at_it
from bench.results import Claim, Figure, figure, joined
from bench.rounds import Rounds, alternate
from bench.services import (
    CLIENT,
    ES256_AUDIENCE,
    REUSING,
    RS256_AUDIENCE,
    TRANSFERS,
    Service,
    least_settings,
    open_broker,
    open_peer,
    open_provider,
)
from bench.wrk import CONNECTIONS, ask, check_there
from tests.interop import provider_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from bench.ground import Ground
    from bench.wrk import Request

    Side = Callable[[], Awaitable[Pace]]
    Rates = dict[str, tuple[float, ...]]

JWKS, METADATA = "jwks", ".well-known/openid-configuration"
_SAMPLES = 20
MANY_CONNECTIONS = 64
CORES = sorted(os.sched_getaffinity(0))[:2]
"""One for whoever is measured, one for who asks."""

_SAME = (
    f"Both over plain HTTP on {CONNECTIONS} connections kept open, each server by itself on the same core,"
    " asked by `wrk` on the other."
)
_PROVIDER = (
    "The peer is npm's oidc-provider, all in its memory, which writes nothing down. Ours signs each"
    f" token anew and has it on the audit trail, on disk, before it answers. {_SAME}"
)


def _claim(name: str, target: float, against: str) -> Claim:
    return Claim("issuer", name, "at least", target, "per second", against)


PROVIDER = _claim(ES256_TOKENS, 1.5, _PROVIDER)
AUTHLIB = _claim(
    "tokens with ES256, against Authlib", 1.5,
    "The peer is Authlib's authorization server on aiohttp, which writes nothing down, on asyncio's own"
    " loop, as it comes; ours runs on uvloop, which comes with it. Beside it stands the same peer on"
    f" uvloop, too. {_SAME}",
)  # fmt: skip
LEAST = _claim(
    LEAST_TOKENS, 0.75,
    "The limit is one route of aiohttp on the same loop (uvloop) with the broker's own signer and trail: it"
    " reads the form, compares the secret, signs, and has a line on disk before it answers. It knows no"
    " policy, no revocation, no request ids. Beside it is what that limit reaches against the two peers"
    f" that write nothing down. {_SAME}",
)  # fmt: skip
RS256 = _claim(
    RS256_TOKENS, 0.75,
    "The limit is what `cryptography` signs in a loop on the same core. Ours is one worker, which signs"
    " where it is asked; `wrk` has the other core.",
)  # fmt: skip
EXCHANGE = _claim(
    "exchanges, against oidc-provider", 1.5,
    "The peer is oidc-provider with this grant added: it verifies the token that is shown, holds the"
    f" scope against it and signs. {_SAME}",
)  # fmt: skip
REFRESH = _claim(
    "refreshes that give the same refresh token again, against oidc-provider", 1.2, _PROVIDER
)
ROTATION = _claim(
    "refreshes with rotation, against check-and-set alone", 0.60,
    f"The limit is a script that does nothing but check-and-set, {CONNECTIONS} at a time, on records of"
    " a grant. Ours has the successor in OpenBao and the token on the audit trail before it answers."
    " Everything shares the machine.",
)  # fmt: skip
_WORKERS = (
    "One worker is the peer, with the same two cores to itself but for `wrk`, which shares them, as does"
    f" OpenBao. Asked on {MANY_CONNECTIONS} connections, so that no side has to wait for the disk."
)
TWO_ES256 = _claim("two workers with ES256, against one", 1.5, _WORKERS)
TWO_RS256 = _claim("two workers with RS256, against one", 1.8, _WORKERS)
TWO_MOST = _claim(
    "two workers with RS256, against all that two cores give", 0.9,
    "The limit is how often the two cores' time holds what both were busy for an answer while one worker was"
    " alone: its own time, `wrk`'s, the kernel's and OpenBao's.",
)  # fmt: skip
_BARE = (
    "The peer is an aiohttp handler that answers with the same bytes, on the same loop (uvloop)."
    f" {_SAME}"
)
KEYS = _claim("readings of the keys, against a bare handler", 0.75, _BARE)
DISCOVERY = _claim("readings of the metadata, against a bare handler", 0.75, _BARE)


@dataclass(frozen=True)
class Shape:
    """How long each figure is looked at."""

    rounds: int
    seconds: float
    warm_rounds: int


@dataclass(frozen=True)
class World:
    """All that is asked: brokers by the cores they have, and their peers."""

    folder: Path
    shape: Shape
    ground: Ground
    alone: Service
    free: Service
    two: Service
    provider: Service
    authlib: Service
    quick_authlib: Service
    least: Service
    least_rs256: Service
    documents: Service

    def asking(
        self,
        service: Service,
        request: Request,
        *,
        shared: bool = False,
        connections: int = CONNECTIONS,
    ) -> Side:
        """Return the side that is asked this, from the core that servers leave, or from both."""
        cores, seconds = CORES if shared else CORES[1:], self.shape.seconds
        return partial(
            ask, request, self.folder, cores, seconds, service.pid, connections=connections
        )

    async def taken(self, sides: Mapping[str, Side]) -> dict[str, list[Pace]]:
        """Warm all sides up, then take them in turn."""
        for side in sides.values():
            for _ in range(self.shape.warm_rounds):
                await side()
        return await alternate(sides, self.shape.rounds)

    async def figure(self, claim: Claim, ours: Side, peer: Side) -> Figure:
        """Take both in turn."""
        return _held(claim, await self.taken({"ours": ours, "peer": peer}), "peer")


def _held(
    claim: Claim,
    taken: Mapping[str, Sequence[Pace]],
    peer: str,
    beside: Mapping[str, float] | None = None,
) -> Figure:
    """Hold our side against a peer's; beside it, the CPU time that each server used."""
    cpu = {
        f"CPU ms per answer, {said}": median(pace.cpu_each("server") for pace in taken[side])
        for side, said in (("ours", "ours"), (peer, "peer"))
        if "server" in taken[side][0].cpu
    }
    rounds = Rounds(_rates(taken["ours"]), _rates(taken[peer]))
    return figure(claim, rounds, {**cpu, **(beside or {})})


def _rates(paces: Sequence[Pace]) -> tuple[float, ...]:
    return tuple(pace.per_second for pace in paces)


async def take(folder: Path, quick: bool) -> list[Figure]:
    """Measure all endpoints. Raises `ProgramMissing`."""
    check_there("wrk", "node", "npm", "taskset")
    await asyncio.to_thread(provider_server.install)
    # Launched anew several times: where a program's memory lies makes a tenth, for as long as it runs.
    launches, shape = (1, Shape(3, 2.0, 2)) if quick else (3, Shape(4, 2.0, 1))
    return joined([await _launched(folder / f"{number}", shape) for number in range(launches)])


async def _launched(folder: Path, shape: Shape) -> list[Figure]:
    await asyncio.to_thread(folder.mkdir, mode=0o700)
    async with AsyncExitStack() as stack:
        world = await _open(folder, shape, stack)
        return [
            *await _credentials(world),
            await _rs256(world),
            await _exchange(world),
            await _refresh(world),
            await _rotation(world),
            *await _workers(world),
            *await _documents(world),
        ]


async def _open(folder: Path, shape: Shape, stack: AsyncExitStack) -> World:
    ground = await stack.enter_async_context(open_ground(folder))
    one = CORES[:1]
    alone = await stack.enter_async_context(open_broker(ground, "alone", one))
    free = await stack.enter_async_context(open_broker(ground, "free", CORES))
    two = await stack.enter_async_context(open_broker(ground, "two", CORES, workers=2))
    texts = {
        f"/{path}": json.dumps(await alone.ask(alone.document(path))) for path in (JWKS, METADATA)
    }
    return World(
        folder, shape, ground, alone, free, two,
        provider=await stack.enter_async_context(open_provider(folder, one)),
        authlib=await stack.enter_async_context(open_peer("bench.authlib_peer", folder, one)),
        quick_authlib=await stack.enter_async_context(
            open_peer("bench.authlib_peer", folder, one, quick=True)
        ),
        least=await stack.enter_async_context(_open_least(folder, "ES256")),
        least_rs256=await stack.enter_async_context(_open_least(folder, "RS256")),
        documents=await stack.enter_async_context(
            open_peer("bench.bare_aiohttp", folder, one, texts, quick=True)
        ),
    )  # fmt: skip


def _open_least(folder: Path, algorithm: str) -> AbstractAsyncContextManager[Service]:
    told = least_settings(folder, algorithm)
    return open_peer("bench.least_issuer", folder, CORES[:1], told, quick=True)


async def _credentials(world: World) -> list[Figure]:
    alone, provider, authlib = world.alone, world.provider, world.authlib
    reused = alone.credentials(REUSING, audience=ES256_AUDIENCE)
    taken = await world.taken(
        {
            "ours": world.asking(alone, alone.credentials(audience=ES256_AUDIENCE)),
            "provider": world.asking(provider, provider.credentials(resource=ES256_AUDIENCE)),
            "authlib": world.asking(authlib, authlib.credentials()),
            "quick": world.asking(world.quick_authlib, world.quick_authlib.credentials()),
            "least": world.asking(world.least, world.least.credentials(audience=ES256_AUDIENCE)),
            "reused": world.asking(alone, reused),
        }
    )
    beside = {
        REUSED: median(_rates(taken["reused"])),
        "answers checked against the trail": await _audited(alone),
    }
    ours, quick = _rates(taken["ours"]), _rates(taken["quick"])
    on_uvloop = {
        "the peer on uvloop, per second": median(quick),
        "ours against that": Rounds(ours, quick).ratio,
    }
    least = _rates(taken["least"])
    of_the_limit = {
        f"the limit against {peer}": Rounds(least, _rates(taken[side])).ratio
        for side, peer in (("provider", "oidc-provider"), ("authlib", "Authlib"))
    }
    return [
        _held(PROVIDER, taken, "provider", beside),
        _held(AUTHLIB, taken, "authlib", on_uvloop),
        _held(LEAST, taken, "least", of_the_limit),
    ]


async def _audited(ours: Service) -> float:
    """Return how many answers were looked at: each a new token, and each on the trail on disk."""
    asked = ours.credentials(audience=ES256_AUDIENCE)
    tokens = {(await ours.ask(asked))["access_token"] for _ in range(_SAMPLES)}
    assert ours.audit is not None
    [trail] = ours.audit.glob("*.jsonl")
    lines = (await asyncio.to_thread(trail.read_text)).splitlines()
    hashes = {json.loads(line).get("sha256") for line in lines[-4 * _SAMPLES :]}
    digests = {sha256(token.encode()).hexdigest() for token in tokens}
    if len(tokens) != _SAMPLES or not digests <= hashes:
        raise RuntimeError("A token was given twice, or is not on the audit trail.")
    return float(_SAMPLES)


async def _rs256(world: World) -> Figure:
    async def bare() -> Pace:
        seen = await ask_child("bench.bare_signing", "RS256", CORES[0], world.shape.seconds)
        return Pace(seen["done"], seen["seconds"], {})

    alone, least = world.alone, world.least_rs256
    taken = await world.taken(
        {
            "ours": world.asking(alone, alone.credentials(audience=RS256_AUDIENCE)),
            "bare": bare,
            "least": world.asking(least, least.credentials(audience=RS256_AUDIENCE)),
        }
    )
    limits = Rounds(_rates(taken["least"]), _rates(taken["bare"]))
    beside = {
        "the least that signs and writes down, per second": median(limits.ours),
        "the least against the signature alone": limits.ratio,
    }
    return _held(RS256, taken, "bare", beside)


async def _exchange(world: World) -> Figure:
    alone, provider = world.alone, world.provider
    ours = alone.exchange(await alone.subject_token())
    peers = provider.exchange(provider.said["access_token"])
    return await world.figure(EXCHANGE, world.asking(alone, ours), world.asking(provider, peers))


async def _refresh(world: World) -> Figure:
    alone, provider = world.alone, world.provider
    ours = alone.refresh(TRANSFERS, await alone.refresh_token(TRANSFERS))
    peers = provider.refresh(CLIENT, provider.said["refresh_token"])
    return await world.figure(REFRESH, world.asking(alone, ours), world.asking(provider, peers))


async def _rotation(world: World) -> Figure:
    async def ours() -> Pace:
        # Of the round before nobody knows which values were given last; and wrk takes one for itself.
        request = await world.free.chains(CONNECTIONS + 1)
        return await world.asking(world.free, request, shared=True)()

    async with open_bare(world.ground) as script:
        grants = [world.ground.grant(f"bare-{at}", "x" * 43) for at in range(CONNECTIONS)]
        deeds = [partial(script.store, Chain.of(one), state="ready") for one in grants]
        peer = partial(keep_at_it, deeds, world.shape.seconds, {})
        return await world.figure(ROTATION, ours, peer)


async def _workers(world: World) -> list[Figure]:
    es256, _ = await _two_workers(world, TWO_ES256, ES256_AUDIENCE)
    rs256, against_most = await _two_workers(world, TWO_RS256, RS256_AUDIENCE)
    return [es256, rs256, figure(TWO_MOST, against_most)]


async def _two_workers(world: World, claim: Claim, audience: str) -> tuple[Figure, Rounds]:
    """Hold two workers against one; return with that what they are against all that two cores give."""
    brokers = {"ours": world.two, "peer": world.free, "alone": world.alone}
    sides = {
        name: world.asking(
            broker,
            broker.credentials(audience=audience),
            shared=True,
            connections=MANY_CONNECTIONS,
        )
        for name, broker in brokers.items()
    }
    taken = await world.taken(sides)
    two, one, alone = (_rates(taken[side]) for side in ("ours", "peer", "alone"))
    most = tuple(1000 * len(CORES) / pace.cpu_each("cores") for pace in taken["peer"])
    beside = {
        "one worker that has one core, per second": median(alone),
        "two workers against that": Rounds(two, alone).ratio,
        "all that two cores give, against one worker": Rounds(most, one).ratio,
    }
    return figure(claim, Rounds(two, one), beside), Rounds(two, most)


async def _documents(world: World) -> list[Figure]:
    alone, bare = world.alone, world.documents
    return [
        await world.figure(
            claim,
            world.asking(alone, alone.document(path)),
            world.asking(bare, bare.document(path)),
        )
        for claim, path in ((KEYS, JWKS), (DISCOVERY, METADATA))
    ]
