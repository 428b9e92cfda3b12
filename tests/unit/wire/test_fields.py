"""A JSON object is taken apart field by field, and whatever is wrong becomes one sentence."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.wire.fields import (
    Fields,
    parse_object,
    read_instant,
    write_instant,
    write_object,
    write_optional_instant,
)
from tests.unit.things import NOON, instants, refusal

Reader = Callable[[Fields, str], Any]
READERS: list[Reader] = [
    Fields.text,
    Fields.number,
    Fields.flag,
    Fields.texts,
    Fields.instant,
    Fields.object,
    Fields.objects,
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "body",
    [
        *[
            b"",
            b"{",
            b"\xff\xfe",
            b"[]",
            b"5",
            b'"x"',
            b"null",
            b'{"a":1,"a":2}',
            b'{"a":{"b":1,"b":1}}',
        ],
        *[b"[" * 100_000, b'{"a":' * 100_000, b'{"a":' + b"9" * 5000 + b"}"],
    ],
)
def test_what_is_not_one_plain_object_is_refused(body: bytes) -> None:
    """Twins, depth, rubbish; the sentence names what was read and repeats none of it."""
    with pytest.raises(Malformed, match=r"^The request "):
        parse_object(body, "The request")


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Nothing else is raised."""
    sentence = refusal(lambda: parse_object(body, "The request"))
    assert not sentence or sentence.startswith("The request ")


@pytest.mark.parametrize("reader", READERS)
@given(value=json_values)
def test_any_value_is_read_or_refused_by_name(reader: Reader, value: object) -> None:
    """Whatever its type."""
    sentence = refusal(lambda: reader(Fields({"field": value}, "The request"), "field"))
    assert not sentence or "'field'" in sentence


@pytest.mark.parametrize("reader", READERS)
def test_a_missing_field_is_refused_by_name(reader: Reader) -> None:
    """And null is as good as missing."""
    for read in ({}, {"field": None}):
        with pytest.raises(Malformed, match="'field'"):
            reader(Fields(read, "The request"), "field")
        assert Fields(read, "x").optional("field", Fields(read, "x").text) is None


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "1e16", "true", '"1"'])
def test_a_number_is_finite_and_a_number(number: str) -> None:
    """JSON of other languages may hold more than that."""
    with pytest.raises(Malformed):
        parse_object(b'{"a":%s}' % number.encode(), "The request").number("a")


@pytest.mark.parametrize("text", ['"\\ud800"', '"a\\udfffb"', '""'])
def test_half_a_character_is_no_text(text: str) -> None:
    """It could be written nowhere, hashed by nobody."""
    with pytest.raises(Malformed):
        parse_object(b'{"a":%s}' % text.encode(), "The request").text("a")


def test_a_whole_pair_is_a_character() -> None:
    """As JSON writes those beyond the first plane."""
    assert parse_object(b'{"a":"\\ud83d\\ude00"}', "x").text("a") == "\U0001f600"


def test_a_field_nobody_knows_is_refused_and_cut_short() -> None:
    """The first of them, by name; a huge name is not repeated whole."""
    fields = parse_object(json.dumps({"a": 1, "z" * 500: 1}).encode(), "The request")
    with pytest.raises(Malformed, match=r"'z{64}'"):
        fields.only({"a"})
    assert fields.only({"a", "z" * 500}) is fields


def test_absent_fields_are_not_written() -> None:
    """So that null and missing never differ."""
    assert write_object({"a": None, "b": False, "c": []}) == b'{"b":false,"c":[]}'


@given(instants)
def test_a_time_comes_back(at: datetime.datetime) -> None:
    """To the second, in UTC."""
    assert read_instant(write_instant(at), "x") == at


def test_a_time_is_written_in_utc_and_cut() -> None:
    """Whatever zone it was in."""
    zone = datetime.timezone(datetime.timedelta(hours=2))
    at = datetime.datetime(2026, 3, 1, 14, 0, 0, 999_999, zone)
    assert write_instant(at) == "2026-03-01T12:00:00Z"
    assert write_optional_instant(None) is None
    assert write_optional_instant(NOON) == "2026-06-01T12:00:00Z"


@pytest.mark.parametrize(
    "text",
    ["", "2026-03-01", "2026-03-01T12:00:00", "2026-03-01T12:00:00+00:00", "2026-02-30T12:00:00Z"],
)
def test_another_form_of_time_is_refused(text: str) -> None:
    """With an example of the right one."""
    with pytest.raises(Malformed, match="2026-03-01T12:00:00Z"):
        read_instant(text, "x")
