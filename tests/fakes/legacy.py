"""An earlier HTVault that knows some vault tokens. Follows `ports.LegacyVault`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credbroker.domain.errors import LegacyUnavailable
from credbroker.ports import HttpAnswer
from tests.fakes.clock import turns

if TYPE_CHECKING:
    from credbroker.domain.secret import Secret
    from credbroker.ports import Clock, PassedOn

REFUSAL = HttpAnswer(403, {}, b'{"errors":["permission denied"]}')


class FakeLegacyVault:
    """Answers `given` to whom it knows; keeps what it was asked."""

    def __init__(self, url: str, *known: Secret, clock: Clock | None = None) -> None:
        """Know these vault tokens; by `clock`, be as slow as `slow_seconds` says later."""
        self._url = url
        self._clock = clock
        self.known = list(known)
        self.given = HttpAnswer(200, {"content-type": "application/json"}, b'{"data":{}}')
        self.refusal = REFUSAL
        self.is_down = False
        self.slow_seconds = 0.0
        self.asked: list[PassedOn] = []
        self.seconds: list[float] = []

    @property
    def url(self) -> str:
        """Its base address."""
        return self._url

    async def ask(self, passed_on: PassedOn, *, seconds: float) -> HttpAnswer:
        """Return its answer; see `ports.LegacyVault`."""
        self.asked.append(passed_on)
        self.seconds.append(seconds)
        await turns(1)
        if self._clock is not None and self.slow_seconds:
            await self._clock.sleep(min(seconds, self.slow_seconds))
        if self.is_down or self.slow_seconds > seconds:
            raise LegacyUnavailable("It does not answer.")
        return self.given if passed_on.vault_token in self.known else self.refusal
