"""What the audit trail says of a token that we signed."""

from __future__ import annotations

from credbroker.broker.trail import traces
from credbroker.domain.tokens import AccessToken


def about_signed(token: AccessToken, client_id: str, community: str) -> dict[str, object]:
    """Return whom a token is about, by whose signature, and what finds it again."""
    return {
        "sub": token.subject,
        "iss": token.issuer_url,
        "community": community,
        "client_id": client_id,
        **traces(token),
    }
