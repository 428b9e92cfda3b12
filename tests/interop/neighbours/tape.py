"""A tape endpoint that speaks WLCG's Tape REST API (version 1), as far as gfal2 does.

- It checks tokens as storage does: by the issuer's announced keys, the audience, and the scope that each
  operation takes, whose path lies below the community's area.
- What is asked for is online the second time that somebody looks, so that there is something to poll.
"""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from joserfc import jwk, jwt
from joserfc.errors import JoseError

from credbroker.domain.scopes import ScopeItem, ScopeSet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AREA = "/dteam"
BASE = "/api/v1/"
WELL_KNOWN = "/.well-known/wlcg-tape-rest-api"


# What each operation takes: one of these.
_TAKES = {
    "stage": ("storage.stage",),
    "release": ("storage.stage",),
    "archiveinfo": ("storage.poll", "storage.stage"),
}


@dataclass
class _Staging:
    paths: list[str]
    looks: int = 0

    def looked_at(self, name: str) -> dict[str, object]:
        self.looks += 1
        files = [{"path": one, "onDisk": self.looks > 1} for one in self.paths]
        return {"id": name, "createdAt": 0, "startedAt": 0, "files": files}


class TapeEndpoint:
    """One endpoint on this machine.

    Attributes:
        audience: How tokens name it; also where it answers.
        asked: The operations that were let through, with the scopes of the token.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        """Take a port; it answers from `start` on."""
        self.asked: list[tuple[str, str]] = []
        self._issuer_url = ""
        self._keys: Callable[[], Any] = dict
        self._staging: dict[str, _Staging] = {}
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._door())
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.audience = f"https://localhost:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def start(self, issuer_url: str, keys: Callable[[], Any]) -> None:
        """Answer, trusting the issuer whose JWK set `keys` returns."""
        self._issuer_url, self._keys = issuer_url, keys
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, token: str, body: Any) -> tuple[int, Any]:
        """Return the status and the JSON of an answer."""
        if path == WELL_KNOWN:
            uri = self.audience + BASE.rstrip("/")
            return 200, {"sitename": "here", "endpoints": [{"uri": uri, "version": "v1"}]}
        operation, _, request = path.removeprefix(BASE).strip("/").partition("/")
        staging = self._staging.get(request)
        paths = staging.paths if staging is not None else _paths(body)
        scopes = self._scopes(token)
        takes = _TAKES.get(operation, ())
        if not paths or not all(_covered(scopes, takes, one) for one in paths):
            return 403, {"title": "not with this token"}
        self.asked.append((f"{method} {operation}", str(scopes)))
        if operation == "archiveinfo":
            return 200, [{"path": one, "locality": "TAPE"} for one in paths]
        if operation == "release":
            return 200, None
        if staging is None:
            named = f"request-{len(self._staging)}"
            self._staging[named] = _Staging(paths)
            return 201, {"requestId": named}
        return 200, staging.looked_at(request)

    def _scopes(self, token: str) -> ScopeSet:
        try:
            keys = jwk.KeySet.import_key_set(self._keys())
            claims = jwt.decode(token, keys, algorithms=["RS256", "ES256"]).claims
        except (JoseError, ValueError):
            return ScopeSet(())
        ours = (claims["iss"], claims["aud"]) == (self._issuer_url, self.audience)
        return ScopeSet.parse(claims["scope"]) if ours else ScopeSet(())

    def _door(self) -> type[http.server.BaseHTTPRequestHandler]:
        endpoint = self

        class Door(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def _answer(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size) or "null")
                token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
                status, said = endpoint.answer(self.command, self.path, token, body)
                written = b"" if said is None else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(written)))
                self.end_headers()
                self.wfile.write(written)

            do_GET = do_POST = _answer  # noqa: N815 - names that http.server looks for

        return Door


def _paths(body: Any) -> list[str]:
    named = body if isinstance(body, dict) else {}
    return [*named.get("paths", []), *(one["path"] for one in named.get("files", []))]


def _covered(scopes: ScopeSet, takes: tuple[str, ...], path: str) -> bool:
    below = path.removeprefix(AREA) if path.startswith(f"{AREA}/") else ""
    return bool(below) and any(scopes.covers_item(ScopeItem(name, below)) for name in takes)
