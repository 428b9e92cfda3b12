"""Refreshes per second through the whole engine, against a bare script with the same three calls."""

from __future__ import annotations

import os
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from bench.bare import BareScript, Chain, open_bare
from bench.engine import Replica, open_replica
from bench.ground import Ground, open_ground
from bench.pace import Pace, keep_at_it
from bench.results import Claim, Figure, figure
from bench.rounds import Rounds, alternate
from credbroker.broker.custody.refreshing import Wish
from credbroker.domain.attenuation import Right
from credbroker.domain.scopes import ScopeSet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from credbroker.domain.grants import Grant

    Deeds = Sequence[Callable[[], Awaitable[object]]]

IN_FLIGHT = (8, 16, 64)
SCOPE = "storage.read:/"
RIGHT = Right(ScopeSet.parse(SCOPE))
PROGRAMS = ("OpenBao", "broker", "issuer")
AGAINST = (
    "The peer is a script that makes the same three calls and nothing else: check-and-set, POST on"
    " a fresh TLS connection to the same issuer, check-and-set; the same HTTP library, Vault policy"
    " and number in flight. It reads nothing first, writes no audit trail, checks no token."
)


async def take(folder: Path, quick: bool) -> list[Figure]:
    """Measure with 8, 16 and 64 in flight."""
    rounds, seconds = (3, 1.5) if quick else (5, 6.0)
    most = max(IN_FLIGHT)
    async with (
        open_ground(folder) as ground,
        open_bare(ground) as script,
        open_replica(ground, "engine") as replica,
    ):
        await replica.until_trusted()
        sides = {
            "ours": await _ours(ground, replica, most),
            "bare": await _bare(ground, script, most),
            "writes": await _writes(ground, script, most),
        }
        pids = {"OpenBao": ground.openbao.pid, "broker": os.getpid(), "issuer": ground.issuer.pid}
        return [
            await _figure(at_once, sides, rounds, seconds=seconds, pids=pids)
            for at_once in IN_FLIGHT
        ]


async def _figure(
    at_once: int,
    sides: Mapping[str, Deeds],
    rounds: int,
    *,
    seconds: float,
    pids: Mapping[str, int],
) -> Figure:
    paces = await alternate(
        {
            name: partial(keep_at_it, deeds[:at_once], seconds, pids)
            for name, deeds in sides.items()
        },
        rounds,
    )
    rates = {name: tuple(one.per_second for one in taken) for name, taken in paces.items()}
    name = f"refreshes with {at_once} in flight"
    claim = Claim("refreshes", name, "at least", 0.70, "per second", AGAINST)
    writes = Rounds(rates["ours"], rates["writes"])
    beside = {
        "check-and-set writes alone, per second": median(rates["writes"]),
        "share of these that the engine's two writes reach": 2 * writes.ratio,
        **_cpu("engine", paces["ours"]),
        **_cpu("bare script", paces["bare"]),
    }
    return figure(claim, Rounds(rates["ours"], rates["bare"]), beside)


def _cpu(side: str, paces: Sequence[Pace]) -> dict[str, float]:
    return {
        f"CPU ms per refresh, {side}, {program}": median(pace.cpu_each(program) for pace in paces)
        for program in PROGRAMS
    }


async def _grants(ground: Ground, name: str, count: int) -> list[Grant]:
    tokens = await ground.issuer.refresh_tokens(count)
    return [ground.grant(f"{name}-{number}", token) for number, token in enumerate(tokens)]


async def _ours(ground: Ground, replica: Replica, count: int) -> Deeds:
    grants = await _grants(ground, "ours", count)
    for grant in grants:
        await replica.stores.grants.put(grant.key.segment(), grant, 0)
    return [partial(replica.refresh, Wish(one.key, one.line, RIGHT)) for one in grants]


async def _bare(ground: Ground, script: BareScript, count: int) -> Deeds:
    chains = [Chain.of(grant) for grant in await _grants(ground, "bare", count)]
    return [partial(script.refresh, chain, SCOPE) for chain in chains]


async def _writes(ground: Ground, script: BareScript, count: int) -> Deeds:
    chains = [Chain.of(grant) for grant in await _grants(ground, "writes", count)]
    return [partial(script.store, chain, state="ready") for chain in chains]
