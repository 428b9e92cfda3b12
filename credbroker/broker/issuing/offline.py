"""Gives services refresh tokens, and knows them again (RFC 6749 section 6).

- Each is stored before anybody has it. Its id and its secrets follow from what it is for and from a
  key that all replicas share: a request that lost its answer, also to a crash, may be repeated at any
  replica and finds the same one.
- Where a client rotates, the successor is stored before the answer, and last of all; who shows the one before it soon
  after gets the same successor again, and whoever shows it later ends all of them.
- One that is in use and does not rotate is not read again while the marks tell what has changed; of one
  that rotates the check-and-set tells it.
"""

from __future__ import annotations

import datetime
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from credbroker.broker.containing import Containing
from credbroker.broker.issuing.remembering import Remembering
from credbroker.broker.issuing.signing import Signed
from credbroker.broker.recall import Recall
from credbroker.broker.running import Means
from credbroker.broker.storing import answered, put_surely
from credbroker.domain.actors import acting
from credbroker.domain.attenuation import Right
from credbroker.domain.clients import Client
from credbroker.domain.errors import RecordDamaged, TokenRefused
from credbroker.domain.issued_refresh import IssuedRefresh, RefreshText, Use, id_of
from credbroker.domain.policy import Decision
from credbroker.domain.secret import Secret
from credbroker.ports import LoginSeal, RecordStore, StaleVersionError, Stored

T = TypeVar("T")

PURPOSE = "issued refresh token"
ROOM = 20_000
"""So many records are remembered at the most as they were written."""


@dataclass(frozen=True, slots=True)
class Offline:
    """A refresh token with its record."""

    issued: IssuedRefresh
    text: Secret


@dataclass(frozen=True, slots=True)
class Offer:
    """What a refresh token is wanted for: who holds it, from which token, with which right."""

    holder: str
    subject: Signed
    decision: Decision
    actor: Mapping[str, object] | None
    seconds: float
    """How long it lasts from the issue of the subject's token."""


@dataclass(frozen=True, slots=True)
class Held:
    """A refresh token that was shown and counts; `due` is its record if a successor is to replace it."""

    issued: IssuedRefresh
    shown: RefreshText
    client: Client
    due: Stored[IssuedRefresh] | None = None


