"""A notice says what is wrong, what it concerns and what to do, and holds nothing that opens anything."""

from __future__ import annotations

import datetime
import email
import email.policy
import hashlib
import hmac
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.grants import GrantState
from credbroker.domain.names import GrantKey
from credbroker.domain.notices import Cause, Notice, Work
from credbroker.domain.secret import Secret
from credbroker.telemetry.canaries import Canaries
from credbroker.wire.letters import (
    MOST_SHOWN,
    event_of,
    prove,
    shown,
    signature,
    subject_of,
    text_of,
    write_event,
    write_mail,
)
from tests.unit.things import NOON, grant

WORK = Work("run42", "192.0.2.7", NOON)
DELIVERY = Work("delivery", "group login", NOON, is_delivery=True)
LOST = Notice(Cause.LOST, 1, ("mail",), works=(DELIVERY, WORK), more=True)
ENDS = Notice(Cause.ENDS_IN_2_DAYS, 1, ("mail",), ends_at=NOON, works=(WORK,))
URL = "https://broker.test"


def mail(subject: str = "a subject", text: str = "a text\n", to: str = "ada@example.org") -> bytes:
    """Return a mail."""
    return write_mail(
        "broker@example.org", to, subject=subject, text=text, letter_id="letter-1", now=NOON
    )


def test_a_mail_says_what_to_do_and_what_depends_on_it() -> None:
    """How many, and where; and how to get no more such mails."""
    text = text_of(LOST, grant(state=GrantState.LOST), URL)
    for words in (
        "credbroker login egi --role default", "1 delivery, 1 job or program, perhaps more",
        "run42 (192.0.2.7)", "delivery (group login)", f"{URL}/mine", "credbroker notices off",
    ):  # fmt: skip
        assert words in text
    assert "2026-06-01 12:00 UTC" in text_of(ENDS, grant(), URL)


def test_a_login_at_rest_says_why_and_leads_to_its_issuer() -> None:
    """The address is that of the settings."""
    paused = grant(state=GrantState.PAUSED, note="The issuer wants its policy signed.")
    text = text_of(Notice(Cause.PAUSED, 1, ("mail",)), paused, URL)
    assert "wants its policy signed" in text
    assert paused.issuer_url in text


def test_many_jobs_are_counted_and_some_are_named() -> None:
    """No mail grows with the number of jobs."""
    many = replace(LOST, works=tuple(replace(WORK, name=f"run{n}") for n in range(400)), more=False)
    text = text_of(many, grant(), URL)
    assert "400 jobs" in text
    assert f"and {400 - MOST_SHOWN} others" in text
    assert len(text) < 2500
    event = event_of(many, "egi", grant(), now=NOON, letter_id="l")
    assert event["jobs"] == 400
    assert len(write_event(event)) < 2500


def test_no_secret_of_a_grant_is_in_what_is_told() -> None:
    """Neither in the mail nor in the event."""
    canaries = Canaries()
    one = grant(
        refresh_token=Secret("refresh token", "rt-8Vd3kQ0zY7wLm2Np"),
        access_token=Secret("access token", "at-Zq6XsT1uBv4RcE9f"),
        login_id="login-H5jG8kD2sA7pQ0wE",
    )
    for secret in (one.refresh_token, one.access_token):
        assert secret is not None
        canaries.plant(secret.kind, secret.reveal())
    canaries.plant("login id", one.login_id)
    for cause in Cause:
        notice = replace(LOST, cause=cause, ends_at=NOON)
        canaries.search_text("mail", mail(subject_of(notice, "egi"), text_of(notice, one, URL)))
        event = event_of(notice, "egi", one, now=NOON, letter_id="l")
        canaries.search_text("event", write_event(event))
    canaries.assert_unseen()


def test_a_mail_reads_as_it_was_meant() -> None:
    """Its headers say that no person wrote it; the same letter has the same id in each try."""
    read = email.message_from_bytes(mail("Ünusual"), policy=email.policy.default)
    assert read["To"] == "ada@example.org"
    assert read["From"] == "broker@example.org"
    assert read["Subject"] == "credbroker: Ünusual"
    assert read["Message-ID"] == "<letter-1@example.org>"
    assert read["Auto-Submitted"] == "auto-generated"
    assert read["Date"].datetime == NOON
    assert mail() == mail()


