"""FTS as its neighbours meet it: what its REST server checks of a job, and what its token daemon sends.

FTS itself is in no package. Here are its words, byte by byte, as release 3.14 writes them:

- The token daemon writes forms without encoding anything: spaces, colons and slashes go as they are.
- It takes an answer for good if its status is 200 and it holds what is needed of it, and nothing else.
- The REST server takes a job whose tokens hold `iss`, `nbf`, `exp`, `scope` and `aud`, are signed by
  the issuer, and fit into its columns.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from joserfc import jwt
from joserfc.jwk import KeySet

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from tests.interop.neighbours.issuer_world import IssuerWorld

# The columns `scope` and `audience` of the table of tokens hold so many characters.
COLUMN = 1024
_PATIENCE_SECONDS = 20.0


class Refused(Exception):
    """FTS holds an answer, or a token, for no good; the sentence is what it would write down."""


@dataclass(frozen=True, slots=True)
class Managed:
    """A token as FTS keeps it.

    Attributes:
        value: The access token itself.
        scope: What the next request names, separated by spaces.
        audience: The same of audiences.
    """

    value: str
    scope: str
    audience: str


def checked(token: str, jwks: Any, issuer: str) -> Managed:
    """Return what the REST server keeps of a job's token.

    Raises:
        Refused: It would refuse the job.
    """
    try:
        claims = jwt.decode(token, KeySet.import_key_set(jwks), algorithms=["RS256"]).claims
    except ValueError as error:
        raise Refused(f"the signature is no good: {error}") from error
    for needed in ("iss", "nbf", "exp", "scope", "aud"):
        if needed not in claims:
            raise Refused(f"{needed} is missing")
    if claims["iss"] != issuer:
        raise Refused("the issuer is not known")
    audience = claims["aud"]
    kept = Managed(
        token, claims["scope"], audience if isinstance(audience, str) else " ".join(audience)
    )
    if max(len(kept.scope), len(kept.audience)) > COLUMN:
        raise Refused("a column is too short")
    return kept


class TokenDaemon:
    """Gets refresh tokens for tokens of jobs, and access tokens for those, over a socket of its own."""

    def __init__(self, issuer: IssuerWorld, client: str, provider: str | None = None) -> None:
        """Be `client` at an issuer whose URL FTS knows as `provider`, with its final slash."""
        self._issuer = issuer
        self._provider = provider or issuer.url
        secret = f"{client}:{issuer.secrets[client]}".encode()
        self._authorization = "Basic " + base64.b64encode(secret).decode()
        # FTS asks for it once an hour.
        self._endpoint: str | None = None

    def exchange(self, token: Managed) -> str:
        """Return the refresh token for a token of a job. Raises `Refused`."""
        answer = self._answer(
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange"
            "&requested_token_type=urn:ietf:params:oauth:token-type:refresh_token"
            "&subject_token_type=urn:ietf:params:oauth:token-type:access_token"
            f"&subject_token={token.value}&scope={token.scope}&audience={token.audience}"
        )
        return _needed(answer, "refresh_token")

    def refresh(self, refresh_token: str, token: Managed) -> tuple[str, int, str]:
        """Return an access token, the seconds it lives, and the refresh token to use next.

        Raises `Refused`.
        """
        answer = self._answer(
            "grant_type=refresh_token"
            f"&refresh_token={refresh_token}&scope={token.scope}&audience={token.audience}"
        )
        following = answer.get("refresh_token") or refresh_token
        seconds = int(_needed(answer, "expires_in"))
        return _needed(answer, "access_token"), seconds, following

    def _answer(self, form: str) -> dict[str, Any]:
        if self._endpoint is None:
            metadata = self._spoken("GET", self._provider + ".well-known/openid-configuration")
            self._endpoint = _needed(metadata, "token_endpoint")
        return self._spoken("POST", self._endpoint, form)

    def _spoken(self, method: str, url: str, form: str = "") -> dict[str, Any]:
        host, path = url.removeprefix("https://").split("/", 1)
        lines = [f"{method} /{path} HTTP/1.1", "User-Agent: fts_token/3.14", f"Host: {host}"]
        if form:
            lines += [
                f"Authorization: {self._authorization}",
                "Content-Type: application/x-www-form-urlencoded",
                f"Content-Length: {len(form)}",
            ]
        said = "\r\n".join([*lines, "Connection: close", "", form])
        status, body = self._exchanged(said.encode())
        if status != 200:
            raise Refused(_as_failure(body))
        read = json.loads(body)
        assert isinstance(read, dict)
        return read

    def _exchanged(self, said: bytes) -> tuple[int, bytes]:
        trust = ssl.create_default_context(cafile=str(self._issuer.ca_file))
        address = ("127.0.0.1", self._issuer.port)
        with (
            socket.create_connection(address, timeout=_PATIENCE_SECONDS) as plain,
            trust.wrap_socket(plain, server_hostname="127.0.0.1") as line,
        ):
            line.sendall(said)
            heard = b"".join(iter(lambda: line.recv(65536), b""))
        head, _, body = heard.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), body


@dataclass
class RestServer:
    """Takes jobs over HTTPS as FTS's REST server does, and keeps them.

    Attributes:
        issuer: Whose tokens it takes.
        audience: What a token that submits must be for.
        jobs: Every job that was taken.
        refused: Why others were not.
    """

    issuer: IssuerWorld
    audience: str
    jobs: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def start(self, authority: Authority, folder: Path) -> Self:
        """Listen, until `close`."""
        taken = self

        class Submission(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = taken.submit(self.headers.get("Authorization", ""), body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *words: object) -> None:
                """Say nothing."""

        certificate, key = authority.issue("fts", folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Submission)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where jobs go."""
        return f"https://localhost:{self._server.server_address[1]}"

    def submit(self, authorization: str, body: bytes) -> tuple[int, bytes]:
        """Take a job, or refuse it."""
        try:
            self.jobs.append(self._taken(authorization.removeprefix("Bearer "), body))
        except Refused as error:
            self.refused.append(str(error))
            return 403, json.dumps({"message": str(error)}).encode()
        return 200, json.dumps({"job_id": f"job-{len(self.jobs)}"}).encode()

    def _taken(self, token: str, body: bytes) -> dict[str, Any]:
        jwks = self.issuer.jwks()
        submitting = checked(token, jwks, self.issuer.url)
        if submitting.audience != self.audience or "fts" not in submitting.scope.split():
            raise Refused("this token may not submit")
        job: dict[str, Any] = json.loads(body)
        for file in job["files"]:
            for name in ("source_tokens", "destination_tokens"):
                file[name] = [checked(one, jwks, self.issuer.url) for one in file[name]]
        return job


def _needed(answer: dict[str, Any], name: str) -> str:
    """Read a field as FTS does: numbers and texts are texts, what is missing is empty."""
    if value := str(answer.get(name, "")):
        return value
    raise Refused(f"Response JSON did not contain {name} key")


def _as_failure(body: bytes) -> str:
    """Return what becomes the failure message of each transfer that waits for the token."""
    answer = json.loads(body)
    return f"[{_needed(answer, 'error')}]: {_needed(answer, 'error_description')}"
