"""Kerberos principals: which of them may log in, and whose grant each of them opens.

- Only the realms listed may log in: a person of the same name in a trusted foreign realm is somebody
  else.
- `ada@REALM` opens the grants of `ada`, with the domain behind it that the issuer's identity keys
  have. A robot, `ada/purpose/host@REALM`, opens what lies below that under its own name, and never
  its person's own.
- Every other shape, such as a host's or an administrator's principal, opens nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Tuple

from credbroker.domain.errors import NotAllowed
from credbroker.domain.names import check_credkey

_PART = r"[A-Za-z0-9_][A-Za-z0-9._+-]*"
# A quoted `@` or `/` stands behind a backslash (RFC 1964 section 2.1.1), which fits nowhere here.
_PRINCIPAL = re.compile(rf"({_PART})((?:/{_PART}){{2}})?@({_PART})\Z")
_REMEDY = "Log in through the browser; htgettoken goes on to that by itself."


@dataclass(frozen=True)
class Principal:
    """Who a ticket is for: `user`, `below` it the robot as `/purpose/host` or empty, and the realm."""

    user: str
    below: str
    realm: str

    @classmethod
    def parse(cls, text: str) -> Principal:
        """Read a principal as Kerberos writes it; raise `NotAllowed` for any other shape."""
        match = _PRINCIPAL.match(text)
        if match is None:
            raise NotAllowed(
                "Only principals of people, and of robots as user/purpose/host, log in here.",
                _REMEDY,
            )
        return cls(match.group(1), match.group(2) or "", match.group(3))

    @property
    def name(self) -> str:
        """The principal without its realm."""
        return self.user + self.below


@dataclass(frozen=True)
class PrincipalRules:
    """Whose principals may log in, and what stands behind a user's name in the identity key."""

    realms: Tuple[str, ...]
    domain: str = ""

    def credkey(self, principal: Principal) -> str:
        """Return the identity key whose grants this principal opens.

        Raises `NotAllowed` if its realm is not listed.
        """
        if principal.realm not in self.realms:
            raise NotAllowed(
                f"Principals of the realm {principal.realm[:64]} do not log in here.", _REMEDY
            )
        return check_credkey(f"{principal.user}{self.domain}{principal.below}")
