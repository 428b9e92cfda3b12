"""The demo's figures: as a table for people and as one JSON object for programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Report:
    """What the demo measured; times in seconds."""

    samples: int
    invalid_samples: int
    renewals: int
    issuer_refreshes: int
    broker_restarts: int
    outage_seconds: float
    refresh_token_found_outside: int
    seconds: float

    @property
    def good(self) -> bool:
        """True if the demo proved what it set out to."""
        enough = self.samples > 0 and self.renewals >= 4 and self.broker_restarts >= 1
        return enough and self.invalid_samples == 0 and self.refresh_token_found_outside == 0

    def as_json(self) -> str:
        """Write the figures as one JSON object."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def rows(self) -> list[tuple[str, str]]:
        """Return the table, row by row."""
        return [
            ("looks at the token file", str(self.samples)),
            ("of these not a good token", str(self.invalid_samples)),
            ("renewals the job saw", str(self.renewals)),
            ("refreshes at the issuer", str(self.issuer_refreshes)),
            ("broker killed and restarted", str(self.broker_restarts)),
            ("issuer away", f"{self.outage_seconds:.0f} s"),
            ("refresh token seen elsewhere", f"{self.refresh_token_found_outside} times"),
            ("all of it took", f"{self.seconds:.0f} s"),
        ]
