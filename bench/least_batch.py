"""The least that a batch of tokens for files takes which are signed and written down.

A loop that reads the request, compares each path with one folder, signs by the broker's own signer,
has the broker's own trail put a line for each token on disk, and writes the lines of the answer. It
decides nothing, checks no entry and no revocation, and gives nobody else a turn: a limit for whoever
does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha1, sha256
from typing import TYPE_CHECKING

import msgspec

from credbroker.wire.compact import part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credbroker.broker.issuing.keyring import Signer
    from credbroker.ports import Audit, Clock, Entropy

SECONDS = 3600
AT_ONCE = 256
_ENCODER = msgspec.json.Encoder()
_FOLDER = "/dteam/"


@dataclass(frozen=True)
class LeastBatch:
    """One client's, with one key."""

    url: str
    algorithm: str
    signer: Signer
    audit: Audit
    clock: Clock
    entropy: Entropy

    async def answer(self, request: bytes) -> int:
        """Answer one request; return how many tokens were in it."""
        entries = json.loads(request)["entries"]
        for start in range(0, len(entries), AT_ONCE):
            await self._piece(start, entries[start : start + AT_ONCE])
        return len(entries)

    async def _piece(self, start: int, entries: Sequence[Mapping[str, str]]) -> bytes:
        now = int(self.clock.now().timestamp())
        header = part(_ENCODER.encode({"alg": self.algorithm, "kid": "key-1", "typ": "JWT"})) + b"."
        alike = {
            "iss": self.url, "sub": "rucio", "aud": entries[0]["audience"], "client_id": "rucio",
            "iat": now, "nbf": now - 60, "exp": now + SECONDS, "wlcg.ver": "1.0",
        }  # fmt: skip
        begin = _ENCODER.encode(alike)[:-1]
        chance = self.entropy.token(18 * len(entries))
        jtis = [chance[at : at + 24] for at in range(0, len(chance), 24)]
        scopes = [_scope(entry["path"]) for entry in entries]
        drafts = [
            header + part(b'%b,"jti":"%b","scope":"%b"}' % (begin, jti.encode(), scope.encode()))
            for jti, scope in zip(jtis, scopes, strict=True)
        ]
        signatures = await self.signer.sign(drafts)
        tokens = [
            draft + b"." + part(signature)
            for draft, signature in zip(drafts, signatures, strict=True)
        ]
        lines = [
            {
                "scope": scope,
                "jti": jti,
                "sha256": sha256(token).hexdigest(),
                "fts_id": sha1(token).hexdigest()[:16],
            }
            for scope, jti, token in zip(scopes, jtis, tokens, strict=True)
        ]
        await self.audit.record_all("sign", lines, sub="rucio", iss=self.url, expires_at=now)
        return b"".join(
            [
                b'{"n":%d,"access_token":"%b","jti":"%b"}\n' % (start + at, token, jti.encode())
                for at, (token, jti) in enumerate(zip(tokens, jtis, strict=True))
            ]
        )


def _scope(path: str) -> str:
    if not path.startswith(_FOLDER):
        raise ValueError(path)
    return f"storage.read:{path}"
