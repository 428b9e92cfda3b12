"""What htgettoken asks of a server that speaks as HTVault does: one method for each request.

- Secrets go out in headers and bodies, come back wrapped, and stand in no error.
- What comes back and goes into files, headers or addresses is a token or a name, and nothing else.
- What a server says to a refusal is shown to the person, made plain and short, without what was sent
  and without anything that could be a token.
- What a refusal is, its status says; a redirect is one too. A vault token that is over and a right that
  is missing have the same status: there the words decide.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
)
from urllib.parse import quote, urlencode

from credbroker import __version__
from credbroker.client.http11 import Answer, Request
from credbroker.domain.errors import (
    BrokerUnreachable,
    CredbrokerError,
    IssuerFailed,
    LeaseUnknown,
    LoginNeeded,
    Malformed,
    NotAllowed,
    TooManyRequests,
)
from credbroker.domain.secret import Secret
from credbroker.wire.fields import Fields, parse_object

if TYPE_CHECKING:
    from credbroker.client.broker import Send

USUAL_POLL_SECONDS = 5.0
"""RFC 8628 section 3.5, where a server does not say how often it may be asked."""

_KINDS: Mapping[int, Type[CredbrokerError]] = {
    400: NotAllowed,
    401: LeaseUnknown,
    403: LeaseUnknown,
    404: LoginNeeded,
    429: TooManyRequests,
    500: IssuerFailed,
}
_REMEDY = "Log in anew, by browser, ticket or ssh key; or ask for less."
_LONGEST_WORDS = 300
# HTVault's words for every 403, and a broker's where a login would help.
_LOG_IN = ("permission denied", "to log in")
_MAY_BE_SECRET = re.compile(r"[A-Za-z0-9._~+=-]{40,}")
_UNESCAPED = "/@:,+=~"
_WORD = re.compile(r"[!-~]+\Z")

T = TypeVar("T")


@dataclass(frozen=True)
class LoggedIn:
    """What a login gave: whom the server takes the asker for, and for how long, in seconds.

    `credkey` and `to_store` come with a login by browser; the latter is handed back as it came, and is a
    refresh token where the server is an HTVault.
    """

    vault_token: Secret
    lasts_seconds: Optional[float] = None
    policies: Tuple[str, ...] = ()
    credkey: Optional[str] = None
    to_store: Optional[Secret] = None


@dataclass(frozen=True)
class BrowserLogin:
    """A login that a person confirms at `url`, with `user_code` if there is one.

    `poll` is the body of each question whether they have, which may be asked every `poll_seconds`.
    """

    url: str
    user_code: Optional[str]
    poll_seconds: float
    poll: Secret


class StillPending(Exception):
    """Nobody has confirmed the login yet; `slow_down` if the server is asked too often."""

    def __init__(self, *, slow_down: bool) -> None:
        """Say whether to ask less often."""
        super().__init__()
        self.slow_down = slow_down


class VaultServer:
    """One server; every method sends one request and raises what `_refusal` says of its answer.

    All raise `BrokerUnreachable` if no answer came, or one that another program gave.
    """

    def __init__(self, send: Send, tell: Callable[[str], None]) -> None:
        """Ask by `send`; `tell` is told of each request, without any secret."""
        self._send, self._tell = send, tell

    def begin(self, path: str, role: str, nonce: Secret, redirect_uri: str) -> BrowserLogin:
        """Begin a login by browser; `nonce` shows at each poll that it is ours."""
        asked = {"role": role, "client_nonce": nonce.reveal(), "redirect_uri": redirect_uri}
        given = dict(_part(self._ask("POST", f"{path}/auth_url", asked), "data"))
        url, code = given.pop("auth_url", None), given.pop("user_code", None)
        if not isinstance(url, str) or not url.startswith(("https://", "http://")):
            raise NotAllowed(
                "The server does not begin this login: it gave no address for the browser.",
                "Check the issuer and the role with whoever runs it.",
            )
        seconds = _seconds(given.pop("poll_interval", None))
        rest = json.dumps({**given, "client_nonce": nonce.reveal()})
        return BrowserLogin(
            url, str(code) if code else None, seconds, Secret("login in progress", rest)
        )

    def poll(self, path: str, login: BrowserLogin) -> LoggedIn:
        """Return what the login gave; raise `StillPending` while nobody confirmed it."""
        body = login.poll.reveal().encode()
        answer = self._sent("POST", f"{path}/poll", body, {})
        words = _words(answer)
        if answer.status == 400 and words[:1] in (["authorization_pending"], ["slow_down"]):
            raise StillPending(slow_down=words[0] == "slow_down")
        answer = self._checked(answer, "the login", [login.poll])
        try:
            return _logged_in(answer)
        except BrokerUnreachable as unread:  # the login is used up, so asking again would not help
            raise NotAllowed(unread.sentence, "Tell whoever runs the server.") from None

    def by_ticket(self, path: str, ticket: bytes) -> LoggedIn:
        """Log in by a Kerberos ticket's first GSS-API message."""
        shown = base64.b64encode(ticket).decode()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Authorization": f"Negotiate {shown}",
        }
        answer = self._sent("POST", f"{path}/login", b"", headers)
        return _opened(self._checked(answer, "the ticket", [Secret("ticket", shown)]))

    def nonce(self, path: str) -> str:
        """Return what an ssh key is to sign."""
        return Fields(_part(self._ask("GET", f"{path}/nonce"), "data"), "The nonce").text("nonce")

    def by_key(self, path: str, role: Optional[str], proof: Mapping[str, object]) -> LoggedIn:
        """Log in as `role` by a nonce that an ssh key signed."""
        return _opened(self._ask("POST", f"{path}/login", {"role": role, **proof}))

    def register(self, path: str, credkey: str, keys: Sequence[str], shown: Secret) -> None:
        """Let these ssh keys, and no others, log in as `credkey`."""
        self._ask("POST", f"{path}/role/{credkey}", {"public_keys": list(keys)}, shown)

    def shorten(self, shown: Secret, seconds: int, policies: Optional[Sequence[str]]) -> Secret:
        """Return a vault token that lasts so long and, if said, may no more than `policies`."""
        asked: Dict[str, object] = {"ttl": f"{seconds}s", "renewable": "false"}
        if policies is not None:
            asked["policies"] = list(policies)
        return _logged_in(self._ask("POST", "auth/token/create", asked, shown)).vault_token

    def seconds_left(self, shown: Secret) -> float:
        """Return for how many seconds a vault token is still good."""
        given = _part(self._ask("GET", "auth/token/lookup-self", shown=shown), "data")
        return _answered(lambda: Fields(given, "The answer").number("ttl"))

    def store(self, path: str, issuer: str, to_store: Secret, shown: Secret) -> None:
        """Hand back what the login gave, so that tokens can be read at `path`."""
        asked = {"server": issuer, "refresh_token": to_store.reveal()}
        self._ask("POST", path, asked, shown, [to_store])

    def read(self, path: str, query: Mapping[str, str], shown: Secret) -> Secret:
        """Return an access token."""
        given = _part(self._ask("GET", f"{path}?{urlencode(query)}", shown=shown), "data")
        return _answered(
            lambda: _secret("access token", Fields(given, "The answer"), "access_token")
        )

    def end(self, path: str, shown: Secret) -> None:
        """End the login that tokens are read from at `path`."""
        self._ask("DELETE", path, shown=shown)

    def options(self, target: str) -> str:
        """Return the text at `target`, a path with its slash."""
        answer = self._checked(self._send(Request("GET", target, _usual())), "the options")
        return answer.body.decode("utf-8", "replace")

    def _ask(
        self,
        method: str,
        path: str,
        body: Optional[Mapping[str, object]] = None,
        shown: Optional[Secret] = None,
        hidden: Sequence[Secret] = (),
    ) -> Answer:
        headers = {} if shown is None else {"X-Vault-Token": shown.reveal()}
        content = b"" if body is None else json.dumps(body).encode()
        answer = self._sent(method, path, content, headers)
        return self._checked(answer, path.partition("?")[0], [*hidden, *([shown] if shown else [])])

    def _sent(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        place, mark, query = path.partition("?")
        target = f"/v1/{quote(place, safe=_UNESCAPED)}{mark}{query}"
        answer = self._send(Request(method, target, {**_usual(), **headers}, body))
        self._tell(f"{method} /v1/{place}: status {answer.status}")
        return answer

    def _checked(self, answer: Answer, what: str, hidden: Sequence[Secret] = ()) -> Answer:
        if answer.status in {200, 204}:
            return answer
        kind = _kind(answer)
        said = _harmless(" ".join(_words(answer)), hidden) or "it does not say why"
        raise kind(
            f"The server answers {what} with status {answer.status}: {said.rstrip('.')}.", _REMEDY
        )


def _kind(answer: Answer) -> Type[CredbrokerError]:
    """Return what a refusal is; a 403 whose words speak of no login refuses what was asked for."""
    words = " ".join(_words(answer))
    if answer.status == 403 and words and not any(one in words for one in _LOG_IN):
        return NotAllowed
    return _KINDS.get(answer.status, BrokerUnreachable)


def _usual() -> Dict[str, str]:
    return {"Accept": "application/json", "User-Agent": f"credbroker/{__version__}"}


def _words(answer: Answer) -> List[str]:
    """Return what the server says went wrong."""
    try:
        return parse_object(answer.body, "The answer").texts("errors")
    except Malformed:
        return []


def _harmless(text: str, hidden: Sequence[Secret]) -> str:
    for secret in filter(None, hidden):
        text = text.replace(secret.reveal(), "(not shown)")
    text = _MAY_BE_SECRET.sub("(not shown)", text)
    return "".join(one if one.isprintable() else " " for one in text)[:_LONGEST_WORDS].strip()


def _opened(answer: Answer) -> LoggedIn:
    """Return what a login gave; raise `LoginNeeded`, as the server words it, if it opens nothing."""
    told = Fields({}, "") if answer.status == 204 else _answered(lambda: _read(answer))
    if "auth" in told:
        return _logged_in(answer)
    said = _harmless(" ".join(told.optional("warnings", told.texts) or []), ())
    raise LoginNeeded(f"This opens no login here. {said}".strip(), _REMEDY)


def _logged_in(answer: Answer) -> LoggedIn:
    return _answered(lambda: _read_login(Fields(_part(answer, "auth"), "The answer")))


def _read_login(given: Fields) -> LoggedIn:
    told = given.optional("metadata", given.object)
    to_store = told.raw("oauth2_refresh_token") if told else None
    return LoggedIn(
        vault_token=_secret("vault token", given, "client_token"),
        lasts_seconds=given.optional("lease_duration", given.number),
        policies=tuple(given.optional("policies", given.texts) or ()),
        credkey=_credkey(told) if told else None,
        to_store=Secret("refresh token", to_store) if isinstance(to_store, str) else None,
    )


def _secret(kind: str, given: Fields, name: str) -> Secret:
    value = given.text(name)
    if not _WORD.match(value):
        raise Malformed(f"What it gave as {name} is no token.")
    return Secret(kind, value)


def _credkey(told: Fields) -> Optional[str]:
    """Return whose login it is: a name that leads addresses and lines of text nowhere else."""
    name = told.optional("credkey", told.text)
    if name is not None and not (name.isprintable() and {".", ".."}.isdisjoint(name.split("/"))):
        raise Malformed("What it gave as credkey is no name.")
    return name


def _part(answer: Answer, name: str) -> Mapping[str, Any]:
    found = _answered(lambda: _read(answer).raw(name))
    if not isinstance(found, dict):
        raise BrokerUnreachable(f"What answered is no server in HTVault's way: it gave no {name}.")
    return found


def _read(answer: Answer) -> Fields:
    return parse_object(answer.body, "The answer")


def _answered(reading: Callable[[], T]) -> T:
    try:
        return reading()
    except Malformed as unread:
        raise BrokerUnreachable(
            f"What answered is no server in HTVault's way. {unread.sentence}"
        ) from None


def _seconds(said: object) -> float:
    try:
        return max(1.0, float(str(said)))
    except ValueError:
        return USUAL_POLL_SECONDS
