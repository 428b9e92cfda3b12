"""Why a grant cannot be used now, or any more: the words for people, and the reasons in the record."""

from __future__ import annotations

from credbroker.domain.errors import (
    CredbrokerError,
    GrantInDoubt,
    GrantPaused,
    LeaseEnded,
    LoginNeeded,
)
from credbroker.domain.grants import Grant, GrantState

RESTORED = "restored"
"""The `reason` of a grant lost because a restored snapshot brought back a value used since."""
BRAKED = "braked"
"""The `reason` of a grant that was called dead while the issuer called too many so."""


def braked() -> GrantPaused:
    """Return the error for a grant that is kept back while the brake is on."""
    why = "The issuer refuses unusually many logins, so its word is not taken for now."
    paused = GrantPaused(why)
    paused.code = BRAKED
    return paused


def why_lost(grant: Grant) -> CredbrokerError:
    """Return the error that tells the person why this grant cannot be used now, or any more."""
    login = f"Log in again with: credbroker login {grant.key.issuer} --role {grant.key.role}"
    if grant.state is GrantState.PAUSED:
        return GrantPaused(
            grant.note or "The issuer refuses this login for now.",
            "The login is kept. Mend what the issuer wants, and ask again; it is tried anew.",
        )
    if grant.state is GrantState.IN_DOUBT:
        return GrantInDoubt("A refresh was cut off and may have used up the refresh token.", login)
    if grant.state is GrantState.ENDED:
        return LeaseEnded(grant.note or "This login was ended by a logout.", login)
    return LoginNeeded("The issuer no longer accepts this login.", login)
