"""The HTVault that an issuer's people used before, behind the `LegacyVault` port.

What is asked goes there as it came, with the vault token in its header and nothing added; what
comes back is an answer only if the server was well.
"""

from __future__ import annotations

from credbroker.domain.errors import LegacyUnavailable
from credbroker.ports import HttpAnswer, HttpDoor, NoAnswerError, NotSentError, PassedOn


class FormerHtvault:
    """One HTVault server or cluster. Follows `ports.LegacyVault`."""

    def __init__(self, url: str, door: HttpDoor) -> None:
        """Ask the server at the base address `url` through `door`."""
        self._url = url.rstrip("/")
        self._door = door

    @property
    def url(self) -> str:
        """Its base address, without a slash at the end."""
        return self._url

    async def ask(self, passed_on: PassedOn, *, seconds: float) -> HttpAnswer:
        """Return its answer to the request, sent unchanged; see `ports.LegacyVault`."""
        headers = {"X-Vault-Token": passed_on.vault_token.reveal()}
        if passed_on.body:
            headers["Content-Type"] = "application/json"
        try:
            answer = await self._door.pass_on(
                passed_on.method,
                self._url + passed_on.address,
                passed_on.body,
                headers=headers,
                seconds=seconds,
            )
        except (NotSentError, NoAnswerError):
            raise LegacyUnavailable(
                "The HTVault that this vault token is from does not answer."
            ) from None
        # A standby that sends its callers on (3xx) is no more use here than one that is sealed.
        if answer.status < 200 or 300 <= answer.status < 400 or answer.status >= 500:
            raise LegacyUnavailable(
                f"The HTVault that this vault token is from is in trouble (status {answer.status})."
            )
        return answer
