"""Logins that are confirmed in a browser are read as they were written, and nothing else is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.confirming import AskedLogin, ConfirmedLogin
from credbroker.domain.device import DeviceStart
from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.wire.confirmed import (
    read_asked,
    read_confirmed,
    read_login_key,
    write_asked,
    write_confirmed,
    write_login_key,
)
from credbroker.wire.records import write_login
from tests.unit import things

asked = st.builds(
    AskedLogin,
    id=things.names,
    issuer=things.names,
    role=things.names,
    nonce_hash=things.names,
    user_code=things.names,
    started_at=things.instants,
    expires_at=things.instants,
    address=things.names,
    host=st.just("") | things.names,
)
devices = st.builds(
    DeviceStart,
    device_code=things.names.map(lambda value: Secret("device code", value)),
    user_code=things.names,
    verification_uri=things.names,
    verification_uri_complete=st.none() | things.names,
    expires_in=st.floats(1, 1e6),
    interval_seconds=st.floats(1, 100),
)
confirmed = st.builds(
    ConfirmedLogin,
    id=things.names,
    issuer=things.names,
    role=things.names,
    expires_at=things.instants,
    tries=st.integers(0, 3),
    cookie_hash=st.just("") | things.names,
    device=st.none() | devices,
    credkey=st.just("") | things.names,
    line=st.just("") | things.names,
    pending=st.none() | things.grants,
    placed=st.just("") | things.names,
    note=st.just("") | things.names,
)


@given(asked)
def test_what_travels_sealed_is_read_as_it_was_written(login: AskedLogin) -> None:
    """Every field."""
    assert read_asked(write_asked(login)) == login


@given(confirmed)
def test_a_record_is_read_as_it_was_written(login: ConfirmedLogin) -> None:
    """Through JSON, as Vault keeps it."""
    assert read_confirmed(json.loads(json.dumps(write_confirmed(login)))) == login


def test_a_device_logins_record_is_not_taken_for_one() -> None:
    """Both kinds lie in one folder."""
    with pytest.raises(Malformed):
        read_confirmed(write_login(things.login()))


def test_the_key_is_read_as_it_was_written() -> None:
    """It stays wrapped."""
    key = Secret("login key", "A" * 43)
    assert read_login_key(write_login_key(key)) == key
