"""The brake of one issuer: when it calls too many grants dead, its verdicts stop.

- The verdict that tips the brake is not believed, and none after it; grants are kept instead.
- One alert is raised, and it is recorded for all replicas. Only an operator's release ends it.
- While it is on and more than half of the last 20 grants were called dead, one refresh a minute
  passes, over all replicas: enough to see whether the issuer has come to itself. A sound answer lets
  the next one pass at once. Who was called dead comes a minute later than others: with six people's
  dead logins among the healthy, the healthy are not made to wait.
- A refresh token that has outlived its own time is rightly called dead: believed, and not counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Protocol

import structlog

from credbroker.broker.custody.replicas import Share
from credbroker.broker.running import Means
from credbroker.domain.brake import Verdicts, tips
from credbroker.domain.errors import CredbrokerError, IssuerSpared
from credbroker.domain.marks import IssuerCount
from credbroker.domain.rotation import Rule

ONE_PER_SECONDS = 60.0
# After a release the others' counts of before are still on their way for some beats.
COUNTS_LAG_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Others(Protocol):
    """What a gate asks about the other replicas; see `broker.custody.replicas`."""

    def share(self) -> Share:
        """Return this replica's place among them."""

    def others(self, issuer: str) -> IssuerCount:
        """Return the sum of what the others counted at this issuer."""


class Marks(Protocol):
    """What a gate asks and says about an issuer's mark; see `broker.custody.issuer_marks`."""

    def rule(self, name: str) -> Rule:
        """Return what an unclear answer means there."""

    def braked(self, name: str) -> bool:
        """True while the brake is on for all replicas."""

    async def brake(self, name: str) -> None:
        """Put the brake on for all replicas."""


class Braking:
    """Counts one issuer's verdicts, and says whether they are believed."""

    def __init__(self, name: str, replicas: Others, marks: Marks, means: Means) -> None:
        """Watch the issuer `name`; what is recorded for all stands in `marks`."""
        self._name = name
        self._replicas = replicas
        self._marks = marks
        self._audit = means.audit
        self._clock = means.clock
        self._deeds = means.deeds
        self._verdicts = Verdicts()
        self._tipped = False
        self._recording: asyncio.Task[None] | None = None
        self._was_on = False
        self._alone_until = 0.0
        self._next_at = 0.0

    @property
    def on(self) -> bool:
        """True from the verdict that tips it until an operator releases it."""
        on = self._tipped or self._marks.braked(self._name)
        if self._was_on and not on:
            self._verdicts.forget()
            self._alone_until = self._clock.elapsed() + COUNTS_LAG_SECONDS
        self._was_on = on
        return on

    def check(self, key: Hashable = None) -> None:
        """Raise `IssuerSpared` while most answers are not believed and this minute's one is out."""
        if not self.on or not self._verdicts.mostly_dead():
            return
        next_at = self._next_at + ONE_PER_SECONDS * self._verdicts.called_dead(key)
        if (left := next_at - self._clock.elapsed()) > 0:
            raise IssuerSpared(
                f"The issuer {self._name!r} calls most logins dead, which is not believed; it is"
                f" asked again in {left:.0f} s.",
                "The operator must look at the issuer. Logins are kept, and tokens already"
                " delivered stay valid until they expire.",
            )

    def entered(self) -> None:
        """Note that a refresh begins."""
        self._next_at = self._clock.elapsed() + ONE_PER_SECONDS * self._replicas.share().count

    def note(self, key: Hashable, *, dead: bool) -> None:
        """Count an answer to a refresh of the grant `key`; `dead` if it said that the grant is."""
        on = self.on
        self._verdicts.note(self._clock.elapsed(), key, dead=dead)
        if not dead:
            self._next_at = self._clock.elapsed()
        if dead and not on and tips(*self._counted_by_all()):
            self._tipped = True
            count = self.counts()
            log.error("issuer_braked", issuer=self._name, answers=count.refreshes, dead=count.dead)
        if self._tipped and (self._recording is None or self._recording.done()):
            self._recording = self._deeds.begin(self._record(), "record a brake")

    def counts(self) -> IssuerCount:
        """Return what this replica has counted in the last 10 minutes."""
        _ = self.on  # a release forgets what was counted before it
        answers, dead = self._verdicts.counted(self._clock.elapsed())
        return IssuerCount(refreshes=answers, dead=dead)

    def _counted_by_all(self) -> tuple[int, int]:
        own = self.counts()
        if self._clock.elapsed() < self._alone_until:
            return own.refreshes, own.dead
        others = self._replicas.others(self._name)
        return own.refreshes + others.refreshes, own.dead + others.dead

    async def _record(self) -> None:
        """Tell the other replicas; what fails is tried again with the next answer."""
        try:
            await self._marks.brake(self._name)
        except CredbrokerError as error:
            log.warning("brake_not_recorded", issuer=self._name, why=error.sentence)
            return
        if self._marks.braked(self._name):
            self._tipped = False
            await self._audit.record("issuer_braked", issuer=self._name)
