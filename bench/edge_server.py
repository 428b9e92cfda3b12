"""`python -m bench.edge_server CERTIFICATE KEY MILLISECONDS`: gives out tokens and does nothing else.

It speaks TLS and HTTP/1.1, and answers every request so long after it came: HTVault's GET for one
token, the broker's POST for one, and its POST for a batch. It prints its port as JSON and runs until
its standard input ends.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import ssl
import sys

from credbroker.host.clock import SystemClock
from credbroker.wire import native

ISSUER = "https://issuer.example.org"
SCOPE = "storage.read:/"
AUDIENCE = "https://wlcg.cern.ch/jwt/v1/any"
LIFE = datetime.timedelta(hours=2)
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: %s\r\nContent-Length: %d\r\n\r\n"
)


class Tokens:
    """Answers as the servers have them, made once."""

    def __init__(self, now: datetime.datetime) -> None:
        """Let every token end two hours from `now`."""
        expires_at = now + LIFE
        self._date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").encode()
        token = _token(now, expires_at)
        given = {
            "access_token": token,
            "issuer": "wlcg",
            "issuer_url": ISSUER,
            "scopes": [SCOPE],
            "audiences": [AUDIENCE],
            "jti": "bench",
            "expires_at": _instant(expires_at),
            "renew_at": _instant(now + LIFE / 2),
        }
        self._one = json.dumps(given).encode()
        self._of_batch = json.dumps({"given": given})[:-1] + ', "lease_id": "%s"}'
        self._of_htvault = json.dumps({"data": {"access_token": token}}).encode()

    def answer(self, request: bytes, body: bytes) -> bytes:
        """Return the whole answer to a request."""
        if request.startswith(b"GET "):
            said = self._of_htvault
        elif request.startswith(f"POST {native.TOKENS_BATCH} ".encode()):
            leases = [one["lease_token"] for one in json.loads(body)["entries"]]
            each = [self._of_batch % lease.partition(".")[0] for lease in leases]
            said = ('{"entries": [' + ", ".join(each) + "]}").encode()
        else:
            said = self._one
        return _HEAD % (self._date, len(said)) + said


class Answering(asyncio.Protocol):
    """One connection; its requests come one after the other."""

    def __init__(self, tokens: Tokens, seconds: float) -> None:
        """Answer `seconds` after each request."""
        self._tokens = tokens
        self._seconds = seconds
        self._unread = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        head, end, rest = self._unread.partition(b"\r\n\r\n")
        if not end or len(rest) < _length(head):
            return
        self._unread = b""
        if self._seconds:
            asyncio.get_running_loop().call_later(self._seconds, self._answer, head, rest)
        else:
            self._answer(head, rest)

    def _answer(self, head: bytes, body: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._tokens.answer(head, body))


def _length(head: bytes) -> int:
    _, found, after = head.lower().partition(b"content-length:")
    return int(after.split(b"\r\n", 1)[0]) if found else 0


def _token(now: datetime.datetime, expires_at: datetime.datetime) -> str:
    claims = {
        "wlcg.ver": "1.0",
        "iss": ISSUER,
        "sub": "b2a7c4de-0c3f-4b3f-9d4e-5f6a7b8c9d0e",
        "aud": AUDIENCE,
        "scope": SCOPE,
        "jti": "bench",
        "iat": int(now.timestamp()),
        "nbf": int(now.timestamp()),
        "exp": int(expires_at.timestamp()),
    }
    header = {"alg": "ES256", "kid": "bench", "typ": "at+jwt"}
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), bytes(64))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def _instant(at: datetime.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


async def _serve(certificate: str, key: str, seconds: float) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    tokens, loop = Tokens(SystemClock().now()), asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Answering(tokens, seconds), "127.0.0.1", 0, ssl=tls, backlog=1024
    )
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2], float(sys.argv[3]) / 1000))
