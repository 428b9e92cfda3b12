"""`/api/v1/notices`: whether somebody wants mails about their logins."""

from __future__ import annotations

from aiohttp import web

from credbroker.api.bodies import body_of
from credbroker.api.callers import identify
from credbroker.api.operations import Operation, answer_with
from credbroker.api.strangers import Strangers
from credbroker.broker.leasing import Caller, Leasing, about
from credbroker.broker.minting import Minting
from credbroker.broker.notices.choosing import Choosing
from credbroker.domain.grants import Grant
from credbroker.domain.leases import check_login
from credbroker.domain.notices import Choice
from credbroker.wire.choosing import NOTICES, ChooseNotices, NoticesChosen


class NoticesApi:
    """Takes requests apart, calls one deed each, writes the answers."""

    def __init__(
        self, choosing: Choosing, minting: Minting, leasing: Leasing, strangers: Strangers
    ) -> None:
        """Serve `choosing`; `strangers` counts who is nobody."""
        self._choosing = choosing
        self._minting = minting
        self._leasing = leasing
        self._strangers = strangers

    def operations(self) -> list[Operation]:
        """Return all that is offered here."""
        return [
            Operation("GET", NOTICES, "showNotices", "Whether mails are sent about one's logins.",
                      self.show, gives=NoticesChosen),
            Operation("PUT", NOTICES, "chooseNotices", "Choose whether they are, for all of them.",
                      self.choose, takes=ChooseNotices, gives=NoticesChosen),
        ]  # fmt: skip

    async def show(self, request: web.Request) -> web.Response:
        """Tell what was chosen."""
        _, grant = await self._asking(request)
        return self._answer(await self._choosing.of(grant.key.issuer, grant.subject), grant)

    async def choose(self, request: web.Request) -> web.Response:
        """Remember a choice."""
        caller, grant = await self._asking(request)
        asked = ChooseNotices.read(await body_of(request))
        choice = Choice(grant.key.issuer, grant.subject, asked.mail)
        await self._choosing.choose(choice, **about(caller))
        return self._answer(choice, grant)

    async def _asking(self, request: web.Request) -> tuple[Caller, Grant]:
        """Return who asks with a login's lease, and their grant."""
        caller = await identify(request, self._leasing, self._strangers)
        check_login(caller.lease)
        grant, _ = await self._minting.grant_of(caller)
        return caller, grant

    def _answer(self, choice: Choice, grant: Grant) -> web.Response:
        offered = self._choosing.offers_mail
        return answer_with(NoticesChosen(choice.mail, offered, grant.mail or None))
