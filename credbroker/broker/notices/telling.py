"""Tells people in time: looks at the grants that something may have to be told of, some each minute.

- What the keeper reads, and what this replica stores, is judged by its own record first; only of what
  may be due is more read. A trouble is given some minutes to pass by itself.
- While an issuer is in trouble its people are not told of what follows from that; the webhook is told
  of the issuer, by the replica that keeps the issuer's place.
- Nobody waits for this: what a channel does not take stays due, and what goes wrong with one grant
  stays with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import structlog

from credbroker.broker.notices.choosing import Choosing
from credbroker.broker.notices.depending import Depending
from credbroker.broker.notices.handing_out import About, HandingOut
from credbroker.domain.errors import CredbrokerError
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.names import GrantKey
from credbroker.domain.notices import Cause, NoticeRules, causes, due, issuer_due
from credbroker.domain.shards import shard_of
from credbroker.ports import Clock, RecordStore, StaleVersionError

ROUND_SECONDS = 60.0
SETTLE_SECONDS = 300.0
"""So long a trouble may pass by itself."""
PUT_OFF_SECONDS = 300.0
"""So long a grant rests of which a channel would not take something."""
AGAIN_SECONDS = 3600.0
"""A grant of which all was told is looked at again after so long, unless something else comes."""
MOST_WAITING = 50_000
LOOKS_PER_NOTICE = 10
"""Many grants that may have to be told of have nothing that depends on them."""

MAIL, WEBHOOK = "mail", "webhook"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Around:
    """What is known around grants: which shards this replica keeps, and what troubles which issuer."""

    shards: Callable[[], Collection[int]]
    troubles: Callable[[], Mapping[str, Sequence[Cause]]]


class Telling:
    """All that this replica tells."""

    def __init__(
        self,
        grants: RecordStore[Grant],
        handing_out: HandingOut,
        clock: Clock,
        *,
        depending: Depending,
        choosing: Choosing,
        around: Around,
        rules: NoticeRules,
        most_per_round: int,
    ) -> None:
        """Look at `grants` by `rules`; of all channels together so many notices go out in a round."""
        self._grants = grants
        self._out = handing_out
        self._clock = clock
        self._depending = depending
        self._choosing = choosing
        self._around = around
        self._rules = rules
        self._most_per_round = most_per_round
        self._waiting: dict[str, float] = {}
        self._looked: dict[str, tuple[object, float]] = {}

    @property
    def waiting(self) -> int:
        """Of how many grants something may have to be told."""
        return len(self._waiting)

    def learn(self, grant: Grant) -> None:
        """Learn how a grant stands; asks nobody."""
        segment, now = grant.key.segment(), self._clock.elapsed()
        found = causes(grant, self._clock.now(), self._rules)
        if not found:
            self._let_rest(segment, grant)
        elif segment not in self._waiting and len(self._waiting) < MOST_WAITING:
            sign, again_at = self._looked.get(segment, (None, 0.0))
            if sign != _sign(grant, found) or now >= again_at:
                self._waiting[segment] = now + (SETTLE_SECONDS if _is_trouble(found) else 0.0)

    async def run(self) -> None:
        """Go round for ever."""
        while True:
            await self._clock.sleep(ROUND_SECONDS)
            await self.once()

    async def once(self) -> None:
        """Go round once: issuers first, then the grants whose time has come."""
        self._out.left = self._most_per_round
        troubles = self._around.troubles()
        for issuer, found in troubles.items():
            for cause in found:
                await self._safely(issuer, self._look_at_issuer(issuer, cause))
        now = self._clock.elapsed()
        ready = [segment for segment, at in self._waiting.items() if at <= now]
        for segment in ready[: LOOKS_PER_NOTICE * self._most_per_round]:
            if self._out.left <= 0 or not self._out.open_channels:
                break
            # To the end: what fails again and again keeps nobody else from its turn.
            self._waiting[segment] = self._waiting.pop(segment, now)
            await self._safely(segment, self._look_at_grant(segment, troubles))

    async def _safely(self, about: str, look: Awaitable[None]) -> None:
        try:
            await look
        except StaleVersionError:
            log.debug("notice_elsewhere", about=about)  # another replica is at it
        except CredbrokerError as error:
            log.warning("notice_put_off", about=about, why=error.sentence)
        except Exception:
            log.exception("notice_broke", about=about)
            self._waiting.pop(about, None)

    async def _look_at_issuer(self, issuer: str, cause: Cause) -> None:
        segment = GrantKey(issuer, "", "").segment()
        if WEBHOOK not in self._out.open_channels or shard_of(segment) not in self._around.shards():
            return
        known = await self._out.known(segment)
        notice = issuer_due(cause, known.record.told, [WEBHOOK], self._clock.now())
        if notice is not None:
            await self._out.hand_out(notice, About(issuer), known)

    async def _look_at_grant(self, segment: str, troubles: Mapping[str, Sequence[Cause]]) -> None:
        stored = await self._grants.get(segment)
        if stored is None:
            del self._waiting[segment]
            return
        grant = stored.value
        found = causes(grant, self._clock.now(), self._rules)
        if not found:
            self._let_rest(segment, grant)
        elif _is_trouble(found) and grant.key.issuer in troubles:
            return  # it follows from the issuer's, as likely as not
        elif await self._tell_of(segment, grant):
            del self._waiting[segment]
            self._remember(segment, _sign(grant, found))
        elif self._out.left > 0:  # it is not for want of room in this round
            self._waiting[segment] = self._clock.elapsed() + PUT_OFF_SECONDS

    async def _tell_of(self, segment: str, grant: Grant) -> bool:
        """Tell what is due; return whether nothing of it is left for later."""
        wanted = [one for one in self._out.channels if one != MAIL or await self._wants_mail(grant)]
        dependents = await self._depending.on(grant) if wanted else None
        if dependents is None:
            return True
        known, now = await self._out.known(segment), self._clock.now()
        about = About(grant.key.issuer, grant, grant.mail if MAIL in wanted else "")
        told, all_done = known.record.told, True
        for notice in due(grant, dependents, told, wanted, now=now, rules=self._rules):
            done, known = await self._out.hand_out(notice, about, known)
            all_done = all_done and done
        return all_done

    async def _wants_mail(self, grant: Grant) -> bool:
        if not grant.mail:
            return False
        return (await self._choosing.of(grant.key.issuer, grant.subject)).mail

    def _let_rest(self, segment: str, grant: Grant) -> None:
        """Stop waiting, unless it is claimed, out of which it may come as it was."""
        if grant.state is not GrantState.CLAIMED:
            self._waiting.pop(segment, None)

    def _remember(self, segment: str, sign: object) -> None:
        now = self._clock.elapsed()
        if len(self._looked) >= MOST_WAITING:
            self._looked = {at: one for at, one in self._looked.items() if one[1] > now}
        if len(self._looked) < MOST_WAITING:
            self._looked[segment] = (sign, now + AGAIN_SECONDS)


def _is_trouble(found: Sequence[Cause]) -> bool:
    return any(not one.is_end for one in found)


def _sign(grant: Grant, found: Sequence[Cause]) -> object:
    """Return what differs once something else may have to be told of a grant."""
    return (found, grant.generation if _is_trouble(found) else grant.created_at)
