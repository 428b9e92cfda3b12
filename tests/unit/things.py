"""One of each value of the domain, ready to be changed, and strategies that make many."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from credbroker.domain.attenuation import Ceiling
from credbroker.domain.device import PendingLogin
from credbroker.domain.errors import Malformed
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.leases import Lease, LeaseToken
from credbroker.domain.names import GrantKey
from credbroker.domain.scopes import COMPUTE, STORAGE, ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.starts import Start, Starts
from credbroker.domain.tokens import AccessToken

NOON = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
ISSUER = "https://issuer.test/"
KEY = GrantKey("egi", "ada", "default")
LEASE_TOKEN = LeaseToken("i" * 22, Secret("lease", "s" * 43))


def seconds(count: float) -> datetime.timedelta:
    """Return a span of time."""
    return datetime.timedelta(seconds=count)


def refusal(read: Callable[[], object]) -> str:
    """Return the sentence with which `read` refuses as malformed; empty if it does not."""
    try:
        read()
    except Malformed as error:
        return error.sentence
    return ""


def access_token(scope: str = "storage.read:/", **changes: Any) -> AccessToken:
    """Return a token that lives an hour from noon."""
    fields: dict[str, Any] = {
        "value": Secret("access token", "access-1"),
        "issuer_url": ISSUER,
        "subject": "sub-ada",
        "scopes": ScopeSet.parse(scope),
        "audiences": ("https://se.test",),
        "groups": (),
        "version": "1.0",
        "jti": "jti-1",
        "key_id": "key-1",
        "issued_at": NOON,
        "not_before": NOON,
        "expires_at": NOON + seconds(3600),
        "obtained_at": NOON,
    }
    return AccessToken(**fields | changes)


def grant(scope: str = "openid offline_access storage.read:/", **changes: Any) -> Grant:
    """Return a grant that is ready for use."""
    fields: dict[str, Any] = {
        "key": KEY,
        "line": "line-1",
        "issuer_url": ISSUER,
        "subject": "sub-ada",
        "client_id": "broker",
        "scopes": ScopeSet.parse(scope),
        "refresh_token": Secret("refresh token", "refresh-1"),
        "generation": 1,
        "state": GrantState.READY,
        "write_id": "write-1",
        "created_at": NOON,
        "refreshed_at": NOON,
    }
    return Grant(**fields | changes)


def lease(**changes: Any) -> Lease:
    """Return the lease of a login, for a day from noon."""
    fields: dict[str, Any] = {
        "id": LEASE_TOKEN.id,
        "secret_hash": LEASE_TOKEN.secret_hash(),
        "key": KEY,
        "line": "line-1",
        "ceiling": Ceiling(),
        "created_at": NOON,
        "ends_at": NOON + seconds(86400),
    }
    return Lease(**fields | changes)


def login(**changes: Any) -> PendingLogin:
    """Return a login that waits for its person."""
    fields: dict[str, Any] = {
        "id": "i" * 22,
        "secret_hash": "0" * 64,
        "issuer": "egi",
        "role": "default",
        "scopes": ScopeSet.parse("openid offline_access storage.read:/"),
        "device_code": Secret("device code", "device-1"),
        "interval_seconds": 5.0,
        "started_at": NOON,
        "expires_at": NOON + seconds(600),
        "origin": "192.0.2.1",
    }
    return PendingLogin(**fields | changes)


segments = st.sampled_from(["a", "b", "ab", "foo", "foobar", "x.y", "A", "%20"])
names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)
instants = st.datetimes(
    datetime.datetime(1990, 1, 1),  # noqa: DTZ001  # the strategy adds the zone
    datetime.datetime(2090, 1, 1),  # noqa: DTZ001
    timezones=st.just(datetime.UTC),
).map(lambda at: at.replace(microsecond=0))


@st.composite
def paths(draw: st.DrawFn) -> str:
    """Make paths in normal form, with few names so that they often lie in each other."""
    found = draw(st.lists(segments, max_size=3))
    final = draw(st.sampled_from(["", "/"]))
    return "/" + "/".join(found) + (final if found else "")


storage_items = st.builds(
    lambda name, path: f"{name}:{path}", st.sampled_from(sorted(STORAGE)), paths()
)
other_items = st.sampled_from(
    [
        *sorted(COMPUTE),
        "host.auth",
        "wlcg.groups",
        "wlcg.groups:/cms",
        "fts",
        "openid",
        "offline_access",
    ]
)
scope_sets = st.lists(st.one_of(storage_items, other_items), max_size=5).map(ScopeSet.of)
secrets = names.map(lambda value: Secret("refresh token", value))
keys = st.builds(GrantKey, names, names, names)
grants = st.builds(
    Grant,
    key=keys,
    line=names,
    issuer_url=names,
    subject=names,
    client_id=names,
    scopes=scope_sets,
    refresh_token=st.none() | secrets,
    generation=st.integers(0, 10**9),
    state=st.sampled_from(GrantState),
    write_id=names,
    created_at=instants,
    refreshed_at=instants,
    claimed_by=st.none() | names,
    note=st.just("") | names,
    login_id=st.just("") | names,
    earlier_logins=st.lists(names, max_size=2).map(tuple),
    unused_seconds=st.floats(0.0, 1e9),
    refresh_expires_at=st.none() | instants,
    tokens_until=st.none() | instants,
    mail=st.just("") | names,
)
ceilings = st.builds(
    Ceiling, st.none() | scope_sets, st.none() | st.lists(names, max_size=3).map(tuple)
)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
job_starts = st.builds(Start, instants, names)
starts = st.builds(
    Starts,
    first=hashes,
    mark=hashes,
    most=st.integers(1, 100),
    made=st.lists(job_starts, max_size=3).map(tuple),
    begun=st.lists(hashes, max_size=3).map(tuple),
    shown=st.just("") | hashes,
    present=st.just("") | hashes,
    alarm=st.none() | job_starts,
)
unchained_leases = st.builds(
    Lease,
    id=names,
    secret_hash=names,
    key=keys,
    line=names,
    ceiling=ceilings,
    created_at=instants,
    ends_at=instants,
    ancestors=st.lists(names, max_size=2).map(tuple),
    job=st.none() | names,
    ended_at=st.none() | instants,
    subject=st.just("") | names,
    registers=st.booleans(),
    origin=st.just("") | names,
    host=st.just("") | names,
)
leases = unchained_leases | st.builds(
    lambda lease, chain: replace(lease, starts=replace(chain, first=lease.secret_hash)),
    unchained_leases,
    starts,
)
logins = st.builds(
    PendingLogin,
    id=names,
    secret_hash=names,
    issuer=names,
    role=names,
    scopes=scope_sets,
    device_code=st.none() | names.map(lambda value: Secret("device code", value)),
    interval_seconds=st.floats(0.1, 1000),
    started_at=instants,
    expires_at=instants,
    origin=names,
    note=st.just("") | names,
)
