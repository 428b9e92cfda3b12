"""Notices as people and programs read them: a mail in plain words, and an event in JSON.

- No word of it is a token or a code, and no link leads anywhere but to this broker or to the issuer
  that the settings name.
- What somebody typed, such as a job's name, is one line that shows itself, and cut where it is long.
"""

from __future__ import annotations

import datetime
import email.message
import email.policy
import email.utils
import hashlib
import hmac
from typing import Any, Callable, Mapping, Sequence

from credbroker.domain.grants import Grant
from credbroker.domain.notices import Cause, Notice, Work
from credbroker.domain.secret import Secret
from credbroker.wire.fields import write_instant, write_object

MOST_SHOWN = 10
"""So many jobs and deliveries are named; of the others there is a number."""
_LONGEST_NAME = 80

_SUBJECTS = {
    Cause.ENDS_IN_7_DAYS: "your login at {} ends within 7 days",
    Cause.ENDS_IN_2_DAYS: "your login at {} ends within 2 days",
    Cause.ENDS_IN_1_DAY: "your login at {} ends within a day",
    Cause.PAUSED: "your login at {} is at rest and needs you",
    Cause.IN_DOUBT: "your login at {} is in doubt: log in again",
    Cause.LOST: "your login at {} is lost: log in again",
    Cause.ISSUER_AWAY: "the issuer {} does not answer",
    Cause.ISSUER_BRAKED: "the issuer {} calls too many logins dead",
    Cause.CLIENT_REJECTED: "the issuer {} rejects the broker's client",
}

_EXPLAINED = {
    Cause.PAUSED: "{note} Mend that at the issuer: {issuer_url}\nIt is tried again by itself then.",
    Cause.IN_DOUBT: "A refresh was cut off and may have used up the login. Log in again:\n  {command}",
    Cause.LOST: "The issuer no longer accepts this login. Log in again:\n  {command}",
}
_ENDS = "It ends on {ends_at}. Log in again before that, and your work goes on:\n  {command}"


def subject_of(notice: Notice, issuer: str) -> str:
    """Return the subject of a notice; an issuer's short name is all that is filled in."""
    return _SUBJECTS[notice.cause].format(issuer)


def text_of(notice: Notice, grant: Grant, public_url: str) -> str:
    """Return the body of a mail to the person whose grant it is."""
    key = grant.key
    filled = {
        "note": grant.note or "The issuer refuses this login for now.",
        "issuer_url": grant.issuer_url,
        "command": f"credbroker login {key.issuer} --role {key.role}",
        "ends_at": notice.ends_at.strftime("%Y-%m-%d %H:%M UTC") if notice.ends_at else "",
    }
    whose = f"This is about the login of {shown(key.credkey)} at {key.issuer}, role {key.role}."
    explained = _EXPLAINED.get(notice.cause, _ENDS).format(**filled)
    footer = (
        f"What is held in your name: {public_url}/mine\n"
        "No more such mails: the same page, or: credbroker notices off\n"
        "Nobody asks for a code or a password in such a mail."
    )
    return "\n\n".join([whose, explained, *_depending(notice), "-- \n" + footer]) + "\n"


def event_of(
    notice: Notice, issuer: str, grant: Grant | None, *, now: datetime.datetime, letter_id: str
) -> Mapping[str, object]:
    """Return a notice as an event for a webhook; `grant` is None where it is of an issuer."""
    about: dict[str, object] = {
        "id": letter_id,
        "time": write_instant(now),
        "cause": notice.cause.value,
        "issuer": issuer,
    }
    if grant is None:
        return about
    works = [_work(one) for one in notice.works[:MOST_SHOWN]]
    deliveries = sum(one.is_delivery for one in notice.works)
    return {
        **about,
        "role": grant.key.role,
        "credkey": grant.key.credkey,
        "sub": grant.subject,
        "ends_at": write_instant(notice.ends_at) if notice.ends_at else None,
        "jobs": len(notice.works) - deliveries,
        "deliveries": deliveries,
        "more": notice.more,
        "some": works,
    }


def write_mail(
    sender: str, to: str, *, subject: str, text: str, letter_id: str, now: datetime.datetime
) -> bytes:
    """Return a mail as it goes over SMTP (RFC 5322); it says that no person wrote it (RFC 3834).

    Raises `ValueError` for a header with a line break in it.
    """
    # As bytes of seven bits, which every server takes (RFC 6152).
    message = email.message.EmailMessage(policy=email.policy.SMTP.clone(cte_type="7bit"))
    message["From"] = sender
    message["To"] = to
    message["Subject"] = f"credbroker: {subject}"
    message["Date"] = email.utils.format_datetime(now)
    message["Message-ID"] = f"<{letter_id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message.as_bytes()


def write_event(event: Mapping[str, object]) -> bytes:
    """Return the body of a webhook's request."""
    return write_object(event)


def signature(secret: Secret, at: datetime.datetime, body: bytes) -> str:
    """Return the value of the header by which a webhook's receiver knows who sent the body, and when.

    `t=<Unix seconds>,v1=<hex HMAC-SHA256 of those seconds, a dot and the body>` (RFC 2104).
    """
    seconds = str(int(at.timestamp()))
    digest = hmac.new(secret.reveal().encode(), f"{seconds}.".encode() + body, hashlib.sha256)
    return f"t={seconds},v1={digest.hexdigest()}"


def prove(login: Callable[[str, str], Any], user: str, password: Secret) -> None:
    """Hand a user's password to the library call that logs in with it."""
    login(user, password.reveal())


def shown(text: str) -> str:
    """Return what somebody typed as one line that shows itself, cut to 80 characters."""
    plain = "".join(char if char.isprintable() else "?" for char in text)
    return plain if len(plain) <= _LONGEST_NAME else plain[: _LONGEST_NAME - 1] + "…"


def _depending(notice: Notice) -> Sequence[str]:
    if not notice.works:
        return ()
    deliveries = sum(one.is_delivery for one in notice.works)
    jobs = len(notice.works) - deliveries
    counted = [
        *(
            [f"{deliveries} {'delivery' if deliveries == 1 else 'deliveries'}"]
            if deliveries
            else []
        ),
        *([f"{jobs} {'job or program' if jobs == 1 else 'jobs or programs'}"] if jobs else []),
        *(["perhaps more"] if notice.more else []),
    ]
    lines = [f"  {shown(one.name)} ({shown(one.where)})" for one in notice.works[:MOST_SHOWN]]
    left = len(notice.works) - len(lines)
    head = f"What depends on it: {', '.join(counted)}"
    return ("\n".join([head, *lines, *([f"  and {left} others"] if left else [])]),)


def _work(one: Work) -> Mapping[str, object]:
    kind = "delivery" if one.is_delivery else "job"
    return {"kind": kind, "name": shown(one.name), "where": shown(one.where)}
