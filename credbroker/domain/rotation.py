"""The life of a grant: which event may happen in which state, and what the record says afterwards.

`MOVES` is the whole table; a pair that is not in it cannot happen. Around it stand three rules that
nothing may bend. A claim is stored before the first byte goes out. At an issuer that rotates, a
value whose post went unanswered is posted again only as the recorded rule allows, once, and never a
third time. A successor is stored over whatever is found, unless a later one is there.

RFC 6749 section 6, RFC 9700 section 4.14.
"""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass, replace

from credbroker.domain.attenuation import Right
from credbroker.domain.errors import (
    CredbrokerError,
    GrantInDoubt,
    GrantPaused,
    LoginDenied,
    LoginNeeded,
)
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.losses import RESTORED, braked, why_lost
from credbroker.domain.outcomes import Dead, NotActedOn, Outcome, Renewed

READY, CLAIMED, PAUSED = GrantState.READY, GrantState.CLAIMED, GrantState.PAUSED
IN_DOUBT, LOST, ENDED = GrantState.IN_DOUBT, GrantState.LOST, GrantState.ENDED

MOST_EARLIER_LOGINS = 50
"""How many are remembered, so that their leases can be shown; all of those end by a logout."""
MOST_POSTS = 2
"""The first post of a value, and the one retry that some rules allow."""


class UnclearRule(enum.Enum):
    """What a post without a clear answer means at this issuer; recorded, never guessed."""

    ASK = "ask"
    """It may have spent the token, and trying again may revoke more: have the person log in."""
    RETRY_SAFE = "retry_safe"
    """This issuer gives the same refresh token back each time: the token is as good as before."""
    GRACE = "grace"
    """It takes the old value for a stated time after rotating: one retry within that time."""
    ONCE_MORE = "once_more"
    """A replay is refused and hurts nothing else, as at INDIGO IAM: one retry at any time."""


@dataclass(frozen=True)
class Rule:
    """The rule on record for one issuer; `grace_seconds` matters to `GRACE` alone."""

    kind: UnclearRule = UnclearRule.ASK
    grace_seconds: float = 0.0

    def timeout_seconds(self, wished: float) -> float:
        """Return how long a refresh may wait: a retry must still fit into the grace."""
        return min(wished, self.grace_seconds / 3) if self.kind is UnclearRule.GRACE else wished


@dataclass(frozen=True)
class Custody:
    """How long things may take, in seconds, so that a claim outlives the refresh it stands for."""

    store_seconds: float = 30.0
    margin_seconds: float = 30.0
    spools_first_seconds: float = 60.0
    """After an outage of Vault, so long an expired claim waits for a spooled successor."""
    paused_seconds: float = 60.0
    """So long a paused grant rests before it is tried again."""

    def claim_seconds(self, timeout_seconds: float) -> float:
        """Return how old a claim gets before its owner counts as gone."""
        return timeout_seconds + self.store_seconds + self.margin_seconds


class Event(enum.Enum):
    """What can happen to a grant."""

    CLAIM = "claim"
    RENEWED = "renewed"
    NOT_ACTED_ON = "not_acted_on"
    REFUSED_FOR_NOW = "refused_for_now"
    DEAD = "dead"
    UNCLEAR = "unclear"
    LEFT_BEHIND = "left_behind"
    LOG_IN = "log_in"
    LOG_OUT = "log_out"
    OUTDATED = "outdated"
    RELEASE = "release"


_KEPT = (READY, CLAIMED, PAUSED, IN_DOUBT, LOST)

MOVES = {
    (READY, Event.CLAIM): CLAIMED,
    (PAUSED, Event.CLAIM): CLAIMED,
    (IN_DOUBT, Event.CLAIM): CLAIMED,  # the one retry, if the rule allows it
    (CLAIMED, Event.RENEWED): READY,
    (CLAIMED, Event.NOT_ACTED_ON): READY,
    (CLAIMED, Event.REFUSED_FOR_NOW): PAUSED,
    (CLAIMED, Event.DEAD): LOST,
    (CLAIMED, Event.UNCLEAR): IN_DOUBT,
    (CLAIMED, Event.LEFT_BEHIND): IN_DOUBT,
    (PAUSED, Event.RELEASE): READY,
    (LOST, Event.RELEASE): READY,
    # A restored snapshot brought back a value that was used since.
    **{(state, Event.OUTDATED): LOST for state in _KEPT},
    **{(state, Event.LOG_IN): READY for state in (*_KEPT, ENDED)},
    **{(state, Event.LOG_OUT): ENDED for state in (*_KEPT, ENDED)},
}


class Judgement(enum.Enum):
    """What somebody who wants to refresh may do about the record as found."""

    GO = "go"
    """Claim it and post."""
    WAIT = "wait"
    """Another replica is at it: look again soon."""
    SETTLE = "settle"
    """A claim was left behind: mark it by the issuer's rule first."""


