"""Server and client read what the other wrote, and refuse what neither would write."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.wire import asking, native
from tests.unit.things import NOON, instants, names

maybe = st.none() | names
texts = st.lists(names, max_size=3)
whole = st.integers(0, 10**9)
lease_tokens = names.map(lambda value: Secret("lease token", value))
access_tokens = names.map(lambda value: Secret("access token", value))

tokens_given = st.builds(
    native.TokenGiven,
    access_token=access_tokens,
    issuer=names,
    issuer_url=names,
    scopes=texts,
    audiences=texts,
    jti=names,
    expires_at=instants,
    renew_at=instants,
    next_taken=st.none() | st.booleans(),
)
entries = st.builds(native.AskUnder, lease_tokens, st.none() | texts, st.none() | texts, whole)
problems = st.builds(native.Problem, names, names, maybe, maybe)
entries_answered = st.builds(native.TokenOrProblem, given=tokens_given) | st.builds(
    native.TokenOrProblem, problem=problems
)

job_starts = st.builds(native.JobStart, instants, names)
MESSAGES: dict[type, st.SearchStrategy[Any]] = {
    native.StartLogin: st.builds(native.StartLogin, names, maybe),
    native.LoginStarted: st.builds(
        native.LoginStarted,
        login_token=lease_tokens,
        issuer=names,
        role=names,
        scopes=texts,
        user_code=names,
        verification_uri=names,
        expires_at=instants,
        interval_seconds=st.floats(0.1, 100),
        verification_uri_complete=maybe,
    ),
    native.LoginState: st.builds(
        native.LoginState, st.booleans(), st.floats(0.1, 100), maybe, st.none() | instants, maybe
    ),
    native.AskToken: st.builds(native.AskToken, st.none() | texts, st.none() | texts, whole, maybe),
    native.TokenGiven: tokens_given,
    native.AskUnder: entries,
    native.AskTokens: st.builds(native.AskTokens, st.lists(entries, max_size=3)),
    native.Problem: problems,
    native.TokenOrProblem: entries_answered,
    native.TokenLine: st.builds(native.TokenLine, given=tokens_given, n=whole),
    native.TokensGiven: st.builds(native.TokensGiven, st.lists(entries_answered, max_size=3)),
    native.AskContainment: st.builds(
        native.AskContainment, names, names, names, st.none() | instants, st.booleans()
    ),
    native.ContainmentDone: st.builds(
        native.ContainmentDone,
        kind=names,
        name=names,
        before=instants,
        holds_by=instants,
        dry_run=st.booleans(),
        leases=whole,
        jobs=whole,
        people=texts,
        all_counted=st.booleans(),
    ),
    native.Contained: st.builds(native.Contained, names, names, instants, instants),
    native.ContainedNow: st.builds(
        native.ContainedNow,
        st.lists(st.builds(native.Contained, names, names, instants, instants), max_size=3),
    ),
    native.AskLease: st.builds(native.AskLease, names, texts, texts, whole, st.none() | whole),
    native.LeaseGiven: st.builds(native.LeaseGiven, lease_tokens, names, names, instants),
    native.LeaseStatus: st.builds(
        native.LeaseStatus,
        issuer=names,
        role=names,
        credkey=names,
        scopes=texts,
        lease_ends_at=instants,
        grant_state=names,
        last_refresh_at=instants,
        job=maybe,
        grant_ends_at=st.none() | instants,
        log_in_before=st.none() | instants,
        trouble=maybe,
        tokens_last_until=st.none() | instants,
        starts=st.none() | st.lists(job_starts, max_size=3),
        most_starts=st.none() | whole,
    ),
    native.AskInspect: st.builds(
        native.AskInspect, names.map(lambda one: Secret("access token", one))
    ),
    native.Inspected: st.builds(native.Inspected, st.booleans(), names),
    native.JobStart: job_starts,
    native.LoggedOut: st.builds(native.LoggedOut, st.booleans(), st.none() | instants),
    native.IssuersOffered: st.builds(
        native.IssuersOffered, st.lists(st.builds(native.IssuerOffered, names, texts), max_size=3)
    ),
}
REQUESTS = [
    native.StartLogin, native.AskToken, native.AskLease, native.AskUnder, native.AskTokens,
    native.AskInspect,
]  # fmt: skip
NOTHING_NEEDED = {native.AskToken, native.LoggedOut, native.TokenOrProblem, native.TokenLine}


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_a_message_comes_back(kind: Any, data: st.DataObject) -> None:
    """Every field of it."""
    message = data.draw(MESSAGES[kind])
    assert kind.read(message.write()) == message


def test_every_message_is_tried() -> None:
    """A new one must be added above."""
    written = {
        one
        for one in vars(native).values()
        if dataclasses.is_dataclass(one)
        and getattr(one, "__module__", "") in {native.__name__, asking.__name__}
    }
    assert written - {native.IssuerOffered} == set(MESSAGES)


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_request_with_a_field_nobody_knows_is_refused(kind: Any) -> None:
    """A typo must not widen what is asked for."""
    with pytest.raises(Malformed, match="'scope'"):
        kind.read(b'{"scope":["storage.read:/"]}')


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@given(
    body=st.binary(max_size=30)
    | st.dictionaries(names, names, max_size=3).map(lambda it: json.dumps(it).encode())
)
def test_rubbish_is_refused(kind: Any, body: bytes) -> None:
    """By one kind of error, whatever it is; an empty body asks for any token."""
    try:
        kind.read(body)
    except Malformed:
        return
    assert kind in NOTHING_NEEDED


def test_no_scopes_is_not_the_same_as_all() -> None:
    """Absent means all that the lease allows; an empty list asks for nothing."""
    assert native.AskToken.read(b"") == native.AskToken(None, None, 0)
    assert native.AskToken.read(b'{"scopes":[],"audiences":null}') == native.AskToken([], None, 0)


def test_messages_do_not_show_their_tokens() -> None:
    """In a log of the whole message."""
    shown = native.LeaseGiven(Secret("lease token", "cb_secret"), "id", "job", NOON)
    assert "cb_secret" not in repr(shown)


def test_a_line_of_a_batch_says_which_entry_it_answers() -> None:
    """Also the first; it is one line."""
    line = native.write_line(0, native.TokenOrProblem(problem=native.Problem("busy", "Wait.")))
    assert line == '{"problem":{"error":"busy","message":"Wait."},"n":0}\n'
