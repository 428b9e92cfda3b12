"""The issuer's signing keys: one RS256 and one ES256 in use, others published beside them.

Every key carries a `kid`, the RFC 7638 thumbprint of its public half, and every token names it.
A key is published from the moment it exists here until it is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

if TYPE_CHECKING:
    from credbroker.demo.issuer.settings import Algorithm

ALGORITHMS: tuple[Algorithm, ...] = ("RS256", "ES256")


class SigningKeys:
    """What this issuer signs with and what its JWKS shows."""

    def __init__(self) -> None:
        """Make one key per algorithm; the RSA one costs some tens of milliseconds."""
        self._used: dict[Algorithm, RSAKey | ECKey] = {alg: _make(alg) for alg in ALGORITHMS}
        self._prepared: dict[Algorithm, RSAKey | ECKey] = {}
        self._retired: list[RSAKey | ECKey] = []

    def prepare(self, algorithm: Algorithm) -> str:
        """Publish the next key of an algorithm without using it; return its `kid`."""
        self._prepared[algorithm] = _make(algorithm)
        return _kid(self._prepared[algorithm])

    def rotate(self, algorithm: Algorithm) -> str:
        """Sign with the prepared key from now on, or a new one; return its `kid`.

        The key used so far stays published until `drop_retired`.
        """
        self._retired.append(self._used[algorithm])
        if algorithm not in self._prepared:
            self.prepare(algorithm)
        self._used[algorithm] = self._prepared.pop(algorithm)
        return _kid(self._used[algorithm])

    def drop_retired(self) -> None:
        """Take the keys no longer used out of the JWKS."""
        self._retired.clear()

    def jwks(self) -> dict[str, Any]:
        """Return the public JWK Set (RFC 7517 section 5)."""
        return {"keys": [key.as_dict(private=False) for key in self._all()]}

    def sign(self, claims: dict[str, Any], algorithm: Algorithm) -> str:
        """Return the claims as a signed JWT whose header holds `alg` and `kid` only."""
        return _encode(claims, algorithm, self._used[algorithm])

    def forge(self, claims: dict[str, Any], algorithm: Algorithm) -> str:
        """Return a JWT that names our key but is signed by another: its signature is wrong."""
        return _encode(claims, algorithm, _make(algorithm), _kid(self._used[algorithm]))

    def read(self, text: str) -> dict[str, Any] | None:
        """Return the claims of a JWT signed by a published key, or None; times are not checked."""
        try:
            return dict(jwt.decode(text, KeySet(self._all()), algorithms=list(ALGORITHMS)).claims)
        except (JoseError, ValueError):
            return None

    def _all(self) -> list[Any]:
        return [*self._used.values(), *self._prepared.values(), *self._retired]


def _make(algorithm: Algorithm) -> RSAKey | ECKey:
    if algorithm == "RS256":
        return RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
    return ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)


def _kid(key: RSAKey | ECKey) -> str:
    return str(key.kid)


def _encode(
    claims: dict[str, Any], algorithm: Algorithm, key: RSAKey | ECKey, kid: str | None = None
) -> str:
    header = {"alg": algorithm, "kid": kid or _kid(key)}
    return jwt.encode(header, claims, key, algorithms=[algorithm], default_type=None)
