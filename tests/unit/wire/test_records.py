"""What Vault keeps comes back as it was; a damaged or newer record is refused, not guessed at."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from credbroker.domain.device import PendingLogin
from credbroker.domain.errors import Malformed
from credbroker.domain.grants import Grant
from credbroker.domain.leases import Lease
from credbroker.domain.starts import MOST_STARTS, Start, Starts
from credbroker.wire.records import (
    read_grant,
    read_lease,
    read_login,
    write_grant,
    write_lease,
    write_login,
)
from tests.unit import things

Pair = tuple[Mapping[str, object], Callable[[object], object]]
RECORDS: list[Pair] = [
    (write_grant(things.grant()), read_grant),
    (write_lease(things.lease()), read_lease),
    (write_login(things.login()), read_login),
]


def through_json(record: Mapping[str, object]) -> Any:
    """Return a record as the store gives it back."""
    return json.loads(json.dumps(record))


@given(things.grants)
def test_a_grant_comes_back(grant: Grant) -> None:
    """Token, state, times and all."""
    assert read_grant(through_json(write_grant(grant))) == grant


@given(things.leases)
def test_a_lease_comes_back(lease: Lease) -> None:
    """No limit and an empty limit stay two different things."""
    assert read_lease(through_json(write_lease(lease))) == lease


@given(things.logins)
def test_a_waiting_login_comes_back(login: PendingLogin) -> None:
    """With its code, or without it once it is over."""
    assert read_login(through_json(write_login(login))) == login


def test_what_a_record_holds_of_a_jobs_secrets_is_one_text_of_few_bytes() -> None:
    """OpenBao refuses a request with more than a thousand texts in it; each step writes it anew."""
    made = tuple(Start(things.NOON, "2001:db8::ffff:192.0.2.7") for _ in range(MOST_STARTS))
    starts = Starts.of(things.LEASE_TOKEN.secret, MOST_STARTS)
    begun = (starts.first,) * MOST_STARTS
    few = write_lease(things.lease(starts=replace(starts, made=made[:3], begun=begun[:3])))
    assert len(few) < 20
    assert len(json.dumps(few)) < 1500
    most = write_lease(things.lease(starts=replace(starts, made=made, begun=begun)))
    assert len(json.dumps(most)) < 20_000


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"most":"x"}', "x" * 100])
def test_a_damaged_chain_is_refused(damage: str) -> None:
    """A lease whose secrets are used once must not become one whose secret lasts."""
    with pytest.raises(Malformed):
        read_lease({**write_lease(things.lease()), "starts": damage or 1})


def test_a_lease_keeps_no_secret() -> None:
    """Whoever reads the store cannot ask for anything."""
    assert things.LEASE_TOKEN.secret.reveal() not in json.dumps(write_lease(things.lease()))


@pytest.mark.parametrize(("record", "read"), RECORDS)
def test_a_record_of_a_newer_version_is_refused(
    record: Mapping[str, object], read: Callable[[object], object]
) -> None:
    """It may mean something that this version would break."""
    with pytest.raises(Malformed, match="newer version"):
        read({**record, "format": 2})


@pytest.mark.parametrize(("record", "read"), RECORDS)
def test_fields_of_a_newer_replica_are_ignored(
    record: Mapping[str, object], read: Callable[[object], object]
) -> None:
    """Old and new replicas run side by side during an upgrade."""
    assert read({**record, "not_yet_known": 1}) == read(record)


@pytest.mark.parametrize(("record", "read"), RECORDS)
def test_a_damaged_record_is_refused(
    record: Mapping[str, object], read: Callable[[object], object]
) -> None:
    """Whichever required field is gone or of another type; the sentence holds no value."""
    for name in record:
        for damage in ({}, {name: {"odd": "value-of-it"}}):
            damaged = {other: value for other, value in record.items() if other != name} | damage
            sentence = things.refusal(functools.partial(read, damaged))
            assert sentence or not damage, name
            assert "value-of-it" not in sentence
    rubbish: object
    for rubbish in (None, [], "x", {}):
        with pytest.raises(Malformed):
            read(rubbish)


def test_a_grant_in_a_state_nobody_knows_is_refused() -> None:
    """Guessing could post a token twice."""
    with pytest.raises(Malformed, match="state"):
        read_grant({**write_grant(things.grant()), "state": "asleep"})
