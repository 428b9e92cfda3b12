"""Keeps what people have chosen: whether mails are sent to them about their logins."""

from __future__ import annotations

from credbroker.broker.running import Means
from credbroker.broker.storing import put_surely
from credbroker.domain.names import GrantKey
from credbroker.domain.notices import Choice
from credbroker.ports import RecordStore, StaleVersionError


class Choosing:
    """All choices; a person is an issuer's `sub`, whatever grants they have."""

    def __init__(self, records: RecordStore[Choice], means: Means, *, offers_mail: bool) -> None:
        """Keep choices in `records`; `offers_mail` says whether any mail is sent here."""
        self._records = records
        self.offers_mail = offers_mail
        self._audit = means.audit

    async def of(self, issuer: str, subject: str) -> Choice:
        """Return what somebody chose, or what holds for who chose nothing.

        Raises `StoreUnavailable` kinds.
        """
        stored = await self._records.get(_segment(issuer, subject))
        return stored.value if stored is not None else Choice(issuer, subject)

    async def choose(self, choice: Choice, **by: object) -> None:
        """Remember a choice, the same at each replica from its next notice on; the trail has `by`.

        Raises `StoreUnavailable` kinds.
        """
        segment = _segment(choice.issuer, choice.subject)
        while True:
            stored = await self._records.get(segment)
            found, version = (stored.value, stored.version) if stored else (None, 0)
            if found == choice:
                return
            try:
                await put_surely(self._records, segment, choice, version, is_ours=choice.__eq__)
                break
            except StaleVersionError:
                continue  # somebody else wrote: look again
        await self._audit.record("notices_chosen", sub=choice.subject, mail=choice.mail, **by)


def _segment(issuer: str, subject: str) -> str:
    """Return the place of a person's choice: that of a grant in no role, which none has."""
    return GrantKey(issuer, subject, "").segment()
