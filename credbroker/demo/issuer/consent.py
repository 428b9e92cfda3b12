"""What a client asks for, and the grant that comes of it when a person agrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from credbroker.demo.issuer.settings import Person


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client wants a person to agree to."""

    client_id: str
    scopes: tuple[str, ...]
    audience: tuple[str, ...] = ()
    """Empty means the wildcard."""
    nonce: str = ""

    def granted_by(self, person: Person, kept: Iterable[str] | None, now: float) -> Grant:
        """Return the grant of a person who agreed at `now` (seconds since the epoch).

        `kept` are the scope items the person left in; None means all of them.
        """
        chosen = set(self.scopes if kept is None else kept)
        scopes = tuple(item for item in self.scopes if item in chosen)
        return Grant(self.client_id, person, scopes, self.audience, self.nonce, int(now))


@dataclass(frozen=True, slots=True)
class Grant:
    """What a client may have tokens for; without a person it is the client's own."""

    client_id: str
    person: Person | None
    scopes: tuple[str, ...]
    audience: tuple[str, ...] = ()
    nonce: str = ""
    auth_time: int = 0
    actors: tuple[str, ...] = ()
    """The clients that exchanged one token for another on the way here, the last one first."""

    @property
    def subject(self) -> str:
        """Return the `sub` of its tokens: the person's, or the client id."""
        return self.person.subject if self.person else self.client_id


def audience_asked(form: Mapping[str, str]) -> tuple[str, ...]:
    """Return the audiences a request names; the first non-empty parameter counts, as at IAM."""
    text = form.get("resource") or form.get("aud") or form.get("audience") or ""
    return tuple(dict.fromkeys(text.split()))
