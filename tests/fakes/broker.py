"""A tiny broker that speaks `wire.native`: as a function for unit tests, and served over TLS.

It keeps the promises that clients rely on and signs nothing. `problems` holds errors to answer
with next; None among them lets one request pass.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import http.server
import json
import ssl
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from credbroker.client.http11 import Answer, Request
from credbroker.domain.attenuation import ANY_AUDIENCE
from credbroker.domain.errors import (
    CredbrokerError,
    LeaseEnded,
    LeaseUnknown,
    LoginDenied,
    NotAllowed,
    NotFound,
)
from credbroker.domain.leases import LeaseToken
from credbroker.domain.secret import Secret
from credbroker.domain.starts import Start, Starts, Verdict
from credbroker.wire import choosing, native
from credbroker.wire.fields import parse_object
from credbroker.wire.problem import problem_of, write_problem

if TYPE_CHECKING:
    from pathlib import Path

ISSUER_URL = "https://issuer.example.org/"
LOGIN_SCOPES = ["openid", "offline_access", "storage.read:/"]
SHORTER_LEASES = "/v1/auth/token/create"


class WallClock(Protocol):
    """What the fake needs to know of time."""

    def now(self) -> datetime.datetime:
        """Return the wall-clock time, aware, in UTC."""


def lease_token(number: int) -> Secret:
    """Return a lease token of the right form; each number gives another."""
    return Secret("lease token", f"cb_{number:022d}.{'s' * 43}")


def access_token(
    now: datetime.datetime, *, seconds: float = 3600, jti: str = "jti-1", **claims: object
) -> Secret:
    """Return an access token of the right form that nobody signed; None takes a claim away."""
    said = {
        "wlcg.ver": "1.0",
        "iss": ISSUER_URL,
        "sub": "alice-sub",
        "aud": ANY_AUDIENCE,
        "iat": int(now.timestamp()),
        "nbf": int(now.timestamp()) - 60,
        "exp": int(now.timestamp() + seconds),
        "jti": jti,
        "scope": "storage.read:/",
        **claims,
    }
    parts = [{"alg": "RS256", "kid": "k1"}, {k: v for k, v in said.items() if v is not None}]
    texts = [json.dumps(part).encode() for part in parts] + [b"not a signature"]
    return Secret(
        "access token",
        ".".join(base64.urlsafe_b64encode(text).rstrip(b"=").decode() for text in texts),
    )


@dataclass
class FakeBroker:
    """The broker as one function from request to answer."""

    clock: WallClock
    issuers: dict[str, list[str]] = field(
        default_factory=lambda: {"cms": ["default", "production"]}
    )
    lifetime_seconds: float = 3600
    renew_fraction: float = 0.5
    approved: bool = True
    denied: bool = False
    grant_state: str = "ready"
    same_token: bool = False
    longest_lease_seconds: int = 27 * 86400
    page: str = f"{ISSUER_URL}device"
    """Where a login is confirmed."""
    told: dict[str, Any] = field(default_factory=dict)
    """What it says of a lease beside the usual, by the fields of `native.LeaseStatus`."""
    claims: dict[str, object] = field(default_factory=dict)
    problems: deque[CredbrokerError | None] = field(default_factory=deque)
    requests: list[Request] = field(default_factory=list)
    leases: dict[str, str | None] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    given: list[native.TokenGiven] = field(default_factory=list)
    chains: dict[str, Starts] = field(default_factory=dict)
    """What is known of each lease whose secrets are used once, by its id."""
    verdicts: list[Verdict] = field(default_factory=list)
    verifies: bool = True
    notices: choosing.NoticesChosen = field(
        default_factory=lambda: choosing.NoticesChosen(True, True, "alice@example.org")
    )
    takes_no_step: bool = False
    """As while OpenBao/Vault is away."""
    _pending: dict[str, native.LoginStarted] = field(default_factory=dict)

    def __call__(self, request: Request) -> Answer:
        """Answer one request."""
        self.requests.append(request)
        headers = {
            "date": self.clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT"),
            "x-request-id": request.headers["X-Request-Id"],
        }
        try:
            problem = self.problems.popleft() if self.problems else None
            if problem is not None:
                raise problem
            status, body = self._route(request)
        except CredbrokerError as error:
            return Answer(503, headers, write_problem(error, "req-1"))
        return Answer(status, headers, body)

    def new_lease(self, job: str | None = None, starts: int | None = None) -> Secret:
        """Make a lease that may be used at once; with `starts` its secrets are used once."""
        token = lease_token(len(self.leases) + len(self._pending) + 1)
        self.leases[token.reveal()] = job
        if starts is not None:
            shown = LeaseToken.parse(token.reveal())
            self.chains[shown.id] = Starts.of(shown.secret, starts)
        return token

    def count(self, target: str) -> int:
        """Return how many requests went to `target`."""
        return sum(one.target == target for one in self.requests)

    def _route(self, request: Request) -> tuple[int, bytes]:
        deeds = {
            ("GET", native.ISSUERS): self._issuers,
            ("POST", native.LOGINS): self._start,
            ("POST", native.LOGIN_POLL): self._poll,
            ("POST", native.TOKENS): self._token,
            ("POST", native.TOKENS_BATCH): self._tokens,
            ("POST", native.TOKENS_INSPECT): self._inspect,
            ("POST", native.LEASES): self._lease,
            ("GET", native.LEASE_SELF): self._status,
            ("DELETE", native.LEASE_SELF): self._end,
            ("POST", SHORTER_LEASES): self._shorter,
            ("DELETE", native.GRANT_SELF): self._log_out,
            ("GET", choosing.NOTICES): self._notices,
            ("PUT", choosing.NOTICES): self._notices,
        }
        return deeds[request.method, request.target](request)

    def _inspect(self, request: Request) -> tuple[int, bytes]:
        self._caller(request)
        native.AskInspect.read(request.body)
        return 200, native.Inspected(self.verifies, "As the test has it.").write()

    def _issuers(self, _: Request) -> tuple[int, bytes]:
        offered = [native.IssuerOffered(name, roles) for name, roles in self.issuers.items()]
        return 200, native.IssuersOffered(offered).write()

    def _start(self, request: Request) -> tuple[int, bytes]:
        wanted = native.StartLogin.read(request.body)
        if wanted.issuer not in self.issuers:
            raise NotFound(f"There is no issuer {wanted.issuer}.")
        token = lease_token(len(self.leases) + len(self._pending) + 1)
        started = native.LoginStarted(
            login_token=token,
            issuer=wanted.issuer,
            role=wanted.role or self.issuers[wanted.issuer][0],
            scopes=LOGIN_SCOPES,
            user_code="ABCD-EFGH",
            verification_uri=self.page,
            verification_uri_complete=f"{self.page}?user_code=ABCD-EFGH",
            expires_at=self.clock.now() + datetime.timedelta(seconds=600),
            interval_seconds=1,
        )
        self._pending[token.reveal()] = started
        return 201, started.write()

    def _poll(self, request: Request) -> tuple[int, bytes]:
        shown = _shown(request)
        if shown not in self._pending and shown not in self.leases:
            raise LeaseUnknown("This lease is not known here.")
        if self.denied:
            raise LoginDenied("The person said no.")
        if not self.approved:
            return 200, native.LoginState(done=False, interval_seconds=5).write()
        self._pending.pop(shown, None)
        self.leases[shown] = None
        return 200, native.LoginState(
            done=True,
            interval_seconds=5,
            credkey="alice",
            lease_ends_at=self._in(27 * 86400),
            issuer_url=ISSUER_URL,
        ).write()

    def _token(self, request: Request) -> tuple[int, bytes]:
        wanted = native.AskToken.read(request.body)
        taken = self._step(request, wanted.next_hash)
        if self.same_token and self.given:
            return 200, self.given[-1].write()
        scopes = wanted.scopes or ["storage.read:/"]
        audiences = wanted.audiences or [ANY_AUDIENCE]
        jti = f"jti-{len(self.given) + 1}"
        claims = {"scope": " ".join(scopes), "aud": audiences, "jti": jti, **self.claims}
        given = native.TokenGiven(
            access_token=access_token(
                self.clock.now(),
                seconds=self.lifetime_seconds,
                **claims,  # type: ignore[arg-type] # jti among them
            ),
            issuer="cms",
            issuer_url=ISSUER_URL,
            scopes=scopes,
            audiences=audiences,
            jti=jti,
            expires_at=self._in(self.lifetime_seconds),
            renew_at=self._in(self.lifetime_seconds * self.renew_fraction),
            next_taken=taken,
        )
        self.given.append(given)
        return 200, given.write()

    def _tokens(self, request: Request) -> tuple[int, bytes]:
        entries = native.AskTokens.read(request.body).entries
        return 200, native.TokensGiven([self._entry(one) for one in entries]).write()

    def _entry(self, entry: native.AskUnder) -> native.TokenOrProblem:
        headers = {"Authorization": f"Bearer {entry.lease_token.reveal()}"}
        wanted = native.AskToken(entry.scopes, entry.audiences, entry.minimum_seconds)
        try:
            _, body = self._token(Request("POST", native.TOKENS, headers, wanted.write()))
        except CredbrokerError as error:
            return native.TokenOrProblem(problem=problem_of(error, "req-1"))
        given = native.TokenGiven.read(body)
        return native.TokenOrProblem(given=given, lease_id=entry.lease_id)

    def _lease(self, request: Request) -> tuple[int, bytes]:
        self._caller(request)
        wanted = native.AskLease.read(request.body)
        token = self.new_lease(wanted.job, wanted.starts)
        ends_at = self._in(min(wanted.lifetime_seconds, self.longest_lease_seconds))
        return 201, native.LeaseGiven(token, "lease-id", wanted.job, ends_at).write()

    def _shorter(self, request: Request) -> tuple[int, bytes]:
        try:
            self._caller(request)
        except (LeaseEnded, LeaseUnknown):
            return 403, b'{"errors":["permission denied"]}'
        fields = parse_object(request.body, "The request")
        seconds = int(fields.text("ttl").rstrip("s")) if "ttl" in fields else 86400
        given = {"client_token": self.new_lease().reveal(), "lease_duration": seconds}
        return 200, json.dumps({"auth": given}).encode()

    def _status(self, request: Request) -> tuple[int, bytes]:
        job = self.leases[self._caller(request)]
        return 200, native.LeaseStatus(
            issuer="cms",
            role="default",
            credkey="alice",
            scopes=LOGIN_SCOPES,
            lease_ends_at=self._in(86400),
            grant_state=self.grant_state,
            last_refresh_at=self._in(-120),
            job=job,
            **self.told,
        ).write()

    def _end(self, request: Request) -> tuple[int, bytes]:
        self.ended.add(self._caller(request))
        return 204, b""

    def _log_out(self, request: Request) -> tuple[int, bytes]:
        self._caller(request)
        self.ended.update(self.leases)
        return 200, native.LoggedOut(True, self._in(1800)).write()

    def _notices(self, request: Request) -> tuple[int, bytes]:
        self._caller(request)
        if request.method == "PUT":
            wanted = choosing.ChooseNotices.read(request.body)
            self.notices = dataclasses.replace(self.notices, mail=wanted.mail)
        return 200, self.notices.write()

    def _step(self, request: Request, next_hash: str | None) -> bool | None:
        """Check the lease, and take a step if its secrets are used once; see `broker.stepping`."""
        shown = LeaseToken.parse(_shown(request))
        if shown.id not in self.chains:
            self._caller(request)
            return None
        if next_hash is None:
            raise NotAllowed("Each request under this job's lease must name its next secret.")
        starts = self.chains[shown.id]
        verdict = starts.judge(shown.secret, next_hash, self.clock.now())
        self.verdicts.append(verdict)
        if verdict is Verdict.UNKNOWN:
            raise LeaseUnknown("This lease is not known here.")
        if any(LeaseToken.parse(one).id == shown.id for one in self.ended):
            raise LeaseEnded("This lease was ended.")
        if starts.alarm is not None or verdict is Verdict.REUSED:
            alarm = starts.alarm or Start(self.clock.now(), "192.0.2.7")
            self.chains[shown.id] = dataclasses.replace(starts, alarm=alarm)
            raise LeaseEnded("This job's lease was stopped.")
        if verdict in {Verdict.SPENT, Verdict.LATE}:
            raise NotAllowed("This job was started too often, or this is an old request of it.")
        if self.takes_no_step:
            return False
        if verdict is not Verdict.REPEAT:
            by = Start(self.clock.now(), "192.0.2.7")
            self.chains[shown.id] = starts.gone_on(shown.secret_hash(), next_hash, by)
        return True

    def _caller(self, request: Request) -> str:
        shown = _shown(request)
        if shown not in self.leases:
            raise LeaseUnknown("This lease is not known here.")
        if shown in self.ended:
            raise LeaseEnded("This lease was ended.")
        return shown

    def _in(self, seconds: float) -> datetime.datetime:
        return self.clock.now() + datetime.timedelta(seconds=seconds)


def _shown(request: Request) -> str:
    of_vault = request.headers.get("X-Vault-Token", "")
    return request.headers.get("Authorization", of_vault).removeprefix("Bearer ")


class ServedBroker:
    """A fake broker behind real TLS on loopback, in threads of its own; `url` is its address."""

    def __init__(self, broker: FakeBroker, certificate: Path, key: Path) -> None:
        """Listen on a free port of 127.0.0.1, with this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

        class Bound(_Speaker):
            serves = broker

        self._server = _QuietServer(("127.0.0.1", 0), Bound)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the port; connections to it are refused from now on."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _QuietServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that breaks off is part of the tests."""


class _Speaker(http.server.BaseHTTPRequestHandler):
    serves: FakeBroker

    def _speak(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        answer = self.serves(Request(self.command, self.path, dict(self.headers), body))
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_DELETE = _speak  # noqa: N815 - names that http.server looks for

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""
