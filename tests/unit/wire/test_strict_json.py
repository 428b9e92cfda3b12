"""JSON that two readers cannot understand differently."""

from __future__ import annotations

import pytest

from credbroker.wire.strict_json import read_json


def test_json_is_read() -> None:
    """With or without the mark that some editors put first."""
    assert read_json(b'{"a": [1, null]}') == {"a": [1, None]}
    assert read_json(b'\xef\xbb\xbf"a"') == "a"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":1,"a":1}', b'[{"b":{"a":1,"a":2}}]'])
def test_what_is_none_or_names_a_field_twice_is_refused(body: bytes) -> None:
    """However deep."""
    with pytest.raises(ValueError):
        read_json(body)
