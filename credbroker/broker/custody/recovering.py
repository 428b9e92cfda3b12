"""Tries an issuer again that was in trouble, without costing anybody's login if it can be helped.

- First it is probed, which uses nobody's grant: every minute at the latest, sooner at first.
- A refresh that was refused in the client's name is followed by a probe at once.
- Once the probe is sound and a trial is due, one refresh is tried: of a grant that costs least and
  had no part in the trouble. Where none can be had, the next caller's own refresh is the trial.
- After 10 probes in a row that were answered but not soundly, it is tried all the same, as rarely as
  where a trial costs a login: a probe is no refresh, and may be what is refused.
- While all is well this sleeps. Each issuer is minded by itself; none waits for another.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import islice

import structlog

from credbroker.broker.custody.gate import Gate, Gates
from credbroker.broker.custody.refreshing import Wish
from credbroker.broker.running import Means
from credbroker.domain.errors import (
    CredbrokerError,
    IssuerFailed,
    IssuerMisbehaved,
)
from credbroker.domain.retry import backoff_seconds
from credbroker.ports import Issuer

LONGEST_PAUSE_SECONDS = 60.0
# A refresh is over by then, one way or the other.
TRIAL_SECONDS = 300.0
# So many grants are looked at for one that can be tried.
MOST_CANDIDATES = 5
UNSOUND_PROBES = 10

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
        self._unsound: Counter[str] = Counter()
        self._said: dict[str, str] = {}

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
                rounds = self._unsound[name] = 0
            rounds += 1
            await self._clock.sleep(self._pause_seconds(gate, rounds))
            await self._round(name, gate)

    def _pause_seconds(self, gate: Gate, rounds: int) -> float:
        if gate.client_paused or gate.spared:
            return LONGEST_PAUSE_SECONDS
        if gate.client_in_doubt and rounds == 1:
            return 0.0
        return min(LONGEST_PAUSE_SECONDS, backoff_seconds(rounds, self._entropy.fraction()))

    async def _round(self, name: str, gate: Gate) -> None:
        """Probe, and try if it is time and the probe was sound, or has been unsound for long."""
        error = await self._probe(name)
        gate.probed(error)
        self._tell(name, error)
        is_unsound = isinstance(error, IssuerFailed | IssuerMisbehaved)
        self._unsound[name] = self._unsound[name] + 1 if is_unsound else 0
        blindly = self._unsound[name] >= UNSOUND_PROBES
        if (error is None or blindly) and gate.may_try(blindly=blindly):
            await self._try(name, gate)

    def _tell(self, name: str, error: CredbrokerError | None) -> None:
        """Write down once why probes fail, until another reason or a sound one comes."""
        why = error.sentence if error is not None else ""
        if why and why != self._said.get(name):
            log.warning("probe_failed", issuer=name, why=why)
        self._said[name] = why

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
        fit = (wish for wish in self._candidates(name) if not gate.suspects(wish.key))
        for wish in islice(fit, MOST_CANDIDATES):
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