@pytest.mark.parametrize("hostile", ["a\r\nBcc: eve@evil.test", "a\nX-Evil: 1", "a\rX-Evil: 1"])
def test_a_line_break_in_a_header_is_refused(hostile: str) -> None:
    """Should one ever get so far."""
    with pytest.raises(ValueError, match=r"."):
        mail(subject=hostile)
    with pytest.raises(ValueError, match=r"."):
        mail(to=hostile)


@given(st.text(max_size=200), st.text(max_size=200))
def test_what_somebody_typed_stays_on_its_line(name: str, credkey: str) -> None:
    """No name makes a line of its own, a header, or the end of a mail."""
    work = replace(WORK, name=name)
    one = grant(key=GrantKey("egi", "".join(c for c in credkey if c.isprintable()), "default"))
    text = text_of(replace(LOST, works=(work,)), one, URL)
    usual = text_of(replace(LOST, works=(WORK,)), one, URL)
    assert len(text.splitlines()) == len(usual.splitlines())
    read = email.message_from_bytes(mail(text=text), policy=email.policy.default)
    assert set(read.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted",
        "Content-Type", "Content-Transfer-Encoding", "MIME-Version",
    }  # fmt: skip
    assert len(shown(name)) <= 80


def test_a_webhooks_receiver_can_tell_who_sent_an_event() -> None:
    """By the HMAC of time and body, as the page on operations says."""
    body = write_event(event_of(ENDS, "egi", grant(), now=NOON, letter_id="letter-1"))
    header = signature(Secret("webhook secret", "s3cr3t"), NOON, body)
    stamp, said = (part.split("=")[1] for part in header.split(","))
    assert int(stamp) == int(NOON.timestamp())
    assert said == hmac.new(b"s3cr3t", f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    read = json.loads(body)
    assert (read["id"], read["cause"], read["ends_at"]) == (
        "letter-1", "ends_in_2_days", "2026-06-01T12:00:00Z",
    )  # fmt: skip
    later = NOON + datetime.timedelta(seconds=1)
    assert signature(Secret("webhook secret", "s3cr3t"), later, body) != header


def test_an_event_about_an_issuer_names_nobody() -> None:
    """It concerns all its people."""
    event = event_of(Notice(Cause.ISSUER_BRAKED, 1, ()), "egi", None, now=NOON, letter_id="l")
    assert event == {
        "id": "l", "time": "2026-06-01T12:00:00Z", "cause": "issuer_braked", "issuer": "egi",
    }  # fmt: skip


def test_a_password_goes_to_the_call_that_logs_in() -> None:
    """And nowhere else."""
    seen = []
    prove(lambda user, word: seen.append((user, word)), "broker", Secret("mail password", "word"))
    assert seen == [("broker", "word")]


@pytest.mark.parametrize("name", ["jöb", 2000 * "x", "\U0001f680"])
def test_a_mail_is_ascii_in_lines_that_every_server_takes(name: str) -> None:
    """One that offers no 8BITMIME (RFC 6152) refuses other bytes, or takes the eighth bit off."""
    text = text_of(replace(LOST, works=(replace(WORK, name=name),)), grant(), URL) + name
    written = mail(text=text)
    assert written.isascii()
    assert all(len(line) <= 998 for line in written.split(b"\r\n"))
    assert name in email.message_from_bytes(written, policy=email.policy.default).get_content()


@pytest.mark.parametrize(
    ("works", "words"),
    [
        ((WORK,), "What depends on it: 1 job or program\n"),
        ((DELIVERY, WORK, WORK), "What depends on it: 1 delivery, 2 jobs or programs\n"),
        ((DELIVERY, DELIVERY), "What depends on it: 2 deliveries\n"),
    ],
)
def test_what_depends_on_a_login_is_counted_as_people_do(
    works: tuple[Work, ...], words: str
) -> None:
    """Nothing of which there is none is named."""
    assert words in text_of(replace(LOST, works=works, more=False), grant(), URL)
