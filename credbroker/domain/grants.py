"""A grant: what a person gave once, and the record of it that Vault keeps."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass, field

from credbroker.domain.attenuation import Right
from credbroker.domain.names import GrantKey
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret


class GrantState(enum.Enum):
    """Where a grant is in its life; `domain.rotation` holds the moves between these."""

    READY = "ready"
    """The refresh token may be used."""
    CLAIMED = "claimed"
    """One replica is about to use it, or has: nobody else may."""
    PAUSED = "paused"
    """The issuer refuses it for something a person or an operator can mend; it is kept."""
    IN_DOUBT = "in_doubt"
    """A use may have reached the issuer and its answer is gone."""
    LOST = "lost"
    """The issuer no longer takes it. Kept for 7 days, in case the issuer was wrong."""
    ENDED = "ended"
    """Logged out, or let go. The record stays as a tombstone, without the token."""


@dataclass(frozen=True)
class Grant:
    """One person's grant under one issuer and role, bound to who logged in and through which client.

    `line` names the row of logins that leases of this grant belong to: it stays over a new login
    of the same person and changes after a logout, so a lease from before can never come back.
    `generation` rises with every refresh token. `write_id` is random and new in every write, so
    that a writer whose answer got lost can tell its own write from somebody else's.

    `posts` counts how often this very refresh token may have been posted without an answer that
    says what became of it; a claim counts as one from the moment it is stored. It is what keeps a
    third post from ever being made.
    """

    key: GrantKey
    line: str
    issuer_url: str
    subject: str
    client_id: str
    scopes: ScopeSet
    refresh_token: Secret | None
    generation: int
    state: GrantState
    write_id: str
    created_at: datetime.datetime
    refreshed_at: datetime.datetime
    claimed_by: str | None = None
    note: str = ""
    reason: str = ""
    """A stable word for why it is paused, in doubt or lost; `note` is the sentence for people."""
    posts: int = 0
    steps: int = 0
    """How often the record was written within this generation: tells the older of two apart."""
    claim_id: str = ""
    """The write id of the last claim: its owner knows it again in a doubt that somebody noted."""
    login_id: str = ""
    """Which login brought the grant: one that lost the answer to its write knows its own."""
    earlier_logins: tuple[str, ...] = ()
    """The logins of this line before that one, the last ones: each may have a lease that lives."""
    doubt_seconds: float = 0.0
    """How old the claim was, by Vault's clock, when this record was put in doubt."""
    used_at: datetime.datetime | None = None
    """When a caller last made a refresh necessary; the keeper's own refreshes do not count."""
    unused_seconds: float = 0.0
    """For how long nobody had used it when this record was written, by Vault's clock alone."""
    refresh_expires_at: datetime.datetime | None = None
    rotated: bool = False
    """True once a refresh of this grant gave another value: its issuer is one that rotates."""
    replaced: bool = False
    """True once a login took the place of an earlier one: the value changed without a refresh."""
    tokens_until: datetime.datetime | None = None
    """When the last access token that came with this grant expires, as far as was announced."""
    access_token: Secret | None = None
    """What came with the last refresh, unchecked: another replica may serve it instead of asking."""
    access_right: Right | None = None
    """The right that was asked for with it."""
    mail: str = field(default="", repr=False)
    """The verified address of its person, where the settings have people told by mail."""

    @property
    def is_over(self) -> bool:
        """True if its person has to log in again, whatever is tried: it is lost, or ended."""
        return self.state in {GrantState.LOST, GrantState.ENDED}
