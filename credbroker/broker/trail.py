"""What every line of the audit trail says of the grant, or the token, that it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credbroker.domain.grants import Grant
from credbroker.domain.names import GrantKey
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken

if TYPE_CHECKING:
    from credbroker.broker.leasing import Origin


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


def whence(origin: Origin) -> dict[str, object]:
    """Return where a request came from, and what finds it in the log."""
    return {"request_id": origin.request_id, "address": origin.address}


def traces(token: AccessToken) -> dict[str, object]:
    """Return what finds a token again in other services' logs; never the token itself."""
    own = own_traces(str(token.scopes), token.jti, token.value)
    return {**own, **shared_traces(token)}


def own_traces(scope: str, jti: str, value: Secret) -> dict[str, object]:
    """Return of `traces` what no other token has.

    FTS knows a token by the first 16 hex digits of its SHA-1, others by `jti` or SHA-256.
    """
    sha256, sha1 = value.digests()
    return {"scope": scope, "jti": jti, "sha256": sha256, "fts_id": sha1[:16]}


def shared_traces(token: AccessToken) -> dict[str, object]:
    """Return of `traces` what tokens that are signed together mostly share."""
    return {
        "audience": token.audiences,
        "issued_at": token.issued_at,
        "expires_at": token.expires_at,
        "kid": token.key_id,
    }
