"""What all replicas know about each issuer: its recorded rule, whether it rotates, its brake.

- Until an issuer's mark was read once, it counts as one where a replay revokes more, and as braked.
- That an issuer rotates is noted for good, and holds in this process from then on whether or not
  Vault takes the note; what it did not take is written again with the next reading.
- Every write keeps what others wrote beside it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from credbroker.broker.custody.replicas import name_segment
from credbroker.broker.running import Means
from credbroker.broker.storing import put_surely
from credbroker.domain.errors import CredbrokerError, RecordDamaged
from credbroker.domain.grants import Grant
from credbroker.domain.marks import IssuerMark
from credbroker.domain.rotation import Rule, UnclearRule
from credbroker.ports import Issuer, RecordStore, StaleVersionError

BRIDGED_SPARE = datetime.timedelta(minutes=15)

Change = Callable[[IssuerMark], IssuerMark]

log = structlog.get_logger(__name__)


class IssuerMarks:
    """The marks of the issuers that are served here."""

    def __init__(
        self,
        records: RecordStore[IssuerMark],
        issuers: Mapping[str, Issuer],
        means: Means,
        *,
        replica: str = "",
    ) -> None:
        """Keep the marks of `issuers`, by name, in `records`; `replica` signs the brake."""
        self._records = records
        self._issuers = issuers
        self._clock = means.clock
        self._replica = replica
        self._marks: dict[str, IssuerMark] = {}
        self._owed: dict[str, list[Change]] = {}

    def rule(self, name: str) -> Rule:
        """Return the rule to go by at this issuer; `ask` until its mark was read."""
        issuer, mark = self._issuers.get(name), self._marks.get(name)
        return Rule() if issuer is None or mark is None else mark.effective(issuer.rule)

    def may_rotate(self, grant: Grant) -> bool:
        """Return False only where it is on record that the issuer gives the same value back."""
        return grant.rotated or self.rule(grant.key.issuer).kind is not UnclearRule.RETRY_SAFE

    def braked(self, name: str) -> bool:
        """Return True while this issuer's brake is on, or is not known to be off."""
        return name not in self._marks or self._marks[name].braked_at is not None

    async def read(self) -> None:
        """Read all marks, having written what is owed. Raises `StoreUnavailable` and its like.

        A damaged mark leaves what was known of that issuer, and keeps nobody else's from being read.
        """
        for name in self._issuers:
            try:
                await self._pay(name)
            except RecordDamaged as error:
                log.error("issuer_mark_damaged", issuer=name, why=error.sentence)  # noqa: TRY400

    async def note_rotation(self, name: str) -> None:
        """Note for good that a refresh at this issuer gave another value."""
        await self._owe(name, _rotates)

    async def brake(self, name: str) -> None:
        """Put the brake on for all replicas; one that is on already stays as it is."""
        at, by = self._now(), self._replica

        def braked(mark: IssuerMark) -> IssuerMark:
            on = mark.braked_at is not None
            return mark if on else replace(mark, braked_at=at, braked_by=by)

        await self._owe(name, braked)

    async def release(self, name: str) -> None:
        """Take the brake off, on an operator's word. Raises `StoreUnavailable` and its like."""
        self._owed[name] = [one for one in self._owed.get(name, ()) if one is _rotates]
        await self._change(name, lambda mark: replace(mark, braked_at=None, braked_by=""))

    async def record(self, name: str, rule: Rule) -> None:
        """Record the rule that a probe found. Raises `StoreUnavailable` and its like."""
        at = self._now()
        await self._change(name, lambda mark: replace(mark, rule=rule, recorded_at=at))

    async def bridged_until(self, name: str) -> datetime.datetime | None:
        """Return when the last token has expired that was signed here while this issuer was out.

        None if there was none, by the store's word. Raises `StoreUnavailable` and its like.
        """
        await self._pay(name)
        return self._marks[name].bridged_until

    async def note_bridged(self, name: str, until: datetime.datetime) -> None:
        """Have it on record that a token may live until then that is signed while the issuer is out.

        It is stored when this returns. Raises `StoreUnavailable` and its like.
        """
        known = self._marks.get(name, IssuerMark(name)).bridged_until
        if known is None or known < until:
            # Somewhat more, so that not every token costs a write.
            later = (until + BRIDGED_SPARE).replace(microsecond=0)
            await self._change(name, lambda mark: replace(mark, bridged_until=later))

    def _now(self) -> datetime.datetime:
        # Records keep whole seconds; with more, our own write would not be known again.
        return self._clock.now().replace(microsecond=0)

    async def _owe(self, name: str, change: Change) -> None:
        """Let a change hold here at once, and write it now or as soon as Vault takes it."""
        self._owed.setdefault(name, []).append(change)
        if name in self._marks:
            self._marks[name] = change(self._marks[name])
        try:
            await self._pay(name)
        except CredbrokerError as error:
            log.warning("issuer_mark_not_written_yet", issuer=name, why=error.sentence)

    async def _pay(self, name: str) -> None:
        """Read the mark and write into it what is owed, if anything is."""
        owed = list(self._owed.get(name, ()))

        def all_owed(mark: IssuerMark) -> IssuerMark:
            for change in owed:
                mark = change(mark)
            return mark

        await self._change(name, all_owed)
        self._owed[name] = [one for one in self._owed.get(name, ()) if one not in owed]

    async def _change(self, name: str, change: Change) -> None:
        segment = name_segment(name)
        while True:
            stored = await self._records.get(segment)
            before = stored.value if stored is not None else IssuerMark(name)
            after = change(before)
            if after != before:
                try:
                    await put_surely(
                        self._records,
                        segment,
                        after,
                        stored.version if stored is not None else 0,
                        is_ours=lambda there: there == after,  # noqa: B023 - used before the next
                    )
                except StaleVersionError:
                    continue  # somebody else wrote: change what is there now
            self._learn(name, after)
            return

    def _learn(self, name: str, mark: IssuerMark) -> None:
        """Remember what Vault says, with what is still owed to it on top."""
        for change in self._owed.get(name, ()):
            mark = change(mark)
        self._marks[name] = mark


def _rotates(mark: IssuerMark) -> IssuerMark:
    return replace(mark, rotates=True)
