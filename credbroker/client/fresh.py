"""A fresh access token for this program, in one call: at once, or without blocking an event loop.

- A token is asked for once and held until its broker says to come back, for all threads and tasks.
- The answer shows no secret by itself; `token.value.reveal()` gives the text that a service wants.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Optional, Sequence, Tuple, TypedDict, Union

from credbroker.client.holding import Holding, Wish
from credbroker.client.sources import Sources
from credbroker.domain.errors import Malformed
from credbroker.domain.scopes import ScopeSet
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    from credbroker.domain.tokens import AccessToken

MINIMUM_SECONDS = 60.0
"""How long a token must still last if nothing else is said."""

Names = Union[str, Sequence[str], None]
"""Names one by one, or in one text as a token has them; None for all there are."""


class Wanted(TypedDict, total=False):
    """What can be said of the token that is wanted; `fresh_token` tells what each means."""

    issuer: Optional[str]
    role: Optional[str]
    scopes: Names
    audiences: Names
    minimum: float
    lease_file: Union[str, os.PathLike[str], None]


def fresh_token(
    *,
    issuer: Optional[str] = None,
    role: Optional[str] = None,
    scopes: Names = None,
    audiences: Names = None,
    minimum: float = MINIMUM_SECONDS,
    lease_file: Union[str, os.PathLike[str], None] = None,
    instead_of: Optional[AccessToken] = None,
) -> AccessToken:
    """Return an access token that lasts at least `minimum` seconds, asked for only if need be.

    Args:
        issuer: The short name of the issuer of your login, if there are several.
        role: The role of your login, if there are several.
        scopes: What it shall allow, and nothing beyond; None for all that the login or lease does.
        audiences: For whom it shall be; None for all that the login or lease allows.
        minimum: For how many seconds it must still last.
        lease_file: A job's lease file, in place of a login.
        instead_of: A token that a service refused; another one is asked for, if there is another.

    Raises:
        LoginNeeded: There is no login; the remedy is the command that makes it.
        TooSoonExpired: No token can be had that lasts so long.
        BrokerUnreachable: The broker does not answer, and no token held will do.
        CredbrokerError: What else keeps a token from being had; it has a sentence and a remedy.
    """
    wish = wish_of(
        issuer=issuer,
        role=role,
        scopes=scopes,
        audiences=audiences,
        minimum=minimum,
        lease_file=lease_file,
    )
    return holding().fresh(wish, None if instead_of is None else instead_of.value)


async def fresh_token_async(
    *,
    issuer: Optional[str] = None,
    role: Optional[str] = None,
    scopes: Names = None,
    audiences: Names = None,
    minimum: float = MINIMUM_SECONDS,
    lease_file: Union[str, os.PathLike[str], None] = None,
    instead_of: Optional[AccessToken] = None,
) -> AccessToken:
    """Return the same as `fresh_token`, for programs with an event loop; the tokens held are shared."""
    wish = wish_of(
        issuer=issuer,
        role=role,
        scopes=scopes,
        audiences=audiences,
        minimum=minimum,
        lease_file=lease_file,
    )
    return await holding().fresh_async(wish, None if instead_of is None else instead_of.value)


def wish_of(
    *,
    issuer: Optional[str] = None,
    role: Optional[str] = None,
    scopes: Names = None,
    audiences: Names = None,
    minimum: float = MINIMUM_SECONDS,
    lease_file: Union[str, os.PathLike[str], None] = None,
) -> Wish:
    """Return what `fresh_token` is asked for; raise `Malformed` for what nobody can be asked for."""
    asked = _texts("scope", scopes)
    return Wish(
        issuer=issuer,
        role=role,
        lease_file=None if lease_file is None else os.fspath(lease_file),
        scopes=None if asked is None else tuple(ScopeSet.parse(" ".join(asked)).texts()),
        audiences=_texts("audience", audiences),
        minimum_seconds=max(0.0, minimum),
    )


def holding() -> Holding:
    """Return what holds the tokens of this program; a forked child begins with nothing."""
    return _holding_of(os.getpid())


@functools.lru_cache(maxsize=1)
def _holding_of(_pid: int) -> Holding:
    clock = SystemClock()
    sources = Sources(clock, SystemEntropy(), os.environ, os.geteuid())
    return Holding(sources.take, clock)


def _texts(kind: str, said: Names) -> Optional[Tuple[str, ...]]:
    if said is None:
        return None
    texts = tuple((said if isinstance(said, str) else " ".join(said)).split())
    if not texts:
        raise Malformed(f"Not one {kind} is named.", f"Leave the {kind}s out to have them all.")
    return texts
