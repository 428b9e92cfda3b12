"""Every reading undoes its encoding, alone and inside another, and nothing trips over rubbish."""

from __future__ import annotations

import base64
import gzip
import json
import urllib.parse
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from credbroker.telemetry.readings import inflate, readings

PLAIN = b"kd83jf0aKQ1zP5vbnT7wXy"
ENCODED = {
    "percent-encoded": "".join(f"%{byte:02X}" for byte in PLAIN).encode(),
    "escaped": "".join(f"\\u{byte:04x}" for byte in PLAIN).encode(),
    "hex": PLAIN.hex().encode(),
    "base64": base64.b64encode(PLAIN),
    "compressed": gzip.compress(PLAIN),
}


def forms_showing(plain: bytes, content: bytes) -> list[str]:
    """Name the readings of `content` in which `plain` stands."""
    return [form for form, text in readings(content) if plain in text]


@pytest.mark.parametrize("form", ENCODED)
def test_each_encoding_is_undone(form: str) -> None:
    """Amid other words on other lines."""
    assert forms_showing(PLAIN, b"a %zz \\q \n= " + ENCODED[form] + b" =\n") == [form]


def test_an_encoding_inside_another_is_undone() -> None:
    """As when a form is logged as JSON, then base64 is put round all of it."""
    inner = b"=" + ENCODED["percent-encoded"]
    assert forms_showing(PLAIN, base64.b64encode(inner)) == ["percent-encoded in base64"]


def test_json_in_json_is_undone_twice() -> None:
    """Quotes and slashes of a quoted document come back as they were."""
    secret = 'q"7/é\\x'
    nested = json.dumps(json.dumps(secret).replace("/", "\\/"))
    assert forms_showing(secret.encode(), nested.encode()) == ["escaped in escaped"]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_text_comes_back_from_json(text: str) -> None:
    """Characters beyond the first plane are two escapes."""
    assert forms_showing(text.encode(), json.dumps(text).encode())


@given(st.binary(min_size=12, max_size=80), st.integers(0, 9), st.integers(0, 9))
def test_any_bytes_come_back_from_base64_at_any_offset(plain: bytes, before: int, cut: int) -> None:
    """Whatever stands before them and wherever the line was cut behind them."""
    encoded = base64.urlsafe_b64encode(bytes(before) + plain + b"tail")
    shown = b"x" * cut + encoded.rstrip(b"=")
    assert forms_showing(plain, shown)


def test_wrapped_base64_is_one_text() -> None:
    """As mail and `openssl` wrap it."""
    plain = bytes(range(33, 127)) * 2
    assert forms_showing(plain, base64.encodebytes(plain).replace(b"\n", b"\r\n")) == ["base64"]


@pytest.mark.parametrize(
    "packed", [gzip.compress(PLAIN), zlib.compress(PLAIN)], ids=["gzip", "zlib"]
)
def test_a_packed_member_is_found_anywhere_and_any_number_of_times(packed: bytes) -> None:
    """Between other bytes, with another member after it."""
    assert inflate(b"\x1f\x8b\x08junk" + packed + b"\x00" + packed).count(PLAIN) == 2


def test_a_packed_member_cut_short_is_read_as_far_as_it_goes() -> None:
    """A log being written has no trailer yet."""
    assert inflate(gzip.compress(PLAIN)[:-8]) == PLAIN


@given(st.binary(max_size=300))
@example(b"\\ud83d lone \\udc00\\ud83d")
@example(b"\x78\x9c\x1f\x8b\x08\x00")
@example(b"%%4%4G\\u00\\x")
def test_rubbish_is_read_without_an_error(content: bytes) -> None:
    """The plain reading always comes first."""
    assert next(readings(content)) == ("raw", content)
    assert len(list(readings(content))) < 32


def test_percent_encoding_leaves_the_rest_as_it_is() -> None:
    """A stray percent sign hides nothing after it."""
    content = urllib.parse.quote('%"kd83/jf0a').encode()
    assert forms_showing(b'%"kd83/jf0a', b"100% " + content) == ["percent-encoded"]
