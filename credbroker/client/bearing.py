"""Which request may carry a token, and which answer calls for another one (RFC 6750).

- A token goes over https, and to the hosts that its user named: by name, or as the audiences it was
  made for. A host without a port means 443.
- Only a 401 that says `invalid_token` calls for another one (section 3.1); it says that nothing was
  done, so any method may be repeated (RFC 9110 section 15.5.2).
"""

from __future__ import annotations

import re
from typing import Iterable, Iterator, Optional, Tuple, Union
from urllib.parse import urlsplit

from credbroker.domain.attenuation import ANY_AUDIENCE
from credbroker.domain.errors import Malformed, NotAllowed

Place = Tuple[str, int]
"""Host, in lower case, and port."""

_HTTPS_PORT = 443
_REFUSED = re.compile(r"\bBearer\b.*\berror\s*=\s*\"?invalid_token\b", re.IGNORECASE | re.DOTALL)


class Hosts:
    """The hosts that may see a token."""

    def __init__(self, named: Union[str, Iterable[str], None], audiences: Iterable[str]) -> None:
        """Take those that are `named`, or else those of the audiences that are addresses.

        Raises:
            Malformed: One of those named is no host, or there is none at all.
        """
        self._places = frozenset(_named(named) if named is not None else _meant(audiences))
        if not self._places:
            raise Malformed(
                "It is not said which hosts may see the token.",
                'Name them, as in hosts=["dav.example.org", "dav.example.org:1094"].',
            )

    def include(self, url: str) -> bool:
        """True if a request to `url` may carry the token."""
        return _place(url) in self._places

    def check(self, url: str) -> None:
        """Raise `NotAllowed` if a request to `url` may not carry the token."""
        if not self.include(url):
            raise NotAllowed(
                f"The token must not go to {_origin(url)}.",
                "Use https and a host that the token was made for, or send this request without it.",
            )


def refused(status: int, challenge: Optional[str]) -> bool:
    """True if an answer, by its WWW-Authenticate header, says that the token is not good any more."""
    return status == 401 and _REFUSED.search(challenge or "") is not None


def _named(named: Union[str, Iterable[str]]) -> Iterator[Place]:
    for one in named.split() if isinstance(named, str) else named:
        place = _place(one if "://" in one else f"https://{one}")
        if place is None:
            raise Malformed(
                f"{one} is no host that a token may go to.",
                'Say it as in "dav.example.org" or "dav.example.org:1094".',
            )
        yield place


def _meant(audiences: Iterable[str]) -> Iterator[Place]:
    places = (_place(one) for one in audiences if one != ANY_AUDIENCE)
    return (one for one in places if one is not None)


def _place(url: str) -> Optional[Place]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme != "https" or not host:
        return None
    return host.rstrip("."), _HTTPS_PORT if port is None else port


def _origin(url: str) -> str:
    """Return the part of `url` that may be shown: the rest can hold secrets."""
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
        return f"{parts.scheme}://{parts.hostname}{port}"
    except ValueError:
        return "an address that cannot be read"
