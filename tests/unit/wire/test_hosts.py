"""Hosts, their sessions and leases come back from the store as they were, and nothing else does."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.deliveries import HostLease
from credbroker.domain.errors import Malformed, NotAllowed
from credbroker.domain.hosts import JOIN_TOKEN, Host, HostSecret, HostSession
from credbroker.domain.secret import Secret
from credbroker.wire import hosts as wire
from tests.unit.things import instants, names

absent_or = st.just("") | names


@given(
    st.builds(
        Host, names, absent_or, st.none() | instants, absent_or, st.none() | instants, absent_or
    )
)
def test_a_host_comes_back(host: Host) -> None:
    """Through JSON."""
    assert wire.read_host(json.loads(json.dumps(wire.write_host(host)))) == host


@given(st.builds(HostSession, names, names, names, instants, instants, absent_or))
def test_a_session_comes_back(session: HostSession) -> None:
    """Through JSON."""
    written = json.loads(json.dumps(wire.write_host_session(session)))
    assert wire.read_host_session(written) == session


@given(st.builds(HostLease, names, names, names, instants))
def test_a_hosts_lease_comes_back_and_is_no_session(held: HostLease) -> None:
    """The two share a folder."""
    written = json.loads(json.dumps(wire.write_host_lease(held)))
    assert wire.read_host_lease(written) == held
    with pytest.raises(Malformed):
        wire.read_host_session(written)


def test_a_session_is_no_hosts_lease() -> None:
    """Nor is it a host."""
    for read in (wire.read_host_lease, wire.read_host):
        with pytest.raises(Malformed):
            read({"format": 1, "id": "a", "secret_hash": "b", "host": "c"})


def test_a_join_token_is_read_as_it_was_told() -> None:
    """Anything else is refused without being said back."""
    token = HostSecret(JOIN_TOKEN, "p" * 43, Secret("join token", "s" * 43))
    assert wire.read_join_token(Secret("join token", wire.write_join_token(token))) == token
    with pytest.raises(NotAllowed) as caught:
        wire.read_join_token(Secret("join token", "my secret"))
    assert "my secret" not in str(caught.value)
