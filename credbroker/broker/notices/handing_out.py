"""Hands out one notice at a time: writes down that it is about to be told, tells it, settles that.

The record is written by check-and-set before anything is sent: of all replicas and restarts one tells
it. Whatever dies in between, what may have been told is not told again for a day.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from credbroker.broker.notices.sending import Sending, Sent
from credbroker.broker.running import Means
from credbroker.broker.storing import put_surely
from credbroker.broker.trail import names
from credbroker.domain.grants import Grant
from credbroker.domain.notices import Notice, ToldRecord, begun, settled
from credbroker.ports import Letter, RecordStore
from credbroker.wire.letters import event_of, subject_of, text_of

_SETTLED = {Sent.TOLD: True, Sent.NOT_NOW: False, Sent.UNCLEAR: None}


@dataclass(frozen=True, slots=True)
class About:
    """What a notice is about: a grant, or an issuer alone; `address` is where its person gets mail."""

    issuer: str
    grant: Grant | None = None
    address: str = ""

    def fields(self) -> dict[str, object]:
        """Return what the audit trail says of it."""
        if self.grant is None:
            return {"issuer": self.issuer}
        return {**names(self.grant.key), "sub": self.grant.subject}


@dataclass(frozen=True, slots=True)
class Known:
    """What was told, as it was read last; version 0 is nothing at all."""

    segment: str
    record: ToldRecord = field(default=ToldRecord(""))
    version: int = 0


class HandingOut:
    """All notices that this replica hands out; `left` says how many more it may in this round."""

    def __init__(
        self,
        records: RecordStore[ToldRecord],
        channels: Iterable[Sending],
        means: Means,
        *,
        public_url: str,
    ) -> None:
        """Tell by `channels`, remembering it in `records`; people see their grants at `public_url`."""
        self._records = records
        self._channels = {one.name: one for one in channels}
        self._audit = means.audit
        self._clock = means.clock
        self._entropy = means.entropy
        self._public_url = public_url
        self.left = 0

    @property
    def channels(self) -> list[str]:
        """The names of all channels."""
        return list(self._channels)

    @property
    def open_channels(self) -> list[str]:
        """The names of those that do not rest."""
        return [name for name, one in self._channels.items() if one.is_open]

    async def known(self, segment: str) -> Known:
        """Return what was told of what is kept in `segment`. Raises `StoreUnavailable` kinds."""
        stored = await self._records.get(segment)
        return Known(segment, stored.value, stored.version) if stored else Known(segment)

    async def hand_out(self, notice: Notice, about: About, known: Known) -> tuple[bool, Known]:
        """Tell what is due by what is `known`, by those of its channels that work.

        Return whether nothing is left of it, and what is known then. Raises `StaleVersionError` if
        another replica has told something meanwhile, and `StoreUnavailable` kinds.
        """
        open_now = tuple(one for one in notice.channels if self._channels[one].is_open)
        if not open_now or self.left <= 0:
            return False, known
        self.left -= 1
        told = replace(notice, channels=open_now)
        record = begun(known.record, told, self._clock.now(), self._entropy.token(16))
        known = await self._put(known, record)
        outcomes = await self._send(told, about, _id_of(told, about, known.segment))
        sure = {channel: _SETTLED[sent] for channel, sent in outcomes.items()}
        record = settled(known.record, notice.cause, sure, self._entropy.token(16))
        known = await self._put(known, record)
        return open_now == notice.channels and False not in sure.values(), known

    async def _send(self, notice: Notice, about: About, letter_id: str) -> Mapping[str, Sent]:
        letter = self._letter(notice, about, letter_id)
        sent = await asyncio.gather(*(self._channels[one].send(letter) for one in notice.channels))
        for channel, (outcome, why) in zip(notice.channels, sent, strict=True):
            event = "notice_failed" if why else "notice_sent"
            await self._audit.record(
                event, **about.fields(), notice=letter.id, cause=notice.cause.value,
                channel=channel, why=why or None, unclear=outcome is Sent.UNCLEAR or None,
            )  # fmt: skip
        return {name: one for name, (one, _) in zip(notice.channels, sent, strict=True)}

    def _letter(self, notice: Notice, about: About, letter_id: str) -> Letter:
        grant = about.grant
        return Letter(
            letter_id,
            about.address,
            subject_of(notice, about.issuer),
            text_of(notice, grant, self._public_url) if grant is not None else "",
            event_of(notice, about.issuer, grant, now=self._clock.now(), letter_id=letter_id),
        )

    async def _put(self, known: Known, record: ToldRecord) -> Known:
        version = await put_surely(
            self._records, known.segment, record, known.version,
            is_ours=lambda found: found.write_id == record.write_id,
        )  # fmt: skip
        return Known(known.segment, record, version)


def _id_of(notice: Notice, about: About, segment: str) -> str:
    """Return the same id for the same notice in each try, so that who got it twice can tell."""
    since = about.grant.created_at.isoformat() if about.grant is not None else ""
    said = f"{segment} {since} {notice.cause.value} {notice.mark}"
    return hashlib.sha256(said.encode()).hexdigest()[:32]
