"""A request for thousands of files is read in one go only where nobody could read it in another way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.api import asked_files
from credbroker.api.asked_files import read_files
from credbroker.domain.errors import Malformed
from credbroker.wire.files import MOST_FILES, AskFile, read_asked

USUAL = {"path": "/d/f", "access": ["read"], "audience": "https://se.test"}

texts = st.sampled_from(
    ["/d/f", "read", "", "token", "url", "é", 'a"b', "a\\b", ":", ",", "{", "null"]
)
values: st.SearchStrategy[Any] = texts | st.sampled_from(
    [None, 5, -1, 60.0, 1.5, 10**12, True, [], ["read"], [""], [1], {}]
)
names = st.sampled_from(["path", "access", "audience", "url", "lifetime_seconds", "form", "other"])
pairs = st.lists(st.tuples(names, values), max_size=4)


def _written(pairs: list[tuple[str, Any]]) -> str:
    """Return an object that has all of these fields, also those that have one name."""
    return "{" + ", ".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in pairs) + "}"


def _read(body: bytes, read: Any) -> object:
    try:
        found = read(body)
    except Malformed as error:
        return error.sentence
    return [one.sentence if isinstance(one, Malformed) else one for one in found]


@given(
    st.lists(pairs, max_size=3), st.booleans(), st.sampled_from(["", ',"more":1', ',"entries":[]'])
)
def test_the_quick_way_makes_no_difference(
    entries: list[list[tuple[str, Any]]], usual: bool, after: str
) -> None:
    """Neither to what is taken, nor to what is said of the rest; fields named twice included."""
    begin = list(USUAL.items()) if usual else []
    written = ", ".join(_written([*begin, *more]) for more in entries)
    body = f'{{"entries": [{written}]{after}}}'.encode()
    assert _read(body, read_files) == _read(body, read_asked)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_as_ever(body: bytes) -> None:
    """Most are no JSON."""
    assert _read(body, read_files) == _read(body, read_asked)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"url": "https://se.test/d/f", "form": "url"},
        {"lifetime_seconds": 60},
        {"access": ["read", "stage"]},
    ],
)
def test_what_most_send_is_read_in_one_go(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    """Whether or not there are spaces between its words."""

    def slow(_body: bytes) -> None:
        raise AssertionError("It was read one field after the other.")

    monkeypatch.setattr(asked_files, "read_asked", slow)
    asked = {"entries": [{**USUAL, **more}] * 3}
    for body in (
        json.dumps(asked),
        json.dumps(asked, indent=2),
        json.dumps(asked, separators=(",", ":")),
    ):
        assert read_files(body.encode()) == [AskFile(**{**USUAL, **more})] * 3


@pytest.mark.parametrize(
    "body",
    [
        b'{"entries":[{"path":"/a","path":"/b","access":["read"]}]}',
        b'{"entries":[{"path" :"/a","path":"/b","access":["read"]}]}',
        b'{"entries":[{"path":"/a","pat\\u0068":"/b","access":["read"]}]}',
        b'{"entries":[{"path":"/a","access":["read"],"acces":["stage"]}]}',
        b'{"entries":[{"path":"/a","access":["read"],"form":"url","form":"token"}]}',
        b'{"entries":[],"entries":[{"path":"/a","access":["read"]}]}',
        b'{"entries":[' + b"[" * 5000 + b"]" * 5000 + b"]}",
    ],
)
def test_what_two_readers_could_see_differently_is_refused(body: bytes) -> None:
    """As a whole, or in its entry."""
    found = _read(body, read_files)
    assert found == _read(body, read_asked)
    assert not (isinstance(found, list) and isinstance(found[0], AskFile))


def test_more_files_than_are_taken_are_refused() -> None:
    """However quickly they would be read."""
    body = json.dumps({"entries": [USUAL] * MOST_FILES}).encode()
    assert len(read_files(body)) == MOST_FILES
    with pytest.raises(Malformed, match="at most 10000"):
        read_files(json.dumps({"entries": [USUAL] * (MOST_FILES + 1)}).encode())
