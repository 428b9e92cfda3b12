"""What the audit trail says of a token that we signed."""

from __future__ import annotations

from credbroker.domain.tokens import AccessToken


def about_signed(token: AccessToken, client_id: str) -> dict[str, object]:
    """Return what finds this token again in other services' logs; never the token itself.

    FTS knows a token by the first 16 hex digits of its SHA-1, others by `jti` or SHA-256.
    """
    return {
        "sub": token.subject,
        "iss": token.issuer_url,
        "client_id": client_id,
        "scope": str(token.scopes),
        "audience": list(token.audiences),
        "issued_at": token.issued_at,
        "expires_at": token.expires_at,
        "jti": token.jti,
        "kid": token.key_id,
        "sha256": token.value.digest(),
        "fts_id": token.value.digest("sha1")[:16],
    }
