"""Signing keys in a transit engine of OpenBao or Vault, whose private halves never leave it.

Keys are made so that they cannot be exported or deleted, each under a name of its own; a batch goes
out as one request. What is published is a key's first version, so that one alone signs, also where
somebody has rotated the key in the engine. What signing needs of the store is the price: it is asked
for every signature.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final

from credbroker.domain.errors import StoreMisconfigured, StoreUnavailable
from credbroker.ports import Entropy
from credbroker.stores.vault import VaultClient
from credbroker.stores.vault_answers import json_of

_FIRST: Final = "vault:v1:"
NAME_PREFIX: Final = "credbroker-"
_KINDS: Final = {"RS256": "rsa-2048", "ES256": "ecdsa-p256"}
# RFC 7515's own form of an ECDSA signature; an RSA signature is the same in both.
_HOW: Final = {
    "key_version": 1,
    "hash_algorithm": "sha2-256",
    "signature_algorithm": "pkcs1v15",
    "marshaling_algorithm": "jws",
}


class TransitKeys:
    """Makes keys in one transit engine and signs with them. Follows `issuers.signers.RemoteKeys`."""

    def __init__(self, client: VaultClient, mount: str, entropy: Entropy) -> None:
        """Use the engine that is mounted at `mount`."""
        self._client = client
        self._mount = mount
        self._entropy = entropy

    async def make(self, algorithm: str) -> tuple[str, str]:
        """Return the name of a new key and its public half (PEM). Raises `StoreUnavailable` kinds."""
        name = NAME_PREFIX + self._entropy.token(16)
        await self._client.post(
            f"{self._mount}/keys/{name}",
            {"type": _KINDS[algorithm], "exportable": False, "allow_plaintext_backup": False},
        )
        answer = await self._client.get(f"{self._mount}/keys/{name}")
        found = json_of(answer).get("data") if answer is not None else None
        try:
            return name, str(_mapping(_mapping(_mapping(found)["keys"])["1"])["public_key"])
        except KeyError:
            raise StoreMisconfigured(
                f"The transit engine at {self._mount}/ is missing, or makes no {algorithm} keys."
            ) from None

    async def sign(self, name: str, many: Sequence[bytes]) -> list[bytes]:
        """Return the JWS signature of each, in the same order. Raises `StoreUnavailable` kinds."""
        inputs = [{"input": base64.b64encode(one).decode()} for one in many]
        body = {"batch_input": inputs, **_HOW}
        answer = await self._client.post(f"{self._mount}/sign/{name}", body)
        results = _mapping(json_of(answer).get("data")).get("batch_results")
        if not isinstance(results, list) or len(results) != len(many):
            raise StoreUnavailable("OpenBao/Vault answered a signing without signatures.")
        return [_signature(one) for one in results]


def _signature(result: object) -> bytes:
    """Read `vault:v1:...`, which `jws` writes in base64url without padding (RFC 7515 section 2)."""
    text = str(_mapping(result).get("signature", "")).removeprefix(_FIRST)
    try:
        signature = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        signature = b""
    if not signature:
        raise StoreUnavailable("OpenBao/Vault answered a signing without signatures.")
    return signature


def _mapping(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}
