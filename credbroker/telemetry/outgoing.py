"""Watches what goes out to OpenBao/Vault and to issuers: how long answers take, and for which request.

- An issuer's name is the only label that anybody chose, and an operator did.
- What is asked of an issuer bears the id of the request that it is done for, as `X-Request-Id`, so that
  its log can be laid beside ours.
- Nothing is changed, held back or sent twice by it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Histogram

from credbroker.ports import BeforeFirstByte, Clock, HttpAnswer, HttpDoor
from credbroker.telemetry.logging import request_in_hand

# A refresh at an issuer may take two minutes.
_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
ANSWERED, FAILED = "answered", "failed"


class Outgoing:
    """Puts itself before the doors of one replica."""

    def __init__(self, clock: Clock, registry: CollectorRegistry) -> None:
        """Count in `registry`."""
        self._clock = clock
        self._of_vault = Histogram(
            "credbroker_vault_request_seconds",
            "how long OpenBao/Vault takes to answer; `failed` if it does not, or with an error of its own",
            ["outcome"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._of_issuers = Histogram(
            "credbroker_issuer_request_seconds",
            "how long an issuer takes to answer, from the first byte sent; `failed` likewise",
            ["issuer", "outcome"],
            buckets=_SECONDS,
            registry=registry,
        )

    def to_vault(self, door: HttpDoor) -> HttpDoor:
        """Return the door with its answers timed."""
        took = {one: self._of_vault.labels(one).observe for one in (ANSWERED, FAILED)}
        return _WatchedDoor(door, self._clock, took)

    def to_issuer(self, name: str, door: HttpDoor) -> HttpDoor:
        """Return the door with its answers timed, and the request's id on what goes out."""
        took = {one: self._of_issuers.labels(name, one).observe for one in (ANSWERED, FAILED)}
        return _WatchedDoor(door, self._clock, took, tells_request=True)


@dataclass(frozen=True, slots=True)
class _WatchedDoor:
    """Follows `ports.HttpDoor`."""

    door: HttpDoor
    clock: Clock
    took: Mapping[str, Callable[[float], None]]
    tells_request: bool = False

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float,
        most_bytes: int = 1 << 20,
    ) -> HttpAnswer:
        """Fetch; see `ports.HttpDoor.get`."""
        told = self._told(headers)
        asking = self.door.get(url, headers=told, seconds=seconds, most_bytes=most_bytes)
        return await self._timed(asking, _Start(self.clock))

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        seconds: float,
        before_first_byte: BeforeFirstByte | None = None,
    ) -> HttpAnswer:
        """Send once; see `ports.HttpDoor.post`."""
        start, before = _Start(self.clock), None
        if before_first_byte is not None:
            before = start.after(before_first_byte)
        told = self._told(headers)
        asking = self.door.post(url, body, headers=told, seconds=seconds, before_first_byte=before)
        return await self._timed(asking, start)

    async def pass_on(
        self, method: str, url: str, body: bytes, *, headers: Mapping[str, str], seconds: float
    ) -> HttpAnswer:
        """Send on; see `ports.HttpDoor.pass_on`."""
        told = self._told(headers)
        asking = self.door.pass_on(method, url, body, headers=told, seconds=seconds)
        return await self._timed(asking, _Start(self.clock))

    def _told(self, headers: Mapping[str, str] | None) -> Mapping[str, str]:
        request_id = request_in_hand() if self.tells_request else None
        return {**(headers or {}), "X-Request-Id": request_id} if request_id else headers or {}

    async def _timed(self, asking: Awaitable[HttpAnswer], start: _Start) -> HttpAnswer:
        outcome = FAILED
        try:
            answer = await asking
            outcome = ANSWERED if answer.status < 500 else FAILED
        finally:
            self.took[outcome](self.clock.elapsed() - start.at)
        return answer


class _Start:
    """When the first byte of a request went out, or now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.at = clock.elapsed()

    def after(self, before: BeforeFirstByte) -> BeforeFirstByte:
        """Return `before` so that the time which it takes does not count."""

        async def then_begin() -> None:
            await before()
            self.at = self._clock.elapsed()

        return then_begin
