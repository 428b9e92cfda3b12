"""Signs for people while their own issuer is out, within the limits of `domain.bridging`.

- What is signed here stays apart from the issuer's own tokens: it is given to nobody any more once
  the issuer answers.
- That a bridge stands is on record before the first token is out. While one of its tokens may live,
  the first refresh that the issuer refuses ends all that was signed here for that person.
- While any replica sees the issuer fail, each finds out for itself, by probes that use no grant.
"""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass

import structlog

from credbroker.broker.containing import Containing
from credbroker.broker.custody.gate import Gate
from credbroker.broker.custody.issuer_marks import IssuerMarks
from credbroker.broker.custody.replicas import Replicas
from credbroker.broker.holding import HeldTokens
from credbroker.broker.issuing.proofs import REFUSED
from credbroker.broker.issuing.signing import Signing, Statement
from credbroker.broker.issuing.trail import about_signed
from credbroker.broker.running import Means
from credbroker.broker.trail import names
from credbroker.domain.attenuation import Right
from credbroker.domain.bridging import BridgeLimits, out_since, until, why_not
from credbroker.domain.errors import CredbrokerError, IssuerMisbehaved
from credbroker.domain.freshness import Freshness, pick
from credbroker.domain.grants import Grant
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.losses import BRAKED
from credbroker.domain.revocations import Kind
from credbroker.domain.tokens import AccessToken
from credbroker.ports import Issuer

PROBE_SECONDS = 30.0
RETRY_SECONDS = 10.0
# One that is given again is good for half an hour at the least, as a new one for an hour.
_RENEW_AFTER = 0.5
_REASON = "the issuer refused a refresh after an outage"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BridgeBy:
    """What signs while an issuer is out: the community of this name, and how far that goes."""

    community: str
    signing: Signing
    lifetimes: LifetimeTable
    limits: BridgeLimits


@dataclass(frozen=True, slots=True)
class Lookout:
    """What tells how the issuer `name` fares, here and at the other replicas."""

    name: str
    issuer: Issuer
    gate: Gate
    replicas: Replicas
    marks: IssuerMarks


class Bridging:
    """The bridge over the outages of one issuer. Follows `ports.Bridge`."""

    def __init__(
        self, by: BridgeBy, lookout: Lookout, containing: Containing, means: Means
    ) -> None:
        """Sign `by` a community while the `lookout` sees an outage."""
        self._by = by
        self._lookout = lookout
        self._containing = containing
        self._clock = means.clock
        self._audit = means.audit
        self._deeds = means.deeds
        self._held = HeldTokens(means.clock)
        self._probed_at = float("-inf")
        self._probing: asyncio.Task[None] | None = None

    async def token(self, grant: Grant, right: Right) -> AccessToken | None:
        """Return a token for this right if it may be signed now; see `ports.Bridge`."""
        limits, now = self._by.limits, self._clock.now()
        since = self._out_since(now)
        why = why_not(grant, right, since, limits, now)
        if why is not None or since is None:
            log.debug("not_bridged", **names(grant.key), why=why)
            return None
        held = self._held.get(grant.line, right)
        is_good = pick(held, 0.0, _RENEW_AFTER, now) is Freshness.GOOD
        if held is not None and is_good and self._counts(grant, held):
            return held
        await self._containing.admit(grant.key, grant.created_at)
        token = await self._signed(grant, right, until(grant, since, limits, now), since)
        self._held.put(grant.line, right, token)
        return token

    def noted(self, grant: Grant) -> None:
        """Learn of a grant that was stored: of one that the issuer has refused, the bridge ends."""
        is_refused = grant.state in REFUSED and grant.reason != BRAKED
        was_served = grant.subject not in self._by.limits.services
        if grant.key.issuer == self._lookout.name and is_refused and was_served:
            self._held.forget(grant.line)
            self._deeds.begin(self._end(grant), "end what was signed in an outage")

    async def look(self) -> None:
        """See to it that this replica knows how the issuer fares, if any replica sees it fail."""
        failing = self._lookout.gate.failing
        others = self._lookout.replicas.failing_seconds(self._lookout.name)
        if failing.first_at is None and not any(others):
            return
        now = self._clock.elapsed()
        known_at = max(self._probed_at, failing.last_at if failing.first_at is not None else 0.0)
        if now - known_at >= PROBE_SECONDS and (self._probing is None or self._probing.done()):
            self._probed_at = now
            self._probing = self._deeds.begin(self._probe(), "probe for a bridge")

    def _out_since(self, now: datetime.datetime) -> datetime.datetime | None:
        others = self._lookout.replicas.failing_seconds(self._lookout.name)
        own = self._lookout.gate.counts().failing_seconds
        return out_since([own, *others], self._by.limits, now)

    def _counts(self, grant: Grant, token: AccessToken) -> bool:
        marked = self._containing.ends_signed(self._by.community, grant.client_id, token)
        return not marked and self._by.signing.counts(token)

    async def _signed(
        self, grant: Grant, right: Right, ends_at: datetime.datetime, since: datetime.datetime
    ) -> AccessToken:
        """Sign once it is on record that a bridge stands; on the trail before anybody has it."""
        await self._lookout.marks.note_bridged(grant.key.issuer, ends_at)
        _, lifetime = self._by.lifetimes.of_right(right)
        seconds = min(lifetime.usual, int(self._by.limits.longest_seconds))
        statement = Statement(
            grant.subject,
            grant.client_id,
            right.scopes,
            right.audiences,
            seconds,
            not_after=ends_at,
        )
        token = await self._by.signing.sign(statement)
        signed = about_signed(token, grant.client_id, self._by.community)
        about = {**signed, **names(grant.key)}
        await self._audit.record(
            "bridge", **about, refreshed_at=grant.refreshed_at, out_since=since
        )
        return token

    async def _end(self, grant: Grant) -> None:
        """End what was signed for a person, as soon as the store takes it while any of it may live."""
        longest = datetime.timedelta(seconds=self._by.limits.longest_seconds)
        give_up_at = self._clock.now() + longest
        while self._clock.now() < give_up_at:
            try:
                ends_at = await self._lookout.marks.bridged_until(grant.key.issuer)
                if ends_at is not None and ends_at > self._clock.now():
                    name = f"{self._by.community}/{grant.subject}"
                    await self._containing.revoke(Kind.CLIENT, name, reason=_REASON)
            except CredbrokerError as error:
                log.warning("bridge_not_ended_yet", **names(grant.key), why=error.sentence)
                await self._clock.sleep(RETRY_SECONDS)
            else:
                return

    async def _probe(self) -> None:
        try:
            await self._lookout.issuer.probe()
        except CredbrokerError as error:
            self._lookout.gate.probed(error)
        except Exception as error:
            log.exception("probe_broke", issuer=self._lookout.name)
            self._lookout.gate.probed(
                IssuerMisbehaved(f"A probe broke off ({type(error).__name__}).")
            )
        else:
            self._lookout.gate.probed(None)