def judge(
    grant: Grant, age_seconds: float, rule: Rule, custody: Custody, claim_seconds: float
) -> Judgement:
    """Say what may be done with the record; raise `GrantLost` if only a new login helps.

    `age_seconds` is the record's, by Vault's clock; a claim is good for `claim_seconds`.
    """
    if grant.state is READY:
        return Judgement.GO
    if grant.state is CLAIMED:
        return Judgement.WAIT if age_seconds < claim_seconds else Judgement.SETTLE
    if grant.state is PAUSED and age_seconds >= custody.paused_seconds:
        return Judgement.GO
    if grant.state is IN_DOUBT and may_retry(grant, age_seconds, rule):
        return Judgement.GO
    raise why_lost(grant)


def may_retry(grant: Grant, age_seconds: float, rule: Rule) -> bool:
    """True if the value in doubt may be posted once more, as the issuer's recorded rule says.

    `age_seconds` is the record's since it was put in doubt; the grace runs from the claim.
    """
    if grant.refresh_token is None or grant.posts >= MOST_POSTS:
        return False
    if rule.kind is UnclearRule.ONCE_MORE:
        return True
    in_time = grant.doubt_seconds + age_seconds < rule.grace_seconds
    return rule.kind is UnclearRule.GRACE and in_time


def claim(grant: Grant, owner: str, write_id: str, age_seconds: float = 0.0) -> Grant:
    """Mark a grant as about to be posted by `owner`; to be stored before the first byte.

    `age_seconds` is the record's, so that the claim of a retry remembers how old the doubt is.
    """
    if (grant.state, Event.CLAIM) not in MOVES or grant.refresh_token is None:
        raise why_lost(grant)
    if grant.posts >= MOST_POSTS:
        raise why_lost(replace(grant, state=IN_DOUBT))
    doubt = grant.doubt_seconds + age_seconds if grant.state is IN_DOUBT else 0.0
    posts = _open_posts(grant) + 1
    claimed = _to(grant, Event.CLAIM, write_id, claimed_by=owner, posts=posts, seconds=doubt)
    return replace(claimed, claim_id=write_id)


def settle(
    claimed: Grant,
    outcome: Outcome,
    rule: Rule,
    write_id: str,
    now: datetime.datetime,
    *,
    right: Right | None = None,
    believed: bool = True,
    seconds: float = 0.0,
) -> Grant:
    """Return the record that follows a claimed use and its outcome.

    With `believed` False the issuer calls too many grants dead to be taken at its word: the grant
    is paused instead of lost. `seconds` have passed since the claim was begun, for `right`.
    """
    if isinstance(outcome, Renewed):
        advanced = _advance(claimed, outcome, write_id, now)
        if _brought_less(claimed, right):
            return advanced
        return replace(advanced, access_token=outcome.access_token, access_right=right)
    if isinstance(outcome, Dead):
        if believed:
            return _to(claimed, Event.DEAD, write_id, outcome.error, seconds=seconds)
        return _undo(claimed, Event.REFUSED_FOR_NOW, write_id, braked(), seconds=seconds)
    if isinstance(outcome, NotActedOn):
        paused = isinstance(outcome.error, GrantPaused)
        event = Event.REFUSED_FOR_NOW if paused else Event.NOT_ACTED_ON
        why = outcome.error if paused else None
        return _undo(claimed, event, write_id, why, seconds=seconds)
    if _is_retry_safe(claimed, rule):
        return _undo(claimed, Event.NOT_ACTED_ON, write_id, seconds=seconds)
    return _doubt(claimed, Event.UNCLEAR, write_id, outcome.error, seconds=seconds)


def _brought_less(claimed: Grant, right: Right | None) -> bool:
    """True if the record keeps an access token for more than this `right`: it stays."""
    kept = claimed.access_right
    return kept is not None and right is not None and kept != right and right.within(kept)


def settle_left_claim(claimed: Grant, rule: Rule, write_id: str, seconds: float) -> Grant:
    """Return the record for a claim whose owner is gone, `seconds` after it was stored."""
    why = GrantInDoubt("A replica stopped during a refresh.")
    if _is_retry_safe(claimed, rule):
        return _undo(claimed, Event.NOT_ACTED_ON, write_id, seconds=seconds)
    return _doubt(claimed, Event.LEFT_BEHIND, write_id, why, seconds=seconds)


def unclaimed(grant: Grant, claimed: Grant) -> Grant:
    """Return a record that gives `claimed` back, as one that no step led to.

    For a claim that was never confirmed: were its steps counted, those made in a restored Vault
    would cover up what a host remembers of the one before.
    """
    return replace(grant, steps=claimed.steps - 1)


def may_replace(ours: Grant, found: Grant, claimed: Grant) -> bool:
    """True if `ours`, which follows from `claimed`, knows more than the record found in its place.

    A successor does unless a later one is there; any other record only while nothing has happened
    to our claim but that somebody put it in doubt because it grew old.
    """
    if ours.line != found.line or found.state is ENDED or found.generation > claimed.generation:
        return False
    if ours.generation > found.generation:
        return True
    if found.state is IN_DOUBT:
        # Ours in every field but this one may be another replica's doubt, after we gave back.
        return found.claim_id == claimed.write_id
    return found.write_id == claimed.write_id


