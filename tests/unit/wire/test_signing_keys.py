"""A community's keys come back from their record as they went in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.domain.signing_keys import KeyHalves, SigningKey, SigningKeys
from credbroker.wire.signing_keys import read_signing_keys, write_signing_keys
from tests.unit.things import instants, names

signing_keys = st.builds(
    SigningKey,
    st.builds(
        KeyHalves,
        names,
        names,
        st.just('{"kty":"EC"}'),
        st.none() | names.map(lambda value: Secret("signing key", value)),
        st.just("") | names,
    ),
    instants,
    instants,
    st.floats(0, 1e9),
    st.none() | instants,
)


@given(names, st.lists(signing_keys, max_size=4).map(tuple))
def test_what_is_written_is_read_again(url: str, keys: tuple[SigningKey, ...]) -> None:
    """Through JSON, as Vault keeps it."""
    record = SigningKeys(url, keys)
    assert read_signing_keys(json.loads(json.dumps(write_signing_keys(record)))) == record


KEY = {
    "key_id": "k",
    "algorithm": "ES256",
    "public": "{}",
    "made_at": "2026-06-01T12:00:00Z",
    "uses_from": "2026-06-01T12:00:00Z",
    "token_seconds": 3600,
}


@pytest.mark.parametrize(
    "changes",
    [{"public": "no JSON"}, {"public": "[]"}, {"key_id": ""}, {"uses_from": "noon"},
     {"token_seconds": "long"}, {"private": 7}],
)  # fmt: skip
def test_a_damaged_key_is_told(changes: dict[str, object]) -> None:
    """Before anybody signs or publishes with it."""
    record = {"format": 1, "url": "https://tokens.test/", "keys": [KEY]}
    assert len(read_signing_keys(record).keys) == 1
    with pytest.raises(Malformed):
        read_signing_keys({**record, "keys": [{**KEY, **changes}]})


def test_a_record_without_a_list_of_keys_is_damaged() -> None:
    """And not one without keys, which would have new ones made."""
    with pytest.raises(Malformed):
        read_signing_keys({"format": 1, "url": "https://tokens.test/"})
