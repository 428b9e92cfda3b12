"""What Vault keeps beside grants and leases comes back as it was; damage is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.domain.marks import (
    MOST_KEY_SET_CHARACTERS,
    Heartbeat,
    IssuerCount,
    IssuerMark,
    PublishedKeys,
    RewindMark,
    SpoolKey,
)
from credbroker.domain.rotation import Rule, UnclearRule
from credbroker.domain.secret import Secret
from credbroker.wire.marks import (
    read_heartbeat,
    read_issuer_mark,
    read_published,
    read_rewind,
    read_spool_key,
    write_heartbeat,
    write_issuer_mark,
    write_published,
    write_rewind,
    write_spool_key,
)
from tests.unit.things import NOON, instants, names

counts = st.builds(
    IssuerCount,
    refreshes=st.integers(0, 10**6),
    dead=st.integers(0, 10**6),
    horizon=st.none() | instants,
    failing_seconds=st.floats(0, 1e6),
)
heartbeats = st.builds(
    Heartbeat,
    replica=names,
    beat=st.integers(0, 10**9),
    counts=st.dictionaries(names, counts, max_size=3),
)
issuer_marks = st.builds(
    IssuerMark,
    name=names,
    rule=st.none() | st.builds(Rule, st.sampled_from(UnclearRule), st.floats(0, 1e6)),
    rotates=st.booleans(),
    recorded_at=st.none() | instants,
    braked_at=st.none() | instants,
    braked_by=st.just("") | names,
    bridged_until=st.none() | instants,
)
rewinds = st.builds(
    RewindMark,
    counter=st.integers(0, 10**12),
    halted_at=st.none() | instants,
    halted_by=st.just("") | names,
    sorted_by=st.lists(names, max_size=3).map(tuple),
)
PUBLISHED = PublishedKeys("https://issuer.test/", '{"keys": []}')
SPOOL_KEY = SpoolKey("cHVibGlj", Secret("spool key", "cHJpdmF0ZQ"))

Pair = tuple[Mapping[str, object], Callable[[object], object]]
RECORDS: list[Pair] = [
    (
        write_issuer_mark(IssuerMark("cms", Rule(UnclearRule.GRACE, 30.0), True, NOON, NOON, "r")),
        read_issuer_mark,
    ),
    (write_heartbeat(Heartbeat("r", 7, {"cms": IssuerCount(5, 1, NOON)})), read_heartbeat),
    (write_rewind(RewindMark(7, NOON, "r", ("r", "s"))), read_rewind),
    (write_spool_key(SPOOL_KEY), read_spool_key),
    (write_published(PUBLISHED), read_published),
]


def through_json(record: Mapping[str, object]) -> Any:
    """Return a record as the store gives it back."""
    return json.loads(json.dumps(record))


@given(issuer_marks)
def test_what_is_known_of_an_issuer_comes_back(mark: IssuerMark) -> None:
    """Its rule, whether it rotates, and its brake."""
    assert read_issuer_mark(through_json(write_issuer_mark(mark))) == mark


@given(heartbeats)
def test_a_sign_of_life_comes_back(heartbeat: Heartbeat) -> None:
    """With its counts, or without any."""
    assert read_heartbeat(through_json(write_heartbeat(heartbeat))) == heartbeat


@given(rewinds)
def test_a_counter_comes_back(mark: RewindMark) -> None:
    """With the halt, if there is one, and who has sorted since."""
    assert read_rewind(through_json(write_rewind(mark))) == mark


def test_a_spool_key_comes_back_and_shows_its_private_half_nowhere_else() -> None:
    """The record is the one place."""
    record = write_spool_key(SPOOL_KEY)
    assert read_spool_key(through_json(record)) == SPOOL_KEY
    assert "cHJpdmF0ZQ" in json.dumps(record)
    assert "cHJpdmF0ZQ" not in repr(SPOOL_KEY)


def test_an_issuers_keys_come_back_as_one_text() -> None:
    """One that is too long is refused."""
    record = write_published(PUBLISHED)
    assert read_published(through_json(record)) == PUBLISHED
    with pytest.raises(Malformed, match="too long"):
        read_published({**record, "key_set": "x" * (MOST_KEY_SET_CHARACTERS + 1)})


@pytest.mark.parametrize(("record", "read"), RECORDS)
def test_a_record_of_a_newer_kind_is_refused(
    record: Mapping[str, object], read: Callable[[object], object]
) -> None:
    """And so is what is no record at all."""
    wrongs: list[object] = [{**record, "format": 99}, {}, [], None, "x"]
    for wrong in wrongs:
        with pytest.raises(Malformed):
            read(wrong)


DAMAGED = [
    (record, read, key)
    for record, read in RECORDS
    for key in record
    if key not in {"sorted_by", "counts"}
]


@pytest.mark.parametrize(("record", "read", "key"), DAMAGED)
def test_a_record_with_a_wrong_field_is_refused(
    record: Mapping[str, object], read: Callable[[object], object], key: str
) -> None:
    """Nothing in it is guessed."""
    with pytest.raises(Malformed):
        read({**record, key: ["no such thing"]})


def test_a_rule_nobody_knows_is_refused() -> None:
    """It may mean something that an older version must not ignore."""
    record = {**write_issuer_mark(IssuerMark("cms", Rule())), "rule": "hope"}
    with pytest.raises(Malformed, match="rule this version does not know"):
        read_issuer_mark(record)


@given(st.dictionaries(st.sampled_from(["name", "rule", "beat", "counts", "format"]),
                       st.none() | st.integers() | st.text(max_size=5)))  # fmt: skip
def test_rubbish_is_refused_and_nothing_else(record: dict[str, object]) -> None:
    """Never another error than the one that names the record."""
    for read in (read_issuer_mark, read_heartbeat, read_rewind, read_spool_key):
        with pytest.raises(Malformed):
            read({**record, "format": 0})
