"""Tries an issuer again that was in trouble, without costing anybody's login if it can be helped.

- First it is probed, which uses nobody's grant: every minute at the latest, sooner at first.
- Once the probe is answered and a trial is due, one refresh is tried: of a grant that costs least,
  where a refresh without an answer may cost a login; elsewhere of whoever comes first.
- Where no grant can be had for a trial, the next caller's own refresh is it.
- While all is well this sleeps. Each issuer is minded by itself; none waits for another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import islice

import structlog

from credbroker.broker.gate import Gate, Gates
from credbroker.broker.refreshing import Wish
from credbroker.broker.running import Means
from credbroker.domain.errors import CredbrokerError, IssuerMisbehaved
from credbroker.domain.retry import backoff_seconds
from credbroker.ports import Issuer

LONGEST_PAUSE_SECONDS = 60.0
# A refresh is over by then, one way or the other.
TRIAL_SECONDS = 300.0
# So many grants are looked at for one that can be tried.
MOST_CANDIDATES = 5

log = structlog.get_logger(__name__)


class Recovering:
    """Minds the gates of all issuers."""

    def __init__(
        self,
        gates: Gates,
        issuers: Mapping[str, Issuer],
        refresh: Callable[[Wish, float], Awaitable[object]],
        candidates: Callable[[str], Iterable[Wish]],
        means: Means,
    ) -> None:
        """Try with `refresh` what `candidates` offers for an issuer, what costs least first."""
        self._gates = gates
        self._issuers = issuers
        self._refresh = refresh
        self._candidates = candidates
        self._clock = means.clock
        self._entropy = means.entropy

    async def run(self) -> None:
        """Mind every gate for ever."""
        async with asyncio.TaskGroup() as group:
            for name, gate in self._gates.items():
                group.create_task(self._mind(name, gate), name=f"recover {name}")

    async def _mind(self, name: str, gate: Gate) -> None:
        rounds = 0
        while True:
            if not gate.in_trouble:
                await gate.trouble()
                rounds = 0
            rounds += 1
            await self._clock.sleep(self._pause_seconds(gate, rounds))
            await self._round(name, gate)

    def _pause_seconds(self, gate: Gate, rounds: int) -> float:
        if gate.client_paused:
            return LONGEST_PAUSE_SECONDS
        return min(LONGEST_PAUSE_SECONDS, backoff_seconds(rounds, self._entropy.fraction()))

    async def _round(self, name: str, gate: Gate) -> None:
        """Probe, and try if the probe was answered and it is time."""
        error = await self._probe(name)
        gate.probed(error)
        if error is None and gate.may_try():
            await self._try(name, gate)

    async def _probe(self, name: str) -> CredbrokerError | None:
        try:
            await self._issuers[name].probe()
        except CredbrokerError as error:
            return error
        except Exception as error:
            log.exception("probe_broke", issuer=name)
            return IssuerMisbehaved(f"A probe broke off ({type(error).__name__}).")
        return None

    async def _try(self, name: str, gate: Gate) -> None:
        if gate.a_trial_costs():
            for wish in islice(self._candidates(name), MOST_CANDIDATES):
                if await self._tried(gate, wish):
                    return
        gate.offer(None)

    async def _tried(self, gate: Gate, wish: Wish) -> bool:
        """Try with this grant; False if it did not come to a refresh."""
        gate.offer(wish.key)
        try:
            await self._refresh(wish, TRIAL_SECONDS)
        except CredbrokerError as error:
            log.info("trial_failed", issuer=wish.key.issuer, why=error.sentence)
        except Exception:
            log.exception("trial_broke", issuer=wish.key.issuer)
        return not gate.withdraw()
