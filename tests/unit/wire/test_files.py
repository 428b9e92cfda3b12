"""Thousands of entries are read quickly, and as each would be by itself."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import LotToken
from credbroker.wire.fields import Fields
from credbroker.wire.files import (
    MOST_FILES,
    AskFile,
    AskFiles,
    FileAnswered,
    read_asked,
    write_problem_line,
    write_token,
    write_url,
)
from credbroker.wire.native import Problem
from tests.unit import things

values: st.SearchStrategy[Any] = st.sampled_from(
    [
        "/d/f",
        "",
        "read",
        "é",
        "\ud800",
        5,
        -1,
        1.5,
        10**12,
        True,
        None,
        [],
        ["read"],
        ["é"],
        [1],
        {},
    ]
)
fields = st.dictionaries(
    st.sampled_from(["path", "access", "audience", "url", "lifetime_seconds", "form", "other"]),
    values,
)
usual = st.builds(
    lambda more: {"path": "/d/f", "access": ["read"], "audience": "https://se.test", **more}, fields
)


@given(fields | usual | values)
def test_an_entry_is_read_as_any_message_is(entry: Any) -> None:
    """The quick way makes no difference to what is taken, nor to what is said of the rest."""
    body = json.dumps({"entries": [entry]}).encode()
    [found] = read_asked(body)
    try:
        expected: AskFile | str = AskFile.of(Fields(json.loads(json.dumps(entry)), "The request"))
    except Malformed as error:
        expected = error.sentence
    assert (found.sentence if isinstance(found, Malformed) else found) == expected


def test_what_is_written_is_read() -> None:
    """By the messages that the description of the interface is made from."""
    asked = AskFiles([AskFile("/d/f", ["read"], "https://se.test"), AskFile("/g", ["create"])])
    assert read_asked(asked.write()) == asked.entries


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"entries":{}}',
        b"{}",
        b'{"entries":[],"more":1}',
        b'{"entries":[],"entries":[]}',
    ],
)
def test_what_is_no_list_of_entries_is_refused_as_a_whole(body: bytes) -> None:
    """There is nobody to answer."""
    assert things.refusal(lambda: read_asked(body))


def test_more_entries_than_are_taken_are_refused_as_a_whole() -> None:
    """Before any is read."""
    most = {"entries": [1] * MOST_FILES}
    assert len(read_asked(json.dumps(most).encode())) == MOST_FILES
    most["entries"].append(1)
    assert "at most 10000" in things.refusal(lambda: read_asked(json.dumps(most).encode()))


def test_each_line_is_one_json_object() -> None:
    """With token, URL or problem; a URL may have parameters already."""
    value, scope = Secret("access token", "access-1"), "storage.stage:/d storage.read:/d"
    token = LotToken(things.access_token(), value, scope, "jti-1")
    expires = {"expires_at": "2026-06-01T13:00:00Z", "jti": "jti-1"}
    lines = [
        write_token(0, token),
        write_token(1, token, scope),
        write_url(2, token, "https://se.test/d"),
        write_url(3, token, "https://se.test/d?a=b"),
        write_problem_line(4, Problem("malformed", "No.")),
    ]
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
    assert [json.loads(line) for line in lines] == [
        {"n": 0, "access_token": "access-1", **expires},
        {"n": 1, "access_token": "access-1", **expires, "scope": scope},
        {"n": 2, "url": "https://se.test/d?authz=Bearer%20access-1", **expires},
        {"n": 3, "url": "https://se.test/d?a=b&authz=Bearer%20access-1", **expires},
        {"n": 4, "problem": {"error": "malformed", "message": "No."}},
    ]
    for line in lines:
        read = FileAnswered.read(line.encode())
        assert "access-1" not in repr(read)


PAGE = (Path(__file__).parents[3] / "docs" / "files.md").read_text()


def test_what_the_page_asks_and_is_answered_are_the_messages() -> None:
    """Its first block of JSON is a request, the second the lines of an answer."""
    asked, lines = re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)
    entries = read_asked(asked.encode())
    assert [type(entry) for entry in entries] == [AskFile] * 3
    for n, line in enumerate(lines.splitlines()):
        answered = FileAnswered.read(line.encode())
        assert answered.n == n
        assert set(json.loads(line)) <= {one.name for one in dataclasses.fields(FileAnswered)}
        only_one = (answered.access_token, answered.url, answered.problem)
        assert sum(one is not None for one in only_one) == 1


def test_the_page_tells_of_each_field_of_an_entry() -> None:
    """In the order of the message."""
    told = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert told == [one.name for one in dataclasses.fields(AskFile)]
