"""The records of logins that are confirmed in a browser, what the trail says of them, and their news.

A write that somebody else overtook is no write: who meets that starts over with what is there.
"""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

import structlog

from credbroker.broker.custody.rewinding import Rewinding
from credbroker.broker.leasing import Origin
from credbroker.broker.running import Means
from credbroker.broker.storing import answered, put_surely
from credbroker.domain import confirming
from credbroker.domain.confirming import AskedLogin, ConfirmedLogin
from credbroker.domain.device import PendingLogin
from credbroker.domain.errors import (
    BrokerFault,
    Busy,
    CredbrokerError,
    LoginDenied,
    LoginExpired,
)
from credbroker.ports import RecordStore, StaleVersionError, Stored

# Less than the store waits for a new leader: a client waits 10 s for all that a login begins with.
THERE_SECONDS = 5.0

log = structlog.get_logger(__name__)


class ConfirmedLogins:
    """What all steps of such logins share in this process."""

    def __init__(
        self, records: RecordStore[ConfirmedLogin], means: Means, *, rewinding: Rewinding
    ) -> None:
        """Keep `records`; while `rewinding` calls a halt no login goes on."""
        self._records = records
        self._deeds = means.deeds
        self._audit = means.audit
        self._clock = means.clock
        self._rewinding = rewinding
        self._news: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()

    def check_no_halt(self) -> None:
        """Raise `StoreRewound` while Vault may not know the newest grants."""
        self._rewinding.check()

    def check_in_time(self, login: AskedLogin | ConfirmedLogin) -> None:
        """Raise `LoginExpired` once nobody may confirm the login, or come back from the issuer."""
        if self._clock.now() >= login.expires_at:
            raise LoginExpired("Nobody confirmed the login in time.")

    async def check_there(self, login_id: str) -> None:
        """Return if the store answers when asked for the record; raise within seconds if not."""
        asking = self._deeds.begin(self.get(login_id), "look for a login")
        await answered(self._deeds, asking, THERE_SECONDS)

    async def get(self, login_id: str) -> Stored[ConfirmedLogin] | None:
        """Return the record; None while nobody has entered a code."""
        return await self._records.get(login_id)

    async def put(self, login: ConfirmedLogin, version: int) -> None:
        """Write the record, surely. Raises `Busy` if somebody else wrote meanwhile."""
        try:
            await put_surely(
                self._records, login.id, login, version, is_ours=lambda found: found == login
            )
        except StaleVersionError:
            raise Busy("This login is being gone on with elsewhere.", "Try again.") from None
        self.wake(login.id)

    async def close(
        self, login: ConfirmedLogin, version: int, error: Exception, origin: Origin
    ) -> bool:
        """Let the poll know that nothing comes any more; return whether that is stored."""
        told = error if isinstance(error, CredbrokerError) else BrokerFault("The broker failed.")
        try:
            await self.put(confirming.over(login, told.sentence), version)
            closed = True
        except CredbrokerError:
            log.warning("login_state_not_written", login=login.id)
            closed = False
        event = "login_refused" if isinstance(told, LoginDenied | LoginExpired) else "login_failed"
        await self.note(event, login, origin, why=told.sentence)
        return closed

    def news_of(self, login_id: str) -> asyncio.Event:
        """Return what is set when this process writes the login's record; keep it while you wait."""
        return self._news.setdefault(login_id, asyncio.Event())

    async def wait(self, news: asyncio.Event, seconds: float) -> None:
        """Wait until there is news, or it is time to look again."""
        heard = asyncio.ensure_future(news.wait())
        try:
            await self._deeds.is_done(heard, seconds)
        finally:
            heard.cancel()
        news.clear()

    def wake(self, login_id: str) -> None:
        """Tell who waits that there is news."""
        if (news := self._news.get(login_id)) is not None:
            news.set()

    async def note(
        self, event: str, login: AskedLogin | ConfirmedLogin, origin: Origin, **more: object
    ) -> None:
        """Write a line of the audit trail about a login."""
        await self._audit.record(event, **about_login(login, origin), **more)


def about_login(
    login: PendingLogin | AskedLogin | ConfirmedLogin, origin: Origin
) -> dict[str, object]:
    """Return what every audit line says of a login that is under way."""
    return {
        "request_id": origin.request_id,
        "address": origin.address,
        "login": login.id,
        "issuer": login.issuer,
        "role": login.role,
    }
