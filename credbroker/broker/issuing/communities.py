"""One community's issuer, as those see it who serve it."""

from __future__ import annotations

from dataclasses import dataclass

from credbroker.broker.issuing.files import FilesSigning
from credbroker.broker.issuing.granting import Granting
from credbroker.broker.issuing.revoking import Revoking
from credbroker.broker.issuing.signing import Signing


@dataclass(frozen=True, slots=True)
class CommunityIssuer:
    """What one community is served by; `name` is that of the settings."""

    name: str
    signing: Signing
    granting: Granting
    revoking: Revoking
    files: FilesSigning
