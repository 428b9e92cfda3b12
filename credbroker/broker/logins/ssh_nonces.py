"""Nonces for logins by ssh key: good for half a minute, once, at whichever replica.

Nothing is kept of a nonce until it is used, so asking for many costs nobody anything. What makes it
single is a mark in the store, which only one use can write.
"""

from __future__ import annotations

import base64
import hashlib

from credbroker.broker.running import Means
from credbroker.broker.storing import put_surely
from credbroker.domain.errors import Malformed
from credbroker.domain.ssh_keys import SeenNonce
from credbroker.ports import LoginSeal, RecordStore, StaleVersionError

GOOD_SECONDS = 30.0
_PURPOSE = "ssh nonce"
_REMEDY = "Ask for a new nonce, and sign that one."


class SshNonces:
    """All nonces that replicas over one store give out."""

    def __init__(self, seen: RecordStore[SeenNonce], seal: LoginSeal, means: Means) -> None:
        """Mark in `seen` what was used; nonces are sealed with `seal`."""
        self._seen = seen
        self._seal = seal
        self._clock = means.clock
        self._entropy = means.entropy

    def give(self) -> str:
        """Return a nonce that nobody has seen."""
        given_at = self._clock.now().timestamp()
        return self._seal.seal(_PURPOSE, f"{given_at:.0f} {self._entropy.token(16)}".encode())

    def check(self, nonce: str) -> None:
        """Raise `Malformed` unless the nonce was given within `GOOD_SECONDS`, by any replica."""
        given_at, _, _ = self._seal.open(_PURPOSE, nonce).partition(b" ")
        # Before or after: the replica that gave it may be a little ahead.
        if abs(self._clock.now().timestamp() - float(given_at)) > GOOD_SECONDS:
            raise Malformed(f"The nonce is older than {GOOD_SECONDS:.0f} seconds.", _REMEDY)

    async def spend(self, nonce: str) -> None:
        """Return if this is the nonce's first use, of which it then has had its one.

        Raises `Malformed` if it was used before, and what `put_surely` raises.
        """
        mark = SeenNonce(self._entropy.token(16), self._clock.now())
        try:
            await put_surely(
                self._seen, _segment(nonce), mark, 0, is_ours=lambda found: found.id == mark.id
            )
        except StaleVersionError:
            raise Malformed("The nonce was used before.", _REMEDY) from None


def _segment(nonce: str) -> str:
    digest = hashlib.sha256(nonce.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
