"""A storage service without a socket, and the tokens that a program holds for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from credbroker.client.holding import Holding, Taken, Wish
from credbroker.wire.jwt import read_access_token
from tests.fakes.broker import access_token
from tests.fakes.step_clock import StepClock

DAV = "https://dav.example.org"
REDIRECTS = {
    "/near": f"{DAV}/file",
    "/far": "https://far.example.org/file",
    "/port": f"{DAV}:8443/file",
    "/plain": "http://dav.example.org/file",
}
LIFE_SECONDS = 3600.0


@dataclass(frozen=True)
class Seen:
    """One request as it came."""

    method: str
    url: str
    bearer: str | None
    body: bytes


@dataclass
class Service:
    """Answers a program's requests, and is the source of its tokens: jti-1, jti-2 and so on."""

    refused: set[str] = field(default_factory=set)
    """The tokens, by `jti`, that are not good any more."""
    seen: list[Seen] = field(default_factory=list)
    taken: list[Wish] = field(default_factory=list)
    newest: bool = True
    """Whether another token is to be had when one is asked for."""

    def __post_init__(self) -> None:
        """Begin with a program that holds no token."""
        self.clock = StepClock()
        self.holding = Holding(self._take, self.clock)
        self._jtis: dict[str, str] = {}

    def _take(self, wish: Wish) -> Taken:
        self.taken.append(wish)
        jti = f"jti-{len(self.taken)}" if self.newest else "jti-1"
        start = StepClock().now()
        token = read_access_token(access_token(start, seconds=LIFE_SECONDS, jti=jti), start)
        self._jtis[f"Bearer {token.value.reveal()}"] = jti
        return Taken(token, LIFE_SECONDS, LIFE_SECONDS / 2)

    @property
    def bearers(self) -> list[str | None]:
        """Return whose token each request carried, by `jti`; None for a request without."""
        return [one.bearer for one in self.seen]

    def answer(
        self, method: str, url: str, authorization: str | None, body: bytes = b""
    ) -> tuple[int, dict[str, str]]:
        """Return status and headers of the answer."""
        bearer = None if authorization is None else self._jtis[authorization]
        self.seen.append(Seen(method, url, bearer, body))
        path = urlsplit(url).path
        if bearer in self.refused:
            return 401, {"WWW-Authenticate": 'Bearer realm="dav", error="invalid_token"'}
        if path in REDIRECTS:
            return 307, {"Location": REDIRECTS[path]}
        if bearer is None:
            # As a service far away that would like to see the token.
            return 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return 200, {}

    def grow_old(self) -> None:
        """Let the token that is held be old enough for another one to exist, and refused."""
        self.clock.advance(60)
        self.refused.add(f"jti-{len(self.taken)}")