def succeed(found: Grant, new: Grant) -> Grant:
    """Return a new login's grant as the successor of the record found in its place.

    The same person's new login goes on with the line, so that running jobs keep their leases; after
    a logout a new line begins. Raises `LoginDenied` if the record belongs to somebody else: a
    credkey that comes to name another person must not open that person's grant.
    """
    new = replace(new, generation=found.generation + 1, rotated=found.rotated, replaced=True)
    if found.state is ENDED:
        return new
    if (found.issuer_url, found.subject) != (new.issuer_url, new.subject):
        raise LoginDenied(
            "This identity key belongs to another person's login here.",
            "Tell the operator: the issuer gave two people the same identity key.",
        )
    earlier = (*found.earlier_logins, *filter(None, [found.login_id]))
    return replace(new, line=found.line, earlier_logins=earlier[-MOST_EARLIER_LOGINS:])


def log_out(grant: Grant, write_id: str) -> Grant:
    """Return the tombstone: the record without its token, which outranks every older write."""
    ended = _to(grant, Event.LOG_OUT, write_id)
    return replace(
        ended,
        refresh_token=None,
        access_token=None,
        access_right=None,
        mail="",
        generation=grant.generation + 1,
        posts=0,
        steps=0,
    )


def outdated(grant: Grant, generation: int, write_id: str) -> Grant:
    """Return the record of a grant whose value was used since: `generation` was seen elsewhere.

    The generation is raised to the one seen, so that nobody takes the record for older news.
    """
    lost = _to(
        grant,
        Event.OUTDATED,
        write_id,
        LoginNeeded("OpenBao/Vault was restored from a snapshot older than this login's last use."),
    )
    return replace(lost, generation=generation, reason=RESTORED)


def release(grant: Grant, write_id: str) -> Grant:
    """Return a paused or lost grant to use, on an operator's word that the issuer was wrong.

    Not even an operator's word brings back a value that was used since, or was posted twice: for
    those the `GrantLost` error is raised.
    """
    if grant.reason == RESTORED or grant.posts >= MOST_POSTS:
        raise why_lost(grant)
    return replace(_to(grant, Event.RELEASE, write_id), posts=0)


def _open_posts(grant: Grant) -> int:
    """Return how many posts of this value are open; a doubt counts as one whatever was written."""
    return max(1, grant.posts) if grant.state is IN_DOUBT else grant.posts


def _is_retry_safe(grant: Grant, rule: Rule) -> bool:
    """One changed value ends the trust in `retry_safe` for good: a rotating issuer may revoke."""
    return rule.kind is UnclearRule.RETRY_SAFE and not grant.rotated


def _to(
    grant: Grant,
    event: Event,
    write_id: str,
    why: CredbrokerError | None = None,
    *,
    claimed_by: str | None = None,
    posts: int | None = None,
    seconds: float = 0.0,
) -> Grant:
    return replace(
        grant,
        state=MOVES[grant.state, event],
        write_id=write_id,
        claimed_by=claimed_by,
        note=why.sentence if why is not None else "",
        reason=why.code if why is not None else "",
        posts=grant.posts if posts is None else posts,
        steps=grant.steps + 1,
        doubt_seconds=seconds,
    )


def _undo(
    claimed: Grant,
    event: Event,
    write_id: str,
    why: CredbrokerError | None = None,
    *,
    seconds: float,
) -> Grant:
    """Take back the post that the claim stood for; an earlier open one keeps the doubt alive."""
    left = claimed.posts - 1
    if left <= 0:
        return _to(claimed, event, write_id, why, posts=0)
    still = GrantInDoubt("A refresh was cut off, and its retry was not taken.")
    # The grace runs from the first claim, which was older than this one.
    seconds += claimed.doubt_seconds
    return _to(claimed, Event.UNCLEAR, write_id, still, posts=left, seconds=seconds)


def _doubt(
    claimed: Grant, event: Event, write_id: str, why: CredbrokerError, *, seconds: float
) -> Grant:
    return _to(claimed, event, write_id, why, seconds=seconds + claimed.doubt_seconds)


def _advance(claimed: Grant, answer: Renewed, write_id: str, now: datetime.datetime) -> Grant:
    # RFC 6749 section 6: without a new refresh token in the answer the old one stays good.
    refresh_expires_at = claimed.refresh_expires_at
    if answer.refresh_expires_in is not None:
        refresh_expires_at = now + datetime.timedelta(seconds=answer.refresh_expires_in)
    successor = answer.refresh_token or claimed.refresh_token
    return replace(
        _to(claimed, Event.RENEWED, write_id, posts=0),
        refresh_token=successor,
        rotated=claimed.rotated or successor != claimed.refresh_token,
        generation=claimed.generation + 1,
        steps=0,
        refreshed_at=now,
        refresh_expires_at=refresh_expires_at,
        tokens_until=_later(claimed.tokens_until, answer, now),
    )


def _later(
    until: datetime.datetime | None, answer: Renewed, now: datetime.datetime
) -> datetime.datetime:
    ends = now + datetime.timedelta(seconds=answer.expires_in or 0.0)
    return ends if until is None else max(until, ends)
