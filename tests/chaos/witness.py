"""What the proxy before OpenBao has seen: which records came to be, when, and whose claims they are.

Independent of every broker's word. Refresh tokens are kept by their SHA-256 alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from credbroker.demo.issuer.journal import sha256_hex

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credbroker.ports import Clock


@dataclass
class Write:
    """A broker's write of a grant's record; `committed_at` once OpenBao was seen to have it."""

    at: float
    broker: str
    life: int
    segment: str
    generation: int
    state: str
    refresh_sha256: str
    write_id: str
    posts: int
    reason: str
    committed_at: float | None = None


class Witness:
    """All writes of grants, and what was ever seen to be stored."""

    def __init__(self, clock: Clock) -> None:
        """Note times by `clock.elapsed`."""
        self._clock = clock
        self.writes: list[Write] = []
        self._by_write_id: dict[str, Write] = {}
        self._stored_at: dict[str, float] = {}
        self._claims: dict[tuple[str, int], list[Write]] = {}

    def sent(self, broker: str, life: int, segment: str, record: Mapping[str, Any]) -> Write:
        """Note that a broker sends a record."""
        token = record.get("refresh_token")
        write = Write(
            self._clock.elapsed(), broker, life, segment, int(record["generation"]),
            str(record["state"]), sha256_hex(token) if token else "", str(record["write_id"]),
            int(record.get("posts") or 0), str(record.get("reason") or ""),
        )  # fmt: skip
        self.writes.append(write)
        self._by_write_id.setdefault(write.write_id, write)
        if write.state == "claimed":
            self._claims.setdefault((segment, write.generation), []).append(write)
        return write

    def committed(self, write: Write) -> None:
        """Note that OpenBao said yes to a write."""
        self._by_write_id.setdefault(write.write_id, write)
        if write.committed_at is None:
            write.committed_at = self._clock.elapsed()
        self._stored_at.setdefault(write.refresh_sha256, self._clock.elapsed())

    def read(self, record: Mapping[str, Any]) -> None:
        """Note a record that OpenBao gave out: it is stored, whatever its write was answered."""
        token = record.get("refresh_token")
        if token:
            self._stored_at.setdefault(sha256_hex(token), self._clock.elapsed())
        write = self._by_write_id.get(str(record.get("write_id")))
        if write is not None and write.committed_at is None:
            write.committed_at = self._clock.elapsed()

    def stored_at(self, refresh_sha256: str) -> float | None:
        """Return when a refresh token was first seen to be stored."""
        return self._stored_at.get(refresh_sha256)

    def claims(self, segment: str, generation: int) -> list[Write]:
        """Return the claims of this generation that OpenBao has, or may have, taken."""
        return self._claims.get((segment, generation), [])
