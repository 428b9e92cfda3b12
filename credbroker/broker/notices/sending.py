"""Sends letters by one channel, and leaves a channel alone that does not work.

A channel that takes nothing rests, for a minute first and twice as long each time, up to a quarter of
an hour. Whoever sends is answered within `LONGEST_SECONDS`, whatever the other side does.
"""

from __future__ import annotations

import enum

import structlog

from credbroker.broker.running import Means
from credbroker.ports import Channel, Letter, LetterRefusedError, NoAnswerError, NotSentError

LONGEST_SECONDS = 90.0
FIRST_REST_SECONDS = 60.0
LONGEST_REST_SECONDS = 900.0

log = structlog.get_logger(__name__)


class Sent(enum.Enum):
    """What became of a letter."""

    TOLD = "told"
    """The other side has it, or has said that it never will."""
    NOT_NOW = "not_now"
    """Surely not told: try again."""
    UNCLEAR = "unclear"
    """Perhaps told."""


class Sending:
    """One channel, as this process has found it."""

    def __init__(self, name: str, channel: Channel, means: Means) -> None:
        """Send by `channel`, which is called `name`."""
        self.name = name
        self._channel = channel
        self._clock = means.clock
        self._deeds = means.deeds
        self._rest_seconds = 0.0
        self._rests_until = float("-inf")

    @property
    def is_open(self) -> bool:
        """True unless it rests."""
        return self._clock.elapsed() >= self._rests_until

    async def send(self, letter: Letter) -> tuple[Sent, str]:
        """Send a letter; return what became of it, and why if it was not simply taken."""
        task = self._deeds.begin(self._channel.tell(letter), f"tell by {self.name}")
        if not await self._deeds.is_done(task, LONGEST_SECONDS):
            return self._failed(Sent.UNCLEAR, "no answer in time")
        try:
            task.result()
        except LetterRefusedError as refused:
            return (Sent.TOLD if refused.final else Sent.NOT_NOW), str(refused)
        except NotSentError as error:
            return self._failed(Sent.NOT_NOW, str(error) or "it is not reached")
        except NoAnswerError as error:
            return self._failed(Sent.UNCLEAR, str(error) or "no answer came")
        self._rest_seconds = 0.0
        return Sent.TOLD, ""

    def _failed(self, sent: Sent, why: str) -> tuple[Sent, str]:
        longer = max(FIRST_REST_SECONDS, 2 * self._rest_seconds)
        self._rest_seconds = min(longer, LONGEST_REST_SECONDS)
        self._rests_until = self._clock.elapsed() + self._rest_seconds
        log.warning("not_told", channel=self.name, why=why, again_seconds=self._rest_seconds)
        return sent, why