class Offlines:
    """The refresh tokens of one community, as this process sees them."""

    def __init__(
        self,
        community: str,
        records: RecordStore[IssuedRefresh],
        seal: LoginSeal,
        containing: Containing,
        means: Means,
    ) -> None:
        """Keep hashes in `records`; `containing` tells what other replicas have ended."""
        self._community = community
        self._records = records
        self._seal = seal
        self._containing = containing
        self._recall = Recall(records, means.clock, fresh_seconds=float("inf"))
        containing.memories.append(self._recall)
        self._written = Remembering[Stored[IssuedRefresh]](ROOM)
        self._audit = means.audit
        self._clock = means.clock
        self._deeds = means.deeds
        self._entropy = means.entropy

    # -- giving ----------------------------------------------------------------------------------

    async def begin(self, offer: Offer, answer_by: float) -> Offline:
        """Return the refresh token for this, stored; the same one for the same offer.

        Raises `TokenRefused` if it was ended meanwhile, and `StoreUnavailable` kinds, also if it is
        not stored by `answer_by` (`Clock.elapsed`): it may be asked for again.
        """
        issued = self._first(offer)
        issued.check_alive(self._clock.now())
        there = await self._within(self._begin(issued), answer_by)
        there.check_alive(self._clock.now())
        return Offline(there, self._text(there.id, there.generation))

    def _first(self, offer: Offer) -> IssuedRefresh:
        token = offer.subject.token
        right = Right(offer.decision.right.scopes.rights(), offer.decision.right.audiences)
        groups = offer.decision.groups
        found = id_of(self._community, offer.holder, token.jti, right, groups)
        return IssuedRefresh(
            id=found,
            community=self._community,
            holder=offer.holder,
            subject=token.subject,
            granted_to=offer.subject.client_id,
            subject_jti=token.jti,
            right=right,
            groups=groups,
            actor=offer.actor,
            created_at=self._clock.now().replace(microsecond=0),
            ends_at=token.issued_at + datetime.timedelta(seconds=int(offer.seconds)),
            generation=1,
            secret_hash=self._secret(found, 1).digest(),
            write_id=self._entropy.token(16),
        )

    async def _begin(self, issued: IssuedRefresh) -> IssuedRefresh:
        try:
            await put_surely(
                self._records, issued.id, issued, 0, is_ours=lambda found: found == issued
            )
        except StaleVersionError:
            return (await self._stored(issued.id)).value  # the same was asked for before
        self._recall.learn(issued.id, issued)
        await self._audit.record(
            "offline_begun",
            offline=issued.id,
            community=self._community,
            client_id=issued.holder,
            sub=issued.subject,
            scope=issued.right.scopes,
            audience=list(issued.right.audiences),
            subject_jti=issued.subject_jti,
            ends_at=issued.ends_at,
        )
        return issued

    # -- using -----------------------------------------------------------------------------------

    async def use(self, shown: RefreshText, client: Client, answer_by: float) -> Held:
        """Return what this refresh token is for; nothing is changed before `renewed`.

        Raises `TokenRefused` for one that is unknown, somebody else's, over, or was replaced too long
        ago, which ends it; and `StoreUnavailable` kinds if the store says nothing by `answer_by`.
        """
        if client.rotates:
            held = self._as_written(shown, client)
        else:
            held = await self._at_hand(shown, client, answer_by)
        if held is None:
            held = await self._within(self._looked(shown, client), answer_by)
        return held

    async def renewed(self, held: Held, answer_by: float) -> Secret:
        """Return the refresh token to show next time: the same, or where it rotates its successor.

        That is stored when this returns. Raises as `use` does.
        """
        issued = held.issued
        if held.due is not None:
            issued = await self._within(self._rotated(held), answer_by)
        if issued.generation == held.shown.generation:
            return held.shown.text()  # it was found to be the newest
        return self._text(issued.id, issued.generation)

    async def _at_hand(self, shown: RefreshText, client: Client, answer_by: float) -> Held | None:
        """Return one by its record as it is remembered, if by it the token may be used as it is."""
        recalled = await self._recall.get(shown.id, answer_by - self._clock.elapsed())
        issued = recalled.value
        if issued is None or not recalled.fresh or not issued.is_current(shown):
            return None
        self._check(issued, client)
        return Held(issued, shown, client)

    def _as_written(self, shown: RefreshText, client: Client) -> Held | None:
        """Return one by the record that was written here last, if by it the token is the newest.

        If somebody has written since, its successor is not taken, and the record is looked at.
        """
        last = self._written.get(shown.id)
        if last is None or not last.value.is_current(shown):
            return None
        self._check(last.value, client)
        return Held(last.value, shown, client, last)

    async def _looked(self, shown: RefreshText, client: Client) -> Held:
        stored = await self._stored(shown.id)
        issued = stored.value
        self._check(issued, client)
        use = self._use(issued, shown, stored.age_seconds)
        if use is Use.REPLAY:
            await self._end(shown.id, "it was shown after it was replaced")
            raise _replayed()
        due = stored if use is Use.CURRENT and client.rotates else None
        return Held(issued, shown, client, due)

    async def _rotated(self, held: Held) -> IssuedRefresh:
        while held.due is not None:
            issued = held.issued
            rotated = issued.rotated(self._secret(issued.id, issued.generation + 1).digest())
            if await self._replaced(held.due, rotated):
                return rotated
            # Another request was first, and by its record this one is a repetition.
            held = await self._looked(held.shown, held.client)
        return held.issued

    def _use(self, issued: IssuedRefresh, shown: RefreshText, seconds: float) -> Use:
        """Return what showing it comes to; of one long replaced only the key knows that it was ours."""
        try:
            return issued.use(shown, seconds)
        except TokenRefused:
            older = shown.generation < issued.generation - 1
            if older and shown.secret == self._secret(shown.id, shown.generation):
                return Use.REPLAY
            raise

    async def find(self, shown: RefreshText, client: Client, answer_by: float) -> IssuedRefresh:
        """Return the living record of a refresh token that counts; raises as `use` does, ends nothing."""
        stored = await self._within(self._stored(shown.id), answer_by)
        self._check(stored.value, client)
        if self._use(stored.value, shown, stored.age_seconds) is Use.REPLAY:
            raise _unknown()
        return stored.value

    def _check(self, issued: IssuedRefresh, client: Client) -> None:
        self._check_holder(issued, client)
        issued.check_alive(self._clock.now())
        if not client.may_exchange(issued.granted_to):
            raise TokenRefused("The settings let this client exchange such tokens no more.")
        names = (issued.holder, issued.granted_to, issued.subject, *acting(issued.actor))
        self._containing.judge_signed(self._community, names, issued.subject_jti, issued.created_at)

    def _check_holder(self, issued: IssuedRefresh, client: Client) -> None:
        """Raise `TokenRefused` for one that was issued to another client (RFC 6749 section 5.2)."""
        if issued.holder != client.id or issued.community != self._community:
            raise _unknown()

    # -- ending ----------------------------------------------------------------------------------

    async def end(self, shown: RefreshText, client: Client, answer_by: float) -> bool:
        """End a refresh token of this client and its successors; True if it is ended now.

        False for one that is unknown, somebody else's, or was over. Raises `StoreUnavailable` kinds.
        """
        try:
            stored = await self._within(self._stored(shown.id), answer_by)
            self._check_holder(stored.value, client)
            stored.value.check_alive(self._clock.now())
            self._use(stored.value, shown, stored.age_seconds)
        except TokenRefused:
            return False
        await self._within(self._end(shown.id, "the client revoked it"), answer_by)
        return True

    async def _end(self, offline_id: str, why: str) -> None:
        while True:
            stored = await self._stored(offline_id)
            if stored.value.ended_at is not None:
                return
            ended = stored.value.ended(self._clock.now().replace(microsecond=0))
            if await self._replaced(stored, ended):
                break
        await self._audit.record(
            "offline_ended",
            offline=offline_id,
            community=self._community,
            client_id=ended.holder,
            sub=ended.subject,
            subject_jti=ended.subject_jti,
            why=why,
        )
        await self._containing.changing(offline_id)

    # -- records ---------------------------------------------------------------------------------

    async def _stored(self, offline_id: str) -> Stored[IssuedRefresh]:
        stored = await self._records.get(offline_id)
        if stored is None:
            raise _unknown()
        if stored.value.id != offline_id:
            raise RecordDamaged("The record of a refresh token is another one's.")
        return stored

    async def _replaced(self, stored: Stored[IssuedRefresh], after: IssuedRefresh) -> bool:
        """Write what follows; False if somebody else wrote meanwhile."""
        self._written.forget(after.id)
        try:
            version = await put_surely(
                self._records, after.id, after, stored.version, is_ours=lambda one: one == after
            )
        except StaleVersionError:
            return False
        self._written.keep(after.id, Stored(after, version, 0.0))
        self._recall.learn(after.id, after)
        return True

    async def _within(self, deed: Coroutine[Any, Any, T], answer_by: float) -> T:
        """Carry a deed through; raise `StoreUnavailable` if it is not over by `answer_by`."""
        task = self._deeds.begin(deed, "a refresh token of ours")
        return await answered(self._deeds, task, max(0.0, answer_by - self._clock.elapsed()))

    def _secret(self, offline_id: str, generation: int) -> Secret:
        return self._seal.secret(PURPOSE, f"{offline_id}.{generation}")

    def _text(self, offline_id: str, generation: int) -> Secret:
        return RefreshText(offline_id, generation, self._secret(offline_id, generation)).text()


def _unknown() -> TokenRefused:
    return TokenRefused("This refresh token is not known here.")


def _replayed() -> TokenRefused:
    return TokenRefused("This refresh token was replaced by another one, and all are ended now.")
