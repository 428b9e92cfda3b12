"""Many grants, one in twenty poisoned, one issuer of twenty a black hole: is the rest in time?

The whole engine, keeper included, on a store in memory that keeps bytes and by a clock that leaps,
so what is counted does not depend on how fast the machine is. `python -m bench.poison GRANTS` prints
what the callers met.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from bench import virtual
from bench.child import ask_child
from bench.engine import lasting
from bench.memory import DAY, GRANT_SECONDS, BytesInMemory, fresh_grant, memory_engine
from bench.quiet import CountingIssuer
from bench.results import Claim, Figure, figure
from bench.rounds import Rounds
from credbroker.broker.leasing import Caller, Origin
from credbroker.broker.running import Deeds
from credbroker.domain.attenuation import Ceiling, Wanted
from credbroker.domain.errors import CredbrokerError, IssuerUnreachable, LoginNeeded
from credbroker.domain.leases import Lease
from credbroker.domain.outcomes import Dead, Outcome, Unclear
from credbroker.domain.pacing import IssuerLimits
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from bench.virtual import VirtualClock
    from credbroker.broker.engine import Engine, Stores
    from credbroker.domain.attenuation import Right
    from credbroker.domain.grants import Grant
    from credbroker.ports import Issuer

GRANTS = 10_000
ISSUERS = [f"issuer-{number:02d}" for number in range(20)]
HOLE = ISSUERS[7]
POISONED = 20  # one grant in so many
POISONS = ("bad JSON", "not UTF-8", "invalid_grant", "unknown issuer")
TOKEN_SECONDS = 1200.0
PERIOD = TOKEN_SECONDS / 2
RENEWALS = 2
WANTED = Wanted(ScopeSet.parse("storage.read:/"))
ORIGIN = Origin("192.0.2.7", "request")

IN_TIME = Claim(
    "poison", "healthy grants renewed before their callers came back", "at least", 1.0, "grants",
    "The peer is the number of grants that are neither poisoned nor at the issuer that never"
    " answers. Each has a caller that comes back as told, three times, and must find another token"
    " each time. The others ask once a minute, whatever they are told.",
)  # fmt: skip


class StrictIssuer(CountingIssuer):
    """Knows the refresh tokens that begin with "dead" no more."""

    async def outcome(self, refresh_token: Secret, right: Right, seconds: float) -> Outcome:
        """Refuse the dead."""
        if refresh_token.reveal().startswith("dead"):
            return Dead(LoginNeeded("The issuer no longer accepts this login."))
        return await super().outcome(refresh_token, right, seconds)


class BlackHole(CountingIssuer):
    """Takes everything and never answers."""

    async def outcome(self, _refresh_token: Secret, _right: Right, seconds: float) -> Outcome:
        """Let the time pass."""
        await self.clock.sleep(seconds)
        return Unclear(IssuerUnreachable("The issuer took a refresh and did not answer."))

    async def probe(self) -> None:
        """Answer as little."""
        await self.clock.sleep(30.0)
        raise IssuerUnreachable("The issuer does not answer.")


@dataclass
class Seen:
    """What the callers of the whole world met."""

    healthy: int = 0
    in_time: int = 0
    others: Counter[str] = field(default_factory=Counter)
    """Answers and errors that those with a poisoned grant, or at the black hole, got."""


async def take(_folder: Path, quick: bool) -> list[Figure]:
    """Count how many of the healthy were in time."""
    seen = await ask_child("bench.poison", GRANTS // 10 if quick else GRANTS)
    rounds = Rounds((float(seen["in_time"]),), (float(seen["healthy"]),))
    others = {f"others told {word}": float(count) for word, count in seen["others"].items()}
    return [figure(IN_TIME, rounds, others)]


async def poisoned_world(grants: int, clock: VirtualClock) -> Seen:
    """Run everybody's callers for as long as they need to be renewed a few times."""
    issuers: dict[str, Issuer] = {
        name: (BlackHole if name == HOLE else StrictIssuer)(
            clock, token_seconds=TOKEN_SECONDS, grant_seconds=GRANT_SECONDS
        )
        for name in ISSUERS
    }
    engine, stores = memory_engine(issuers, clock, IssuerLimits(50.0, 16), Deeds(clock))
    seen = Seen()
    everybody = [await give(stores, clock, number) for number in range(grants)]
    async with lasting(engine), asyncio.TaskGroup() as callers:
        for number, grant in enumerate(everybody):
            later = PERIOD * number / grants
            is_healthy = not poison_of(number) and grant.key.issuer != HOLE
            caller = healthy_caller if is_healthy else other_caller
            callers.create_task(caller(engine, clock, grant, later, seen))
    return seen


def poison_of(number: int) -> str:
    """Return how the grant of this number is poisoned, if it is."""
    block, left = divmod(number, POISONED)
    return "" if left else POISONS[(block + block // len(ISSUERS)) % len(POISONS)]


async def give(stores: Stores, clock: VirtualClock, number: int) -> Grant:
    """Store one person's grant; each issuer has as many of each poison."""
    poison = poison_of(number)
    issuer = ISSUERS[number // POISONED % len(ISSUERS)]
    grant = fresh_grant(number, clock.now(), "gone" if poison == "unknown issuer" else issuer)
    if poison == "invalid_grant":
        grant = replace(grant, refresh_token=Secret("refresh token", f"dead-{number}"))
    segment = grant.key.segment()
    await stores.grants.put(segment, grant, 0)
    assert isinstance(stores.grants, BytesInMemory)
    if poison == "bad JSON":
        stores.grants.damage(segment, b'{"format": 1, "issuer": ')
    if poison == "not UTF-8":
        stores.grants.damage(segment, b'{"format": 1, "issuer": "\xff\xfe"}')
    return grant


async def healthy_caller(
    engine: Engine, clock: VirtualClock, grant: Grant, later: float, seen: Seen
) -> None:
    """Come back when told; each time there must be another token."""
    seen.healthy += 1
    caller, given = caller_of(grant, clock), set()
    await clock.sleep(later)
    for _ in range(1 + RENEWALS):
        minted = await engine.minting.mint_access_token(caller, WANTED)
        given.add(minted.token.jti)
        await clock.sleep((minted.renew_at - clock.now()).total_seconds())
    seen.in_time += len(given) == 1 + RENEWALS


async def other_caller(
    engine: Engine, clock: VirtualClock, grant: Grant, later: float, seen: Seen
) -> None:
    """Ask again every minute, whatever is said."""
    caller = caller_of(grant, clock)
    await clock.sleep(later)
    ends = clock.elapsed() + (1 + RENEWALS) * PERIOD
    while clock.elapsed() < ends:
        try:
            await engine.minting.mint_access_token(caller, WANTED)
            seen.others["a token"] += 1
        except CredbrokerError as error:
            seen.others[error.code] += 1
        await clock.sleep(60.0)


def caller_of(grant: Grant, clock: VirtualClock) -> Caller:
    """Return a caller with the lease of a login on this grant."""
    now = clock.now()
    ends_at = now + datetime.timedelta(seconds=DAY)
    return Caller(Lease("lease", "", grant.key, grant.line, Ceiling(), now, ends_at), ORIGIN)


if __name__ == "__main__":
    met = virtual.run(partial(poisoned_world, int(sys.argv[1])))
    print(json.dumps({"healthy": met.healthy, "in_time": met.in_time, "others": met.others}))
