"""An issuer's documents say what relying parties are known to need."""

from __future__ import annotations

import datetime
import json
from urllib.parse import urljoin

from credbroker.domain.secret import Secret
from credbroker.domain.signing_keys import KeyHalves, SigningKey
from credbroker.wire.issuer_documents import discovery, key_set
from tests.unit.things import NOON

URL = "https://tokens.example.org:8200/dteam/"


def test_the_issuer_is_named_byte_for_byte() -> None:
    """With its final slash; everything else lies below it."""
    document = discovery(URL)
    assert document["issuer"] == URL
    for name in ("jwks_uri", "token_endpoint", "revocation_endpoint", "introspection_endpoint"):
        assert str(document[name]).startswith(URL)
    assert document["jwks_uri"] == URL + "jwks"
    assert document["token_endpoint"] == urljoin(URL, "token")


def test_every_member_that_the_standards_require_is_there() -> None:
    """RFC 8414 section 2, and OpenID Connect Discovery section 3 but for what needs a browser."""
    required = {
        "issuer", "token_endpoint", "jwks_uri", "response_types_supported",
        "subject_types_supported", "id_token_signing_alg_values_supported",
    }  # fmt: skip
    document = discovery(URL)
    assert required <= set(document)
    # RFC 8414 section 2: there is no default for these two without an authorization endpoint.
    assert "authorization_endpoint" not in document
    assert "authorization_code" not in str(document["grant_types_supported"])


def test_a_key_set_shows_public_halves_only() -> None:
    """With `kid`, `alg` and `use`, in the order given."""
    keys = [
        SigningKey(
            KeyHalves(name, algorithm, public, Secret("signing key", "-----BEGIN PRIVATE")),
            NOON, NOON, 60.0, NOON + datetime.timedelta(days=1),
        )
        for name, algorithm, public in (("2", "ES256", '{"kty":"EC"}'), ("1", "RS256", '{"kty":"RSA"}'))
    ]  # fmt: skip
    assert json.loads(key_set(keys)) == {
        "keys": [
            {"kty": "EC", "kid": "2", "alg": "ES256", "use": "sig"},
            {"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig"},
        ]
    }
    assert key_set([]) == b'{"keys":[]}'
