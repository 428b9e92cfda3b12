"""`python -m bench.least_issuer PORT`: the least that a token takes which is signed and written down.

One route of aiohttp that reads the form, compares the secret's hash, signs by the broker's own signer,
and has the broker's own trail put a line on disk before it answers. It decides nothing, knows
no policy and no revocation, and gives its requests no ids: a limit for whoever does.
"""

from __future__ import annotations

import base64
import hmac
import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from bench.peer_app import serve_peer
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.issuers.signers import OwnKeysmith
from credbroker.telemetry.audit import AuditTrail
from credbroker.wire.compact import part, put_together

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 3600


class Issuer:
    """One client's, with one key."""

    def __init__(self, given: Mapping[str, str]) -> None:
        """Know the client, what it may have, and where the trail is to lie."""
        self._given, self._algorithm = given, given["algorithm"]
        self._shown = sha256(f"{given['client_id']}:{given['secret']}".encode()).digest()
        self._clock, self._entropy = SystemClock(), SystemEntropy()
        self._smith = OwnKeysmith()
        self._trail = AuditTrail(Path(given["folder"]), f"least-{self._algorithm}", self._clock)

    async def open(self, _app: web.Application) -> None:
        """Make the key."""
        self._signer = self._smith.signer(await self._smith.make(self._algorithm))
        head = {"alg": self._algorithm, "kid": "key-1"}
        self._header = part(json.dumps(head).encode()) + b"."

    async def token(self, request: web.Request) -> web.Response:
        """Answer the token endpoint."""
        form = await request.post()
        shown = base64.b64decode(request.headers["Authorization"].removeprefix("Basic "))
        if not hmac.compare_digest(sha256(shown).digest(), self._shown):
            raise web.HTTPUnauthorized
        now, jti = int(self._clock.now().timestamp()), self._entropy.token(18)
        claims = {
            "iss": "http://127.0.0.1/", "sub": self._given["client_id"], "aud": form["audience"],
            "scope": form["scope"], "iat": now, "exp": now + SECONDS, "jti": jti, "wlcg.ver": "1.0",
        }  # fmt: skip
        signed = self._header + part(json.dumps(claims).encode())
        [signature] = await self._signer.sign([signed])
        token = put_together(signed, signature)
        await self._trail.record("sign", jti=jti, sha256=token.digest(), sub=claims["sub"])
        said = {"access_token": token.reveal(), "token_type": "Bearer", "expires_in": SECONDS}
        return web.json_response(said)


def _app(given: Mapping[str, str]) -> web.Application:
    issuer, app = Issuer(given), web.Application()
    app.on_startup.append(issuer.open)
    app.router.add_post("/token", issuer.token)
    return app


if __name__ == "__main__":
    serve_peer(_app)
