"""Access tokens: what one says, and whether it is what was asked for.

An issuer's answer is checked, not trusted: a token that is wider than the request, or for another
audience, person or profile, is refused before anybody gets it.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, replace
from typing import NamedTuple

from credbroker.domain.attenuation import ANY_AUDIENCE, Right
from credbroker.domain.errors import IssuerGaveLess, IssuerMisbehaved
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret

WAY_SECONDS = 2
"""What a token may lose on its way from the broker, whose clock is read to the second."""

_VERSION = re.compile(r"(\d+)\.(\d+)\Z")
_LEEWAY = datetime.timedelta(seconds=60)


@dataclass(frozen=True)
class AccessToken:
    """One access token and what its claims say; `obtained_at` is by the reader's own clock.

    `version` is empty for a token that follows no WLCG profile.
    """

    value: Secret
    issuer_url: str
    subject: str
    scopes: ScopeSet
    audiences: tuple[str, ...]
    groups: tuple[str, ...]
    version: str
    jti: str
    key_id: str
    issued_at: datetime.datetime
    not_before: datetime.datetime
    expires_at: datetime.datetime
    obtained_at: datetime.datetime
    entitlements: tuple[str, ...] = ()

    def seconds_left(self, now: datetime.datetime) -> float:
        """Return how long the token still lives, in seconds; negative once it has expired."""
        return (self.expires_at - now).total_seconds()

    def obtained(self, at: datetime.datetime) -> AccessToken:
        """Return the same token as first seen at `at`."""
        return replace(self, obtained_at=at)


class LotToken(NamedTuple):
    """One of a lot: tokens that are signed together and say the same but for their scopes.

    `lot` says what all of them say; its own value, scopes and `jti` are empty. `scope` is the claim.
    """

    lot: AccessToken
    value: Secret
    scope: str
    jti: str


def check_issued(
    token: AccessToken, asked: Right, *, issuer_url: str, subject: str, now: datetime.datetime
) -> None:
    """Hold a verified token against the request it answers (WLCG profile, "Token verification").

    Raises `IssuerMisbehaved` if it is wider or about somebody else, `IssuerGaveLess` if it lacks
    something asked for. The signature is the caller's business and already checked.
    """
    check_proof(token, issuer_url=issuer_url, subject=subject, now=now)
    _check_version(token.version)
    _check_scopes(token, asked)
    if asked.audiences and set(token.audiences) != set(asked.audiences):
        raise IssuerMisbehaved("The issuer's token is for another audience than was asked for.")
    if not token.audiences:
        raise IssuerMisbehaved("The issuer's token names no audience.")


def check_proof(
    token: AccessToken, *, issuer_url: str, subject: str, now: datetime.datetime
) -> None:
    """Hold a verified token, which only proves what is claimed about a person, against who that is.

    What it allows does not matter: nobody is given it. Raises `IssuerMisbehaved`.
    """
    if token.issuer_url != issuer_url or token.subject != subject:
        raise IssuerMisbehaved("The issuer's token is about another issuer or person.")
    check_times(token, now)


def check_times(token: AccessToken, now: datetime.datetime) -> None:
    """Refuse a token that has expired or is not valid yet; no grace after `exp`."""
    if now >= token.expires_at:
        raise IssuerMisbehaved("The token has already expired: is a clock wrong?")
    if token.not_before > now + _LEEWAY:
        raise IssuerMisbehaved("The token is not valid yet: is a clock wrong?")


def serves(token: AccessToken, asked: Right) -> bool:
    """True if the token covers `asked`: every scope, and every audience or the wildcard."""
    if len(token.scopes.missing(asked.scopes)):
        return False
    return ANY_AUDIENCE in token.audiences or set(asked.audiences) <= set(token.audiences)


def allows_more(token: AccessToken, asked: Right) -> bool:
    """True if the token has a scope or an audience beyond `asked`."""
    more = asked.scopes.missing(token.scopes.rights())
    return bool(len(more)) or not set(token.audiences) <= set(asked.audiences)


def _check_version(version: str) -> None:
    """Accept any 1.x: an unknown MAJOR must be refused, a higher MINOR accepted."""
    match = _VERSION.match(version)
    if match is None or match.group(1) != "1":
        raise IssuerMisbehaved("The issuer's token does not follow WLCG token profile 1.x.")


def _check_scopes(token: AccessToken, asked: Right) -> None:
    wider = asked.scopes.missing(token.scopes.rights())
    if len(wider):
        raise IssuerMisbehaved("The issuer's token allows more than was asked for.")
    if token.groups and not asked.scopes.has_groups:
        raise IssuerMisbehaved("The issuer's token names groups that were not asked for.")
    less = token.scopes.missing(asked.scopes)
    # Groups may be given without being repeated in `scope`; the claim is what counts.
    less = ScopeSet(tuple(item for item in less if not (item.is_group and token.groups)))
    if len(less):
        raise IssuerGaveLess(f"The issuer left out: {less}.")
