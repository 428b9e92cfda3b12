"""Nothing token-shaped leaves through a log line, however it was written into it."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.telemetry.canaries import Canaries
from credbroker.telemetry.redact import _SHAPES, redact, redact_event

JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.MEQCIH9zYW1wbGVzaWduYXR1cmU"
UNSIGNED = "eyJhbGciOiJub25lIn0.eyJqdGkiOiJrZDgzamYwYUtRMXpQNXZibiJ9."
LEASE = "cb_AbCdEfGhIjKlMnOpQrStUv.kd83jf0aKQ1zP5vbnT7wXyQmkd83jf0aKQ1zP5vbnT7"
VAULT = "hvs.CAESIJkd83jf0aKQ1zP5vbnT7wXyQm"
OPENBAO = "s.kd83jf0aKQ1zP5vbnT7wXyQm"
OPAQUE = "kd83jf0aKQ1zP5vbnT7wXyQm"
SHAPED = [JWT, UNSIGNED, LEASE, VAULT, OPENBAO]


def test_shaped_secrets_go_wherever_they_stand(canaries: Canaries) -> None:
    """In sentences, URLs, headers, quotes, JSON, reprs, tracebacks."""
    for secret in SHAPED:
        canaries.plant("token", secret)
        for frame in (
            "%s",
            "x=%s&y",
            "Authorization: Bearer %s",
            "'%s'",
            '{"a":"%s"}',
            "(%s)",
            "got %s\n",
        ):
            canaries.search_text(frame, redact(frame % secret).encode())


FIELDS = [
    "refresh_token",
    "access_token",
    "id_token",
    "device_code",
    "client_secret",
    "secret_id",
    "token",
    "code",
    "password",
]


def test_named_secrets_go_whatever_they_look_like(canaries: Canaries) -> None:
    """In a form, in JSON, in JSON inside JSON, in the repr of a dictionary."""
    canaries.plant("refresh token", OPAQUE)
    for name in FIELDS:
        fields = {"a": "b", name: OPAQUE, "c": "d"}
        texts = [
            urlencode(fields),
            json.dumps(fields),
            json.dumps(json.dumps(fields)),
            repr(fields),
        ]
        texts += [f"Post of {text} failed" for text in texts]
        for text in texts:
            canaries.search_text(text.replace(OPAQUE, "…"), redact(text).encode())
            assert "failed" not in text or "failed" in redact(text)


def test_headers_that_log_people_in_go(canaries: Canaries) -> None:
    """Basic as well as Bearer."""
    canaries.plant("client secret", OPAQUE)
    for text in (f"Basic {OPAQUE}", f"authorization: bearer {OPAQUE}", f"BEARER  {OPAQUE}"):
        canaries.search_text("header", redact(text).encode())


@pytest.mark.parametrize(
    "text",
    [
        "The issuer does not answer.",
        "https://issuer.test/.well-known/openid-configuration",
        "storage.read:/cms/store jti 6f1f9c4e-0d2c-4f0e-8a53-0e8c5a0c9a11",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "<refresh token 9f86d081884c>",
        "",
    ],
)
def test_plain_words_stay(text: str) -> None:
    """What operators search for is not hidden."""
    assert redact(text) == text


@given(st.text(max_size=40), st.sampled_from(SHAPED), st.text(max_size=40))
def test_what_stands_around_a_secret_does_not_save_it(before: str, secret: str, after: str) -> None:
    """Unless it makes it part of a longer word."""
    assert secret not in redact(f"{before} {secret} {after}")


WORDS = "eyJ cb_ hvs. s. r. a_a_a_a_a_a_a_a_ xxxxxxxxxxxxxxxx . = : ' \" / - é \t Bearer BASIC token Code"
pieces = st.sampled_from([*SHAPED, *WORDS.split(" "), " ", "ba\u017fic", "refresh_to\u212aen"])


@given(st.lists(pieces, max_size=6).map("".join) | st.text(max_size=80))
def test_a_text_is_left_out_of_the_search_only_if_nothing_would_be_found(text: str) -> None:
    """The quick look never passes what the shapes would have caught."""
    assert redact(text) == _SHAPES.sub("[redacted]", text)


@given(st.text(max_size=80))
def test_redacting_twice_changes_nothing(text: str) -> None:
    """Two fences in a row are one."""
    assert redact(redact(text)) == redact(text)


def test_an_event_is_redacted_at_any_depth(canaries: Canaries) -> None:
    """By the name of a field and by the shape of a value, in lists, mappings, bytes and objects."""
    canaries.plant("refresh token", OPAQUE)
    canaries.plant("lease token", LEASE)
    event = {
        "event": f"sent {LEASE}",
        "refresh_token": OPAQUE,
        "Authorization": OPAQUE,
        "nested": {"client_secret": OPAQUE, "list": [LEASE, {"Set-Cookie": OPAQUE}, (LEASE,)]},
        "raw": LEASE.encode(),
        "error": ValueError(f"refresh_token={OPAQUE}"),
        "secret_id": OPAQUE.encode(),
        "count": 5,
        "fine": None,
        "done": True,
    }
    cleaned = redact_event(None, "info", event)
    canaries.search_text("event", repr(cleaned).encode())
    assert (cleaned["count"], cleaned["fine"], cleaned["done"]) == (5, None, True)


def test_a_number_under_a_secrets_name_stays() -> None:
    """As in `max_token: 5`."""
    assert redact_event(None, "info", {"max_token": 5}) == {"max_token": 5}
