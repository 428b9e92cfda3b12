"""What every line of the audit trail says of the grant that it is about."""

from __future__ import annotations

from credbroker.domain.grants import Grant
from credbroker.domain.names import GrantKey


def about(grant: Grant) -> dict[str, object]:
    """Return whose grant it is, at which issuer, and how often its token was replaced."""
    return {
        **names(grant.key),
        "sub": grant.subject,
        "client_id": grant.client_id,
        "generation": grant.generation,
    }


def names(key: GrantKey) -> dict[str, object]:
    """Return a grant's three names."""
    return {"issuer": key.issuer, "credkey": key.credkey, "role": key.role}
