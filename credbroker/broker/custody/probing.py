"""Finds out, with a throw-away login, what a refresh without a clear answer means at an issuer.

The login is one that nobody lives on: to learn what a replay does, its refresh token is replayed.
What cannot be told for certain counts as `ask`, and a grace is never called longer than it was seen
to last. RFC 6749 section 6, RFC 9700 section 4.14.2.
"""

from __future__ import annotations

from dataclasses import dataclass

from credbroker.broker.running import Means
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import CredbrokerError
from credbroker.domain.marks import LEAST_GRACE_SECONDS
from credbroker.domain.outcomes import Dead, Renewed
from credbroker.domain.rotation import Rule, UnclearRule
from credbroker.domain.secret import Secret
from credbroker.ports import Clock, Issuer

PATIENCE_SECONDS = 120.0
FIRST_PAUSE_SECONDS = 2.0
# Between the look at a record in doubt and its retry's first byte a connection is opened and a
# claim is stored: this much of the grace is left for that.
MARGIN_FRACTION = 0.2
LEAST_MARGIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found, step by step in `said`, and the refresh token that is left of the login."""

    rule: Rule
    rotates: bool
    kept: Secret | None
    said: list[str]


class Probing:
    """Measures one issuer."""

    def __init__(self, issuer: Issuer, means: Means) -> None:
        """Ask `issuer`; pauses go by the clock of `means`."""
        self._issuer = issuer
        self._clock = means.clock

    async def measure(
        self, refresh_token: Secret, right: Right, patience_seconds: float = PATIENCE_SECONDS
    ) -> Measured:
        """Return the issuer's rule, having replayed the refresh token of a throw-away login.

        Each refresh asks for `right`. A grace is followed for `patience_seconds` at the most.
        Raises nothing of what the issuer does: what stays unclear is said, and the rule is `ask`.
        """
        login = _ThrowAway(self._issuer, self._clock, refresh_token, right)
        deadline = self._clock.elapsed() + patience_seconds
        try:
            rule = await self._rule(login, deadline)
        except _NotMeasuredError as why:
            login.said.append(f"It could not be measured: {why}")
            rule = Rule()
        return Measured(rule, login.rotates, await login.survivor(), login.said)

    async def _rule(self, login: _ThrowAway, deadline: float) -> Rule:
        old = await login.rotated() or await login.rotated()
        if old is None:
            login.said.append("Two refreshes gave the same refresh token back.")
            return Rule(UnclearRule.RETRY_SAFE)
        login.said.append("A refresh gives a new refresh token.")
        if await login.replay(old):
            return await self._grace(login, deadline)
        if await login.replay(login.live):
            login.said.append("The old one was refused, and the new one went on working.")
            return Rule(UnclearRule.ONCE_MORE)
        login.said.append("The old one was refused, and the new one was revoked with it.")
        return Rule()

    async def _grace(self, login: _ThrowAway, deadline: float) -> Rule:
        seen = await self._longest_pause(login, deadline)
        login.said.append(f"The old one was still taken {seen:.0f} s after the new one was given.")
        sure = seen - max(LEAST_MARGIN_SECONDS, MARGIN_FRACTION * seen)
        if sure < LEAST_GRACE_SECONDS:
            login.said.append("That is too short for a retry to be sure to fall into it.")
            return Rule()
        return Rule(UnclearRule.GRACE, sure)

    async def _longest_pause(self, login: _ThrowAway, deadline: float) -> float:
        """Return the longest time after its successor was given that an old value was taken.

        Each pause has a pair of values of its own, since a replay may start the grace anew. It runs
        from the end of the answer to the replay's first byte, and so is no longer than the issuer
        itself would say.
        """
        longest, pause = 0.0, FIRST_PAUSE_SECONDS
        while (wait := min(pause, deadline - self._clock.elapsed())) > longest:
            old = await login.rotated()
            if old is None:
                break
            given_at = self._clock.elapsed()
            await self._clock.sleep(wait)
            if not await login.replay(old):
                login.said.append(f"After {login.posted_at - given_at:.0f} s it was refused.")
                break
            longest, pause = login.posted_at - given_at, 2 * pause
        return longest


class _NotMeasuredError(Exception):
    """The issuer's answer says nothing about its rule; the text is a sentence for people."""


class _ThrowAway:
    """A login whose refresh token may be lost; `live` is the value that should be good now."""

    def __init__(self, issuer: Issuer, clock: Clock, refresh_token: Secret, right: Right) -> None:
        self._issuer = issuer
        self._clock = clock
        self._right = right
        self._doubted = False
        self._dead = False
        self.live = refresh_token
        self.rotates = False
        self.posted_at = 0.0
        self.said: list[str] = []

    async def rotated(self) -> Secret | None:
        """Use the live value; return it if another one stands in its place now."""
        old = self.live
        if not await self.replay(old):
            raise _NotMeasuredError("The issuer refuses the refresh token it has just given.")
        self.rotates = self.rotates or self.live != old
        return old if self.live != old else None

    async def replay(self, value: Secret) -> bool:
        """Post a value; return whether it was taken, or raise `_NotMeasuredError`."""
        try:
            outcome = await self._issuer.refresh(
                value, self._right, self._begin, seconds=self._issuer.refresh_seconds
            )
        except CredbrokerError as error:
            raise self._unclear(error) from None
        if isinstance(outcome, Renewed):
            self.live = outcome.refresh_token or self.live
            self._doubted = False
            return True
        if not isinstance(outcome, Dead):
            raise self._unclear(outcome.error)
        self._doubted = True
        self._dead = value == self.live
        return False

    async def survivor(self) -> Secret | None:
        """Return the refresh token that is left; None if none is known to be good."""
        try:
            if self._dead or (self._doubted and not await self.replay(self.live)):
                return None
        except _NotMeasuredError:
            return None
        return self.live

    async def _begin(self) -> None:
        self.posted_at = self._clock.elapsed()

    def _unclear(self, error: CredbrokerError) -> _NotMeasuredError:
        self._doubted = True
        return _NotMeasuredError(error.sentence)
