"""`python -m bench.weigh GRANTS LEASES`: how much memory a broker needs to know so many of each.

The records are there before, as bytes; what is weighed is what comes on top when callers with these
leases were recognised, their grants looked up, and the keeper has its index.
"""

from __future__ import annotations

import asyncio
import datetime
import gc
import json
import os
import sys
from typing import TYPE_CHECKING

from bench.ground import ISSUER
from bench.machine import resident_bytes
from bench.memory import DAY, GRANT_SECONDS, fresh_grant, memory_engine
from bench.quiet import CountingIssuer
from credbroker.broker.leasing import Caller, Origin
from credbroker.broker.running import Deeds
from credbroker.domain.attenuation import Ceiling
from credbroker.domain.leases import Lease, LeaseToken
from credbroker.domain.pacing import IssuerLimits
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.host.clock import SystemClock

if TYPE_CHECKING:
    from credbroker.domain.grants import Grant

_ORIGIN = Origin("192.0.2.7", "request")
_CEILING = Ceiling(ScopeSet.parse("storage.read:/home/somebody"), ("https://se.example.org",))


async def weigh(grants: int, leases: int) -> dict[str, float]:
    """Return bytes for each grant and lease, at rest and in the broker."""
    clock = SystemClock()
    issuer = CountingIssuer(clock, token_seconds=3600.0, grant_seconds=GRANT_SECONDS)
    engine, stores = memory_engine({ISSUER: issuer}, clock, IssuerLimits(50.0, 16), Deeds(clock))
    made = [fresh_grant(number, clock.now()) for number in range(grants)]
    weighed = {}
    before = _now()
    for grant in made:
        await stores.grants.put(grant.key.segment(), grant, 0)
    for number in range(leases):
        lease = _lease(number, made[number % grants])
        await stores.leases.put(lease.id, lease, 0)
    weighed["record"] = (_now() - before) / (grants + leases)
    before = _now()
    for number in range(leases):
        await engine.leasing.identify(_token(number), _ORIGIN)
    weighed["lease"] = (_now() - before) / leases
    before = _now()
    for grant in made:
        await engine.minting.grant_of(Caller(_lease(0, grant), _ORIGIN))
    weighed["grant"] = (_now() - before) / grants
    before = _now()
    for grant in made:
        engine.keeping.noted(grant)
    weighed["keeper"] = (_now() - before) / grants
    return weighed


def _lease(number: int, grant: Grant) -> Lease:
    """Return a job's lease, narrower than its parent's, which everybody of the grant shares."""
    token, now = _token(number), SystemClock().now()
    return Lease(
        id=token.id,
        secret_hash=token.secret_hash(),
        key=grant.key,
        line=grant.line,
        ceiling=_CEILING,
        created_at=now,
        ends_at=now + datetime.timedelta(seconds=7 * DAY),
        job=f"{number}.0@schedd.example.org",
    )


def _token(number: int) -> LeaseToken:
    return LeaseToken(f"{number:022d}", Secret("lease", f"{number:043d}"))


def _now() -> int:
    gc.collect()
    return resident_bytes(os.getpid())


if __name__ == "__main__":
    print(json.dumps(asyncio.run(weigh(int(sys.argv[1]), int(sys.argv[2])))))
