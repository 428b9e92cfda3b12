"""A server in HTVault's way, for its clients: what it answers is planned, what it was asked is kept."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from credbroker.client.http11 import Answer

if TYPE_CHECKING:
    from credbroker.client.http11 import Request

NEW_VAULT_TOKEN = "hvs.of-a-login"
SHORTER_VAULT_TOKEN = "hvs.shorter"
REFRESH_TOKEN = "rt.what-nobody-may-see"
WEEK = 7 * 86400


def answer(fields: object = None, status: int = 200) -> Answer:
    """Return an answer with a JSON body."""
    return Answer(status, {}, b"" if fields is None else json.dumps(fields).encode())


def refusal(status: int, *sentences: str) -> Answer:
    """Return what a server says that will not."""
    return answer({"errors": list(sentences)}, status)


def login(**more: object) -> Answer:
    """Return what a login gives; `more` are further fields of its `auth`."""
    auth = {"client_token": NEW_VAULT_TOKEN, "policies": ["tokenops"], "lease_duration": WEEK}
    return answer({"auth": {**auth, **more}})


def by_browser(**more: object) -> Answer:
    """Return what a login by browser gives."""
    told = {"credkey": "ada", "oauth2_refresh_token": REFRESH_TOKEN}
    return login(metadata=told, **more)


def access_token(ends: float, begun: float) -> str:
    """Return a token that lives so long, in seconds since 1970."""
    parts = ({"alg": "none"}, {"sub": "ada", "iat": int(begun), "exp": int(ends), "ok": True})
    return ".".join([*(_part(json.dumps(one).encode()) for one in parts), _part(b"signature")])


def bearer(token: str) -> Answer:
    """Return what reading a token gives."""
    return answer({"data": {"access_token": token}})


@dataclass
class FakeHtvault:
    """Gives each request the next answer planned for its path, the last one again and again."""

    plans: dict[str, list[Answer | Exception]] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)

    def plan(self, path: str, *answers: Answer | Exception) -> None:
        """Answer so to requests whose target holds `path`."""
        self.plans[path] = list(answers)

    def __call__(self, request: Request) -> Answer:
        """Answer, as `client.blocking.Door.send` does."""
        self.asked.append(request)
        for path, answers in self.plans.items():
            if path in request.target:
                found = answers.pop(0) if len(answers) > 1 else answers[0]
                if isinstance(found, Exception):
                    raise found
                return found
        return refusal(403, "permission denied")

    def count(self, path: str) -> int:
        """Return how often something at this path was asked for."""
        return sum(path in one.target for one in self.asked)

    def body(self, path: str) -> dict[str, object]:
        """Return what was sent last to this path."""
        found = [one.body for one in self.asked if path in one.target]
        return dict(json.loads(found[-1]))


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
