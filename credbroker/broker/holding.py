"""The access tokens at hand, in memory only: a restart loses them and asks the issuer anew."""

from __future__ import annotations

from credbroker.domain.attenuation import Right
from credbroker.domain.tokens import AccessToken
from credbroker.ports import Clock

_LEAST_ROOM = 1000


class HeldTokens:
    """Access tokens by the line of logins they belong to and the right they carry."""

    def __init__(self, clock: Clock) -> None:
        """Begin with none; tokens that have expired by `clock` are dropped."""
        self._clock = clock
        self._held: dict[tuple[str, Right], AccessToken] = {}
        self._room = _LEAST_ROOM

    def get(self, line: str, right: Right) -> AccessToken | None:
        """Return the token at hand, which may have expired, or None."""
        return self._held.get((line, right))

    def put(self, line: str, right: Right, token: AccessToken) -> None:
        """Keep a token that was checked against `right`."""
        if len(self._held) >= self._room:
            now = self._clock.now()
            self._held = {at: one for at, one in self._held.items() if one.expires_at > now}
            # Room for as many again keeps the sweeping cheap however many there are.
            self._room = max(_LEAST_ROOM, 2 * len(self._held))
        self._held[line, right] = token

    def forget(self, line: str) -> None:
        """Drop every token of a line whose person has logged out."""
        self._held = {at: token for at, token in self._held.items() if at[0] != line}
