"""Reads access tokens from an HTVault as condor_credmon_vault does: what goes out, what comes back.

Nothing here does I/O. A refusal says nothing of the login behind it: "permission denied" is what
HTVault says for an expired vault token, for a policy that is being changed and while it starts. So it
is an error like any other, and never a reason to throw anything away.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Optional, Sequence
from urllib.parse import urlencode

from credbroker import __version__
from credbroker.client.http11 import Answer, Request
from credbroker.domain.errors import (
    BrokerUnreachable,
    CredbrokerError,
    IssuerFailed,
    IssuerMisbehaved,
    Malformed,
    NotAllowed,
)
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken
from credbroker.wire.fields import Fields, parse_object
from credbroker.wire.jwt import moment, peek

if TYPE_CHECKING:
    from typing import Dict

_STORED = "/creds/"


def ask(
    path: str,
    vault_token: Secret,
    *,
    minimum_seconds: int,
    scopes: Optional[Sequence[str]] = None,
    audiences: Optional[Sequence[str]] = None,
) -> Request:
    """Return the request for one access token.

    Args:
        path: The percent-encoded path of a stored or an exchanged token.
        vault_token: Whom HTVault takes the asker for.
        minimum_seconds: How long the token must live, in seconds.
        scopes: What it is to be narrowed to; None for no narrowing.
        audiences: For whom it is to be; None for no narrowing.
    """
    query: Dict[str, str] = {"minimum_seconds": str(minimum_seconds)}
    if scopes is not None:
        query["scopes"] = ",".join(scopes)
    if audiences is not None:
        query["audience" if _STORED in path else "audiences"] = ",".join(audiences)
    headers = {
        "Accept": "application/json",
        "User-Agent": f"credbroker/{__version__}",
        "X-Vault-Token": vault_token.reveal(),
    }
    return Request("GET", f"{path}?{urlencode(query)}", headers)


def read_answer(answer: Answer, now: datetime.datetime) -> AccessToken:
    """Return the token that came; `now` is by the clock that is to judge its times.

    Raises:
        NotAllowed: The server refuses; whether that will stay so is not said.
        BrokerUnreachable: The server is in trouble, or something else answered.
        IssuerFailed: The server failed at this login alone, as far as can be told.
        IssuerMisbehaved: What came is no token, or has expired.
    """
    if answer.status != 200:
        raise _refusal(answer.status)
    try:
        given = parse_object(answer.body, "The answer").object("data")
        token = read_loosely(Secret("access token", given.text("access_token")), now)
    except Malformed as unread:
        raise IssuerMisbehaved(f"What HTVault gave is no access token. {unread.sentence}") from None
    if token.seconds_left(now) <= 0:
        raise IssuerMisbehaved("The token has already expired: is a clock wrong?")
    return token


def read_loosely(value: Secret, now: datetime.datetime) -> AccessToken:
    """Read a signed token of whatever profile that says when it expires; raise `Malformed`.

    What it does not say is empty, and what it leaves open of its times is `now`. Its scopes are not
    read: whoever gave it narrowed it.
    """
    header, claims = peek(value)
    issued_at = moment(claims, "iat") if "iat" in claims else now
    return AccessToken(
        value=value,
        issuer_url=_word(claims, "iss"),
        subject=_word(claims, "sub"),
        scopes=ScopeSet(),
        audiences=(),
        groups=(),
        version="",
        jti=_word(claims, "jti"),
        key_id=_word(header, "kid"),
        issued_at=issued_at,
        not_before=issued_at,
        expires_at=moment(claims, "exp"),
        obtained_at=now,
    )


def _word(fields: Fields, name: str) -> str:
    found = fields.raw(name)
    return found if isinstance(found, str) else ""


def _refusal(status: int) -> CredbrokerError:
    if status in {401, 403}:
        return NotAllowed(
            "HTVault refuses the vault token (permission denied).",
            "What is delivered is kept. If it stays so, submit a job again: that stores a new one.",
        )
    if status in {400, 404}:
        return NotAllowed(
            f"HTVault does not give what is asked for (status {status}).",
            "Ask for another scope, audience or service.",
        )
    if status == 500:
        return IssuerFailed(f"HTVault failed at this login (status {status}).")
    return BrokerUnreachable(f"HTVault is in trouble (status {status}).")
