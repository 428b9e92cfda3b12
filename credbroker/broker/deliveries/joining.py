"""Lets hosts join: an operator's token, good once and for one name, becomes the right of a key.

The key was made on the host and stays there; here is its public half. The same trade again is a
success, for a host whose answer got lost. A host that joins anew leaves its former key behind.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from credbroker.broker.leasing import Origin
from credbroker.broker.running import Means
from credbroker.broker.storing import put_surely
from credbroker.domain.hosts import (
    JOIN_TOKEN,
    Host,
    HostSecret,
    check_host_name,
    invited,
    joined,
    place_of,
)
from credbroker.domain.secret import Secret
from credbroker.ports import RecordStore, StaleVersionError


class Signatures(Protocol):
    """Reads the keys of hosts, and believes what they have signed."""

    def read_key(self, pem: str) -> str:
        """Return a public key in its one form; raise `Malformed` for what is not an EC P-256 key."""

    def signed_by(self, pem: str, assertion: Secret) -> Mapping[str, object]:
        """Return the claims of a JWT that the key has signed; raise `NotAllowed` if it has not."""


async def invite(hosts: RecordStore[Host], name: str, means: Means) -> HostSecret:
    """Return a token by which the host of this name joins, once and within ten minutes.

    One that was there before is over. Raises `Malformed`, `ClockOff` and `StoreUnavailable` kinds.
    """
    name = check_host_name(name)
    means.check_clock()  # what is stored is this host's time
    audit, now = means.audit, means.clock.now()
    token = HostSecret(JOIN_TOKEN, place_of(name), Secret("join token", means.entropy.token(32)))
    await _change(
        hosts, token.place, lambda found: invited(found or Host(name), token.secret_hash(), now)
    )
    await audit.record("host_invited", host=name)
    return token


class Joining:
    """The joining of hosts, at this replica."""

    def __init__(
        self,
        hosts: RecordStore[Host],
        means: Means,
        *,
        signatures: Signatures,
        judge: Callable[[str, str, datetime.datetime], None],
    ) -> None:
        """Keep `hosts`; `judge` raises `LeaseEnded` for a name and address contained since then."""
        self._hosts = hosts
        self._signatures = signatures
        self._judge = judge
        self._means = means
        self._audit = means.audit

    async def join(self, token: HostSecret, public_key: str, origin: Origin) -> Host:
        """Return the host whose join token this is, once the key speaks for it.

        Raises `NotAllowed`, `Malformed` for another kind of key, and `StoreUnavailable` kinds.
        """
        key = self._signatures.read_key(public_key)
        self._means.check_clock()
        now = self._means.clock.now()

        def trade(found: Host | None) -> Host:
            host = joined(found, token.secret_hash(), key, now)
            since = found.judged_at(now) if found is not None else now
            self._judge(host.name, origin.address, since)  # before the token is used up
            return host

        host = await _change(self._hosts, token.place, trade)
        await self._audit.record(
            "host_joined", request_id=origin.request_id, address=origin.address, host=host.name
        )
        return host

    async def host(self, name: str) -> Host | None:
        """Return what is kept of a host. Raises `StoreUnavailable` kinds."""
        stored = await self._hosts.get(place_of(name))
        return stored.value if stored is not None else None


async def _change(
    hosts: RecordStore[Host], segment: str, change: Callable[[Host | None], Host]
) -> Host:
    while True:
        stored = await hosts.get(segment)
        found, version = (stored.value, stored.version) if stored is not None else (None, 0)
        new = change(found)
        if new is found:
            return new
        try:
            await put_surely(hosts, segment, new, version, is_ours=partial(_is_it, new))
            return new
        except StaleVersionError:
            continue  # somebody else wrote: look again


def _is_it(mine: Host, found: Host) -> bool:
    """True for what this very write left; records cut times to whole seconds."""
    ours = (mine.join_hash, mine.traded_hash, mine.key)
    return (found.join_hash, found.traded_hash, found.key) == ours
