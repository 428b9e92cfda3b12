"""What an issuer of ours says about itself (RFC 8414 section 2, OpenID Connect Discovery section 3).

`issuer` is the issuer string byte for byte, and `jwks_uri` is always there: a relying party is known
that ends when it lacks. There is no authorization endpoint, but the list of response types must be
there and may not be empty (RFC 8414 section 3.2): it names `none`.
"""

from __future__ import annotations

import json
from typing import Dict, Iterable, Sequence, Tuple

from credbroker.domain.scopes import COMPUTE, STORAGE
from credbroker.domain.signing_keys import ALGORITHMS, SigningKey
from credbroker.wire.exchange import EXCHANGE_GRANT

DISCOVERY_PATH = ".well-known/openid-configuration"
"""Where the document lies below the issuer string."""
METADATA_PATH = ".well-known/oauth-authorization-server"
"""Where RFC 8414 has it."""
JWKS_PATH = "jwks"
TOKEN_PATH = "token"  # noqa: S105 - a path
REVOKE_PATH = "revoke"
INTROSPECT_PATH = "introspect"
GRANT_TYPES: Tuple[str, ...] = ("client_credentials", "refresh_token", EXCHANGE_GRANT)
CLIENT_METHODS: Tuple[str, ...] = ("client_secret_basic", "client_secret_post")
SCOPES: Tuple[str, ...] = (*sorted(STORAGE | COMPUTE), "wlcg.groups", "offline_access", "openid")


def discovery(url: str, scopes: Sequence[str] = SCOPES) -> Dict[str, object]:
    """Return the document of the issuer whose string is `url`, which ends with a slash.

    `scopes` are those it speaks of, paths left out; it may sign others.
    """
    return {
        "issuer": url,
        "jwks_uri": url + JWKS_PATH,
        "token_endpoint": url + TOKEN_PATH,
        "revocation_endpoint": url + REVOKE_PATH,
        "introspection_endpoint": url + INTROSPECT_PATH,
        "grant_types_supported": list(GRANT_TYPES),
        "response_types_supported": ["none"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(ALGORITHMS),
        "token_endpoint_auth_methods_supported": list(CLIENT_METHODS),
        "revocation_endpoint_auth_methods_supported": list(CLIENT_METHODS),
        "introspection_endpoint_auth_methods_supported": list(CLIENT_METHODS),
        "scopes_supported": list(scopes),
        "claims_supported": [
            "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope", "client_id", "wlcg.ver",
            "wlcg.groups", "act",
        ],
    }  # fmt: skip


def key_set(keys: Iterable[SigningKey]) -> bytes:
    """Return the JWK set of these keys' public halves, in this order (RFC 7517 section 5)."""
    entries = [
        {**json.loads(key.halves.public), "kid": key.key_id, "alg": key.algorithm, "use": "sig"}
        for key in keys
    ]
    return json.dumps({"keys": entries}, separators=(",", ":")).encode()
