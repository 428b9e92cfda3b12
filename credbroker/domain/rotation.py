"""The life of a refresh token: every legal move of a grant, as pure functions.

The rules (promises 2 and 3): a use is claimed in the record before the first byte is sent; at an
issuer that rotates, a claim that may have led to a post is never taken over; a successor replaces
its predecessor only by being one generation higher. Whatever an answer leaves unclear is settled by
the issuer's recorded rule, never by hope.
"""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass, replace
from typing import Union

from credbroker.domain.errors import (
    CredbrokerError,
    GrantInDoubt,
    GrantLost,
    LeaseEnded,
    LoginDenied,
    LoginNeeded,
)
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret


class UnclearRule(enum.Enum):
    """What a post without a clear answer means at this issuer; recorded, never guessed."""

    ASK = "ask"
    """It may have spent the token, and trying again may revoke more: have the person log in."""
    RETRY_SAFE = "retry_safe"
    """This issuer gives the same refresh token back each time: the token is as good as before."""


@dataclass(frozen=True)
class Renewed:
    """The issuer answered with an access token and perhaps a successor; lifetimes in seconds."""

    access_token: Secret
    refresh_token: Secret | None = None
    id_token: Secret | None = None
    scopes: ScopeSet | None = None
    expires_in: float | None = None
    refresh_expires_in: float | None = None


@dataclass(frozen=True)
class Dead:
    """The issuer said that this refresh token is no longer good."""

    error: GrantLost


@dataclass(frozen=True)
class NotActedOn:
    """The issuer's answer proves that the refresh token was not used up."""

    error: CredbrokerError


@dataclass(frozen=True)
class Unclear:
    """The post went out and nothing proves what became of it."""

    error: CredbrokerError


Outcome = Union[Renewed, Dead, NotActedOn, Unclear]


class Judgement(enum.Enum):
    """What somebody who wants to refresh may do about the record as found."""

    GO = "go"
    """Claim it and post."""
    WAIT = "wait"
    """Another replica is at it: look again soon."""
    SETTLE = "settle"
    """A claim was left behind: mark it by the issuer's rule first."""


def judge(grant: Grant, claim_age_seconds: float, claim_seconds: float) -> Judgement:
    """Say what may be done with the record; raise `GrantLost` if only a new login helps.

    `claim_age_seconds` is by Vault's clock; a claim is good for `claim_seconds`.
    """
    if grant.state is GrantState.READY:
        return Judgement.GO
    if grant.state is GrantState.CLAIMED:
        return Judgement.WAIT if claim_age_seconds < claim_seconds else Judgement.SETTLE
    raise why_lost(grant)


def why_lost(grant: Grant) -> CredbrokerError:
    """Return the error that tells the person why this grant cannot be used any more."""
    login = f"Log in again with: credbroker login {grant.key.issuer} --role {grant.key.role}"
    if grant.state is GrantState.IN_DOUBT:
        return GrantInDoubt("A refresh was cut off and may have used up the refresh token.", login)
    if grant.state is GrantState.ENDED:
        return LeaseEnded("This login was ended by a logout.", login)
    return LoginNeeded("The issuer no longer accepts this login.", login)


def claim(grant: Grant, owner: str, write_id: str) -> Grant:
    """Mark a ready grant as about to be used by `owner`; to be stored before the first byte."""
    if grant.state is not GrantState.READY or grant.refresh_token is None:
        raise why_lost(grant)
    return replace(grant, state=GrantState.CLAIMED, claimed_by=owner, write_id=write_id)


def settle(
    claimed: Grant, outcome: Outcome, rule: UnclearRule, write_id: str, now: datetime.datetime
) -> Grant:
    """Return the record that follows a claimed use and its outcome."""
    if isinstance(outcome, Renewed):
        return _advance(claimed, outcome, write_id, now)
    if isinstance(outcome, Dead):
        return _rest(claimed, GrantState.LOST, write_id, outcome.error.sentence)
    if isinstance(outcome, NotActedOn) or _is_retry_safe(claimed, rule):
        return _rest(claimed, GrantState.READY, write_id, "")
    return _rest(claimed, GrantState.IN_DOUBT, write_id, outcome.error.sentence)


def settle_left_claim(claimed: Grant, rule: UnclearRule, write_id: str) -> Grant:
    """Return the record for a claim whose owner is gone: a post may have happened."""
    if _is_retry_safe(claimed, rule):
        return _rest(claimed, GrantState.READY, write_id, "")
    return _rest(claimed, GrantState.IN_DOUBT, write_id, "A replica stopped during a refresh.")


def succeed(found: Grant, new: Grant) -> Grant:
    """Return a new login's grant as the successor of the record found in its place.

    The same person's new login goes on with the line, so that running jobs keep their leases; after
    a logout a new line begins. Raises `LoginDenied` if the record belongs to somebody else: a
    credkey that comes to name another person must not open that person's grant.
    """
    new = replace(new, generation=found.generation + 1, rotated=found.rotated)
    if found.state is GrantState.ENDED:
        return new
    if (found.issuer_url, found.subject) != (new.issuer_url, new.subject):
        raise LoginDenied(
            "This identity key belongs to another person's login here.",
            "Tell the operator: the issuer gave two people the same identity key.",
        )
    return replace(new, line=found.line)


def log_out(grant: Grant, write_id: str) -> Grant:
    """Return the tombstone: the record without its token, which outranks every older write."""
    return replace(
        grant,
        state=GrantState.ENDED,
        refresh_token=None,
        generation=grant.generation + 1,
        write_id=write_id,
        claimed_by=None,
        note="",
    )


def _is_retry_safe(grant: Grant, rule: UnclearRule) -> bool:
    """One changed value ends the trust in `retry_safe` for good: a rotating issuer may revoke."""
    return rule is UnclearRule.RETRY_SAFE and not grant.rotated


def _advance(claimed: Grant, answer: Renewed, write_id: str, now: datetime.datetime) -> Grant:
    # RFC 6749 section 6: without a new refresh token in the answer the old one stays good.
    refresh_expires_at = claimed.refresh_expires_at
    if answer.refresh_expires_in is not None:
        refresh_expires_at = now + datetime.timedelta(seconds=answer.refresh_expires_in)
    successor = answer.refresh_token or claimed.refresh_token
    return replace(
        claimed,
        state=GrantState.READY,
        refresh_token=successor,
        rotated=claimed.rotated or successor != claimed.refresh_token,
        generation=claimed.generation + 1,
        write_id=write_id,
        claimed_by=None,
        note="",
        refreshed_at=now,
        refresh_expires_at=refresh_expires_at,
        tokens_until=_later(claimed.tokens_until, answer, now),
    )


def _rest(claimed: Grant, state: GrantState, write_id: str, note: str) -> Grant:
    return replace(claimed, state=state, write_id=write_id, claimed_by=None, note=note)


def _later(
    until: datetime.datetime | None, answer: Renewed, now: datetime.datetime
) -> datetime.datetime:
    ends = now + datetime.timedelta(seconds=answer.expires_in or 0.0)
    return ends if until is None else max(until, ends)
