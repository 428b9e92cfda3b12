"""Keeps those who show no known lease from keeping the broker busy.

Each request that shows none counts against the address it comes from, from before anything is
asked of OpenBao/Vault or written down until what it shows turns out to be good. Whoever has shown a
good lease here is not counted, whatever others at the same address do. One host may have all of an
IPv6 network of 64 bits (RFC 4291 section 2.5.1): that counts as a whole, too, at ten times as much.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import web

from credbroker.domain.errors import Refused, TooManyRequests
from credbroker.domain.leases import without_chance
from credbroker.domain.limits import Allowance
from credbroker.ports import Clock

MOST_ADDRESSES = 10_000
MOST_KNOWN = 50_000
NETWORK_TIMES = 10
UNKNOWN = "unknown"


class Strangers:
    """Counts requests by address until they prove to be nobody's or somebody's."""

    def __init__(
        self, allowance: Allowance, clock: Clock, shared: Sequence[IPv4Network | IPv6Network] = ()
    ) -> None:
        """Let each address ask as often as `allowance` says without a known lease.

        Addresses in `shared` networks, which many people share, are not counted.
        """
        self._shared = shared
        self._allowance = allowance
        self._of_network = Allowance(
            allowance.per_second * NETWORK_TIMES, allowance.burst * NETWORK_TIMES
        )
        self._clock = clock
        self._made_up_at: dict[str, float] = {}
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def count(self, request: web.Request, guessed_at: str = "") -> None:
        """Count a request against its address; raise `TooManyRequests` if it is one too many.

        What may be a guess at something of little chance, such as a service's secret, counts against
        its address and `guessed_at` together, also where many people share the address.
        """
        address, now = _address(request), self._clock.elapsed()
        if not guessed_at and self._is_shared(address):
            return
        counts = self._counts(address, guessed_at)
        made_up_at = {place: self._made_up_at.get(place, now) for place in counts}
        wait = max(one.wait_seconds(made_up_at[place], now) for place, one in counts.items())
        if wait > 0:
            raise TooManyRequests(
                "Too many requests without a known lease or secret come from this address.",
                wait_seconds=wait,
            )
        if not counts.keys() <= self._made_up_at.keys() and len(self._made_up_at) >= MOST_ADDRESSES:
            self._forget_addresses()
        for place, allowance in counts.items():
            self._made_up_at[place] = allowance.once_more(made_up_at[place], now)

    @contextmanager
    def counted_unless_known(
        self, request: web.Request, shown: bytes | None = None, guessed_at: str = ""
    ) -> Iterator[None]:
        """Run a block that succeeds if what the request shows is good; count the request if not.

        While the block runs the request counts, as in `count`. Raises `TooManyRequests` instead of
        running it.
        What it shows stands in its headers; of one that shows several leases `shown` is the digest
        of one of them.
        """
        shown = shown or _shown(request)
        known = shown in self._known
        if not known:
            self.count(request, guessed_at)
        try:
            yield
        except Refused:
            self._known.pop(shown, None)
            raise
        if not known:
            self._count_back(_address(request), guessed_at)
        self._remember(shown)

    def _is_shared(self, address: str) -> bool:
        if not self._shared or address == UNKNOWN:
            return False
        there = ip_address(address.partition("%")[0])
        return any(there in network for network in self._shared)

    def _counts(self, address: str, guessed_at: str) -> dict[str, Allowance]:
        """Return what a request from there counts against, and how much each may."""
        counts = {address: self._allowance}
        there = IPv6Address(address.partition("%")[0]) if ":" in address else None
        if there is not None and there.ipv4_mapped is None:
            counts[str(IPv6Network((there, 64), strict=False))] = self._of_network
        return {f"{place} {guessed_at}": allowance for place, allowance in counts.items()}

    def _count_back(self, address: str, guessed_at: str) -> None:
        for place, allowance in self._counts(address, guessed_at).items():
            if place in self._made_up_at:
                self._made_up_at[place] = allowance.once_less(self._made_up_at[place])

    def _remember(self, shown: bytes) -> None:
        """Keep what was shown as the newest; let go of what was shown longest ago."""
        self._known[shown] = None
        self._known.move_to_end(shown)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    def _forget_addresses(self) -> None:
        """Let go of half of the addresses: those that have least to make up for, or nothing."""
        busiest = sorted(self._made_up_at, key=self._made_up_at.__getitem__)[MOST_ADDRESSES // 2 :]
        self._made_up_at = {address: self._made_up_at[address] for address in busiest}


def _address(request: web.Request) -> str:
    return request.remote or UNKNOWN


def _shown(request: web.Request) -> bytes:
    """Return a digest of what the request shows, in whichever header; one for all secrets of a job."""
    digest = hashlib.sha256()
    for header in ("Authorization", "X-Vault-Token"):
        text = without_chance(request.headers.get(header, "")).encode(errors="surrogateescape")
        digest.update(len(text).to_bytes(4, "big") + text)
    return digest.digest()
