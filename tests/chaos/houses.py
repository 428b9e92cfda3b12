"""The campaign's issuers: one for each rule that a refresh without a clear answer may have.

Faults are classes of their own here, so that the issuer's journal names what a request met.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from credbroker.demo.issuer import (
    Client,
    DevIssuer,
    Endpoint,
    IssuerSettings,
    Lifetimes,
    Person,
    RefreshPolicy,
    faults,
)
from tests.chaos.pace import ASK, GRACE, GRACE_SECONDS, ONCE_MORE, REFRESH_SECONDS, RETRY_SAFE

if TYPE_CHECKING:
    from credbroker.demo.issuer import SigningKeys, Snapshot
    from credbroker.demo.issuer.faults import Fault
    from credbroker.host.clock import SystemClock
    from credbroker.ports import Entropy
    from tests.chaos.pace import Pace

_POLICIES = {
    ASK: RefreshPolicy.ROTATE_REVOKE_FAMILY,
    ONCE_MORE: RefreshPolicy.ROTATE,
    GRACE: RefreshPolicy.GRACE,
    RETRY_SAFE: RefreshPolicy.REUSE,
}
SCOPES = ("openid", "offline_access", "storage.read:/", "storage.create:/")


class LateAnswer(faults.Slow):
    """Later than any broker waits."""


class Delay(faults.Slow):
    """Late, and still in time."""


class LostAnswer(faults.Lost):
    """The issuer acts and nobody hears of it."""


class LostRequest(faults.Lost):
    """The connection breaks before the issuer acts, which nobody can tell from the other."""


class HtmlAnswer(faults.Spoiled):
    """A gateway's page."""


class ServerError(faults.Spoiled):
    """Status 500."""


class TooMany(faults.Spoiled):
    """Status 429, which proves that nothing was done."""


HIDING = {one.__name__ for one in (LateAnswer, LostAnswer, LostRequest, HtmlAnswer, ServerError)}
"""Faults after which nobody can know what became of a refresh."""


@dataclass
class House:
    """One issuer, its rule, and the people in it."""

    name: str
    rule: str
    issuer: DevIssuer
    client_secret: str = field(repr=False)
    people: tuple[str, ...]
    scopes: tuple[str, ...] = SCOPES
    rolled_back: list[tuple[float, float]] = field(default_factory=list)
    """From when to when (elapsed seconds) it had an earlier state."""
    _counted: int = 0
    _seen: Counter[str] = field(default_factory=Counter)

    @property
    def rotates(self) -> bool:
        """True if a refresh gives another refresh token."""
        return self.rule != RETRY_SAFE

    @property
    def rule_settings(self) -> dict[str, Any]:
        """Return what a broker's settings say about the rule."""
        grace = {"grace_seconds": GRACE_SECONDS} if self.rule == GRACE else {}
        return {"unclear_answer": self.rule, **grace}

    def on_refresh(self, fault: Fault, times: int = 1) -> None:
        """Let a fault meet the next refreshes."""
        only = faults.grant_type("refresh_token")
        self.issuer.faults.on(Endpoint.TOKEN, fault, times=times, only=only)

    def met(self, name: str) -> int:
        """Return how many refreshes have met a fault of this name."""
        self._count()
        return self._seen[name]

    def refused_clients(self) -> int:
        """Return how often the issuer has not taken its client."""
        self._count()
        return self._seen["invalid_client"]

    def _count(self) -> None:
        """Go through what the journal has gained."""
        journal = self.issuer.journal
        while self._counted < len(journal):
            entry = journal[self._counted]
            self._counted += 1
            self._seen[entry.outcome] += 1
            if entry.refresh_sha256:
                self._seen.update(entry.faults)

    def change_secret(self, secret: str) -> None:
        """Take another client secret from now on."""
        self.issuer.change_secret("credbroker", secret)

    def put_back(self, backup: Snapshot) -> None:
        """Know what was known at a backup, but for the client's secret."""
        self.issuer.restore(backup)
        self.change_secret(self.client_secret)


async def open_houses(
    pace: Pace, keys: SigningKeys, clock: SystemClock, entropy: Entropy
) -> list[House]:
    """Start an issuer for each rule."""
    houses = []
    for rule in pace.rules:
        name = rule.replace("_", "-")
        people = tuple(f"{name}-{number}" for number in range(pace.people))
        secret = entropy.token(32)
        settings = IssuerSettings(
            clients=(Client("credbroker", secret), Client("another", secret)),
            people=tuple(Person(one, one) for one in people),
            lifetimes=Lifetimes(access=pace.access_seconds),
            refresh_policy=_POLICIES[rule],
            interval=1,
            grace_seconds=GRACE_SECONDS,
        )
        issuer = DevIssuer(settings, clock, entropy, keys=keys)
        await issuer.start()
        houses.append(House(name, rule, issuer, secret, people))
    return houses


async def close_houses(houses: list[House]) -> None:
    """Stop every issuer."""
    await asyncio.gather(*(house.issuer.stop() for house in houses))


def late() -> LateAnswer:
    """Return an answer that comes after every time-out."""
    return LateAnswer(2 * REFRESH_SECONDS, acted=True)
