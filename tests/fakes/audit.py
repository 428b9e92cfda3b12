"""A trail that keeps its lines for the test to read. Follows `ports.Audit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from credbroker.domain.errors import AuditUnavailable


class FakeAudit:
    """Collects lines, or refuses them."""

    def __init__(self) -> None:
        """Take every line until told otherwise."""
        self.lines: list[dict[str, object]] = []
        self.refused: set[str] = set()

    async def record(self, event: str, /, **fields: object) -> None:
        """Keep the line, unless its event stands in `refused`."""
        if event in self.refused:
            raise AuditUnavailable("The audit trail cannot be written (No space left on device).")
        self.lines.append({"event": event, **fields})

    async def record_all(
        self, event: str, lines: Sequence[Mapping[str, object]], /, **common: object
    ) -> None:
        """Keep the lines, or none."""
        for fields in lines:
            await self.record(event, **common, **fields)

    def events(self) -> list[object]:
        """Return the events in the order they came."""
        return [line["event"] for line in self.lines]

    def last(self, event: str) -> dict[str, object]:
        """Return the newest line of this event."""
        return next(line for line in reversed(self.lines) if line["event"] == event)
