"""Whether an issuer refuses the broker's own client, or only says so of one person's grant.

One grant's refusal is no proof: some issuers answer so for a disabled account. A probe's is, and so
are those of two grants without a sound answer between them.
"""

from __future__ import annotations

from typing import Hashable, Set

ENOUGH_GRANTS = 2


class Refusals:
    """What one issuer has said of the broker's client since its last sound answer."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._grants: Set[Hashable] = set()
        self.paused = False

    @property
    def in_doubt(self) -> bool:
        """True if a grant's refresh was refused in the client's name, and nothing proves it yet."""
        return bool(self._grants) and not self.paused

    def refused(self, key: Hashable = None) -> None:
        """Count the refusal of a refresh of the grant `key`, without one as a grant of its own."""
        self._grants.add(object() if key is None else key)
        self.paused = self.paused or len(self._grants) >= ENOUGH_GRANTS

    def proven(self) -> None:
        """Take a probe's word: the client is refused."""
        self.paused = True

    def tried(self) -> None:
        """Let a trial tell; what was said before still counts."""
        self.paused = False

    def answered(self) -> None:
        """Forget all refusals: a refresh had a sound answer."""
        if not self.paused:
            self._grants.clear()

    def accepted(self) -> None:
        """Forget all refusals: a probe was sound."""
        self._grants.clear()
        self.paused = False
