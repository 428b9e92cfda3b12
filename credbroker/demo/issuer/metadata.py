"""The discovery document (OpenID Connect Discovery 1.0 section 3), as IAM publishes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from credbroker.demo.issuer.settings import ALL_GRANTS, TOKEN_EXCHANGE, USUAL_SCOPES

if TYPE_CHECKING:
    from credbroker.demo.issuer.state import IssuerState


def document(state: IssuerState) -> dict[str, Any]:
    """Return the metadata; like IAM it lists system scopes only, not their paths."""
    return {
        "issuer": state.url,
        "authorization_endpoint": state.address("authorize"),
        "token_endpoint": state.address("token"),
        "userinfo_endpoint": state.address("userinfo"),
        "jwks_uri": state.address("jwk"),
        "introspection_endpoint": state.address("introspect"),
        "revocation_endpoint": state.address("revoke"),
        "device_authorization_endpoint": state.address("devicecode"),
        "scopes_supported": [item.partition(":")[0] for item in USUAL_SCOPES],
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "grant_types_supported": [*ALL_GRANTS, TOKEN_EXCHANGE],
        "code_challenge_methods_supported": ["S256"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "token_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post",
            "none",
        ],
    }
