"""`python -m bench.day day|pass GRANTS`: the keeper by a clock that leaps, so that a day takes minutes.

Prints what it saw as one JSON object.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import sys
from collections import Counter
from typing import TYPE_CHECKING

from bench.engine import lasting
from bench.ground import ISSUER
from bench.machine import own_cpu_seconds
from bench.memory import DAY, GRANT_SECONDS, fresh_grant, memory_engine
from bench.quiet import CountingIssuer
from bench.virtual import VirtualClock, run
from credbroker.broker.leasing import Caller, Origin
from credbroker.broker.running import Deeds
from credbroker.domain.attenuation import Ceiling, Wanted
from credbroker.domain.leases import Lease
from credbroker.domain.pacing import IssuerLimits
from credbroker.domain.scopes import ScopeSet

if TYPE_CHECKING:
    from credbroker.broker.engine import Engine, Stores
    from credbroker.domain.grants import Grant

HOUR = 3600.0
TOKEN_SECONDS = 6 * HOUR
# Callers come back after half of a token's life: all have begun when the first one does.
BEGINNING_SECONDS = TOKEN_SECONDS / 2
# Two thirds of a refresh token's life are over from now on, less up to a quarter.
AGE_SECONDS = 16 * DAY
IN_USE = 10  # one grant in so many
PASSES = 500

_LIMITS = IssuerLimits(50.0, 16)
_WANTED = Wanted(ScopeSet.parse("storage.read:/"))
_ORIGIN = Origin("192.0.2.7", "request")


async def a_day(clock: VirtualClock, grants: int) -> dict[str, float]:
    """Count what an issuer is asked in a day; a tenth of the grants have a job that runs on.

    The grants were made within one hour, 16 days ago; the jobs began within three hours.
    """
    issuer = CountingIssuer(clock, token_seconds=TOKEN_SECONDS, grant_seconds=GRANT_SECONDS)
    engine, stores = memory_engine({ISSUER: issuer}, clock, _LIMITS, Deeds(clock))
    made = [await _give(stores, clock, number, grants) for number in range(grants)]
    clock.passed += AGE_SECONDS
    async with lasting(engine), asyncio.TaskGroup() as jobs:
        for number, grant in enumerate(made[::IN_USE]):
            later = BEGINNING_SECONDS * number * IN_USE / grants
            jobs.create_task(_job(engine, clock, grant, later))
    begun = (1000.0 + AGE_SECONDS + BEGINNING_SECONDS) // 60
    hours: Counter[int] = Counter()
    for minute, count in issuer.requests.items():
        if 0 <= minute - begun < 24 * 60:
            hours[int(minute - begun) // 60] += count
    total = sum(hours.values())
    return {"peak": float(max(hours.values())), "mean": total / 24}


async def a_pass(clock: VirtualClock, grants: int) -> dict[str, float]:
    """Time the passes of a warm keeper that has nothing to do."""
    issuer = CountingIssuer(clock, token_seconds=TOKEN_SECONDS, grant_seconds=GRANT_SECONDS)
    engine, stores = memory_engine({ISSUER: issuer}, clock, _LIMITS, Deeds(clock))
    for number in range(grants):
        await _give(stores, clock, number, grants)
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(engine.keeping.run())
        while not engine.keeping.is_warm:
            await clock.sleep(1.0)
        began = own_cpu_seconds()
        await clock.sleep(PASSES)
        seconds = own_cpu_seconds() - began
        keeping.cancel()
    return {"microseconds": 1e6 * seconds / PASSES, "refreshes": float(issuer.requests.total())}


async def _give(stores: Stores, clock: VirtualClock, number: int, grants: int) -> Grant:
    at = clock.now() + datetime.timedelta(seconds=HOUR * number / grants)
    grant = fresh_grant(number, at)
    await stores.grants.put(grant.key.segment(), grant, 0)
    return grant


async def _job(engine: Engine, clock: VirtualClock, grant: Grant, later: float) -> None:
    """Ask for a token, and come back when told, until the day is over."""
    ends = clock.passed + BEGINNING_SECONDS + DAY
    now = clock.now()
    lease = Lease(
        id="lease",
        secret_hash="",
        key=grant.key,
        line=grant.line,
        ceiling=Ceiling(),
        created_at=now,
        ends_at=now + datetime.timedelta(seconds=2 * DAY),
    )
    await clock.sleep(later)
    while clock.passed < ends:
        minted = await engine.minting.mint_access_token(Caller(lease, _ORIGIN), _WANTED)
        await clock.sleep((minted.renew_at - clock.now()).total_seconds())


if __name__ == "__main__":
    wanted = {"day": a_day, "pass": a_pass}[sys.argv[1]]
    print(json.dumps(run(lambda clock: wanted(clock, int(sys.argv[2])))))
