"""Posts notices to an operator's webhook, signed so that the receiver knows whose they are."""

from __future__ import annotations

from credbroker import __version__
from credbroker.domain.secret import Secret
from credbroker.ports import Clock, HttpDoor, Letter, LetterRefusedError, NotSentError
from credbroker.wire.letters import signature, write_event

SIGNATURE = "X-Credbroker-Signature"
# This event is not understood; another may be. Whatever else is refused is refused to all.
_THIS_ONE = {400, 413, 422}


class Webhook:
    """Posts to one address. Follows `ports.Channel`."""

    def __init__(
        self, door: HttpDoor, url: str, secret: Secret, clock: Clock, *, seconds: float
    ) -> None:
        """Post to `url` through `door`, signed with `secret`; an answer is waited for `seconds`."""
        self._door = door
        self._url = url
        self._secret = secret
        self._clock = clock
        self._seconds = seconds

    async def tell(self, letter: Letter) -> None:
        """Post a notice's event; see `ports.Channel.tell`."""
        body = write_event(letter.event)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"credbroker/{__version__}",
            SIGNATURE: signature(self._secret, self._clock.now(), body),
        }
        answer = await self._door.post(self._url, body, headers=headers, seconds=self._seconds)
        if answer.status in _THIS_ONE:
            raise LetterRefusedError(f"the webhook refuses an event ({answer.status})", final=True)
        if not 200 <= answer.status < 300:
            raise NotSentError(f"the webhook answers with status {answer.status}")
