"""Finds the verified mail address of whom an issuer has just logged in.

It is looked for in the ID token, and in what the issuer says of a person where the scope `email` was
granted. A login waits for that a moment and never fails for it: without an address nobody is mailed.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from credbroker.domain.errors import CredbrokerError
from credbroker.domain.notices import verified_address
from credbroker.domain.outcomes import Renewed
from credbroker.domain.scopes import ScopeSet
from credbroker.ports import Issuer

SECONDS = 2.0

log = structlog.get_logger(__name__)


async def address_of(
    issuer: Issuer, claims: Mapping[str, object], answer: Renewed, granted: ScopeSet
) -> str:
    """Return the address, empty if none is verified; `claims` are those of the checked ID token.

    What the issuer says of another `sub` counts for nothing (OpenID Connect Core section 5.3.2).
    """
    found = verified_address(claims)
    if found or "email" not in granted.texts():
        return found
    try:
        said = await issuer.userinfo(answer.access_token, seconds=SECONDS)
    except CredbrokerError as error:
        log.warning("no_mail_address", why=error.sentence)
        return ""
    return verified_address(said) if said.get("sub") == claims.get("sub") else ""
