"""The page *My grants and tokens*: what is held in a person's name, and the buttons that end it.

A visitor is whom the issuer named in this very browser, within the last 15 minutes; see
`broker.logins.visiting`. Every button is a form of the visit's own page. No page holds a token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from credbroker.api import pages
from credbroker.api.browsers import Forms, as_page, came_back, cookie_of, sent_on
from credbroker.api.callers import origin
from credbroker.api.outlook import Outlook
from credbroker.api.strangers import Strangers
from credbroker.broker.logins.visiting import VISIT_SECONDS, Visiting
from credbroker.broker.my_grants import MyGrants
from credbroker.broker.notices.choosing import Choosing
from credbroker.domain.errors import NotAllowed
from credbroker.domain.grants import Grant
from credbroker.domain.names import GrantKey
from credbroker.domain.notices import Choice
from credbroker.wire.visits import Visitor

PLACE = "/mine"
VISIT_COOKIE = "__Host-credbroker-visit"


class GrantsPages:
    """Shows pages, calls one deed each."""

    def __init__(
        self,
        visiting: Visiting,
        my_grants: MyGrants,
        strangers: Strangers,
        forms: Forms,
        outlook: Outlook,
        *,
        choosing: Choosing,
    ) -> None:
        """Serve these deeds; `strangers` counts who comes, `outlook` says what to expect."""
        self._choosing = choosing
        self._visiting = visiting
        self._my_grants = my_grants
        self._strangers = strangers
        self._forms = forms
        self._outlook = outlook
        self.is_visit = visiting.is_visit

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; the way back from the issuer is one with that of logins."""
        seen = {PLACE: self.show, f"{PLACE}/grant": self.ask}
        sent = {
            f"{PLACE}/visit": self.begin,
            f"{PLACE}/leave": self.leave,
            f"{PLACE}/grant": self.log_out,
            f"{PLACE}/lease": self.end_lease,
            f"{PLACE}/ssh-key": self.remove_ssh_key,
            f"{PLACE}/notices": self.choose_notices,
        }
        return [
            *(
                web.get(path, as_page(self._strangers, one), allow_head=False)
                for path, one in seen.items()
            ),
            *(web.post(path, as_page(self._strangers, one)) for path, one in sent.items()),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """List what is the visitor's, or offer to log in."""
        visitor = self._visitor(request)
        if visitor is None:
            return self._forms.page(request, "visit", "visit", issuers=self._visiting.issuers)
        found = await self._my_grants.belongings(visitor)
        outlooks = [self._outlook.grant(held.grant) for held in found.grants]
        return self._forms.page(
            request,
            "mine",
            visitor.visit,
            visitor=visitor,
            grants=list(zip(found.grants, outlooks, strict=True)),
            ssh_keys=[(key.kind, key.fingerprint()) for key in found.ssh_keys],
            mails=await self._mails(visitor, [held.grant for held in found.grants]),
        )

    async def begin(self, request: web.Request) -> web.Response:
        """Send the browser to the issuer."""
        form = await self._forms.sent(request, "visit")
        if form is None:
            raise _stale()
        sent = await self._visiting.begin(form.get("issuer", ""))
        return sent_on(sent.go_to, sent.state, sent.cookie, sent.seconds)

    async def back(self, request: web.Request) -> web.Response:
        """Take the issuer's answer, and let the visitor in."""
        brought, cookie = came_back(request)
        visit = await self._visiting.returned(brought, cookie, origin(request))
        answer = pages.onward(PLACE)
        # Lax: the browser comes here from the issuer's site.
        answer.set_cookie(
            VISIT_COOKIE, visit, max_age=int(VISIT_SECONDS), path="/",
            secure=True, httponly=True, samesite="Lax",
        )  # fmt: skip
        return answer

    async def leave(self, request: web.Request) -> web.Response:
        """End the visit."""
        await self._form(request)
        answer = pages.onward(PLACE)
        answer.del_cookie(VISIT_COOKIE, path="/", secure=True, httponly=True, samesite="Lax")
        return answer

    async def ask(self, request: web.Request) -> web.Response:
        """Ask whether a grant is to be revoked, which cannot be undone."""
        visitor = self._visitor(request)
        if visitor is None:
            return pages.onward(PLACE)
        held = await self._my_grants.grant(visitor, _key(visitor, request.query), origin(request))
        return self._forms.page(request, "log_out", visitor.visit, visitor=visitor, held=held)

    async def log_out(self, request: web.Request) -> web.Response:
        """Revoke a grant."""
        visitor, form = await self._form(request)
        key = _key(visitor, form)
        ended = await self._my_grants.log_out(visitor, key, origin(request))
        return pages.page("logged_out", key=key, ended=ended)

    async def end_lease(self, request: web.Request) -> web.Response:
        """Revoke a lease."""
        visitor, form = await self._form(request)
        await self._my_grants.end_lease(visitor, form.get("lease", ""), origin(request))
        return pages.onward(PLACE)

    async def remove_ssh_key(self, request: web.Request) -> web.Response:
        """Take an ssh key away."""
        visitor, form = await self._form(request)
        await self._my_grants.remove_ssh_key(visitor, form.get("key", ""), origin(request))
        return pages.onward(PLACE)

    async def choose_notices(self, request: web.Request) -> web.Response:
        """Send mails to the visitor from now on, or none."""
        visitor, form = await self._form(request)
        choice = Choice(visitor.issuer, visitor.subject, form.get("mail") == "on")
        where = origin(request)
        await self._choosing.choose(
            choice, request_id=where.request_id, address=where.address, visit=visitor.visit,
            issuer=visitor.issuer, credkey=visitor.credkey,
        )  # fmt: skip
        return pages.onward(PLACE)

    async def _mails(
        self, visitor: Visitor, grants: Sequence[Grant]
    ) -> tuple[bool, list[str]] | None:
        """Return whether mails are sent to the visitor, and where to; None if none ever are."""
        addresses = sorted({one.mail for one in grants if one.mail})
        if not self._choosing.offers_mail or not addresses:
            return None
        return (await self._choosing.of(visitor.issuer, visitor.subject)).mail, addresses

    def _visitor(self, request: web.Request) -> Visitor | None:
        return self._visiting.visitor(cookie_of(request, VISIT_COOKIE))

    async def _form(self, request: web.Request) -> tuple[Visitor, Mapping[str, str]]:
        """Return who sends a form of their visit's own page, and its fields."""
        visitor = self._visitor(request)
        if visitor is None:
            raise NotAllowed("Your visit is over.", f"Open {PLACE} and log in again.")
        form = await self._forms.sent(request, visitor.visit)
        if form is None:
            raise _stale()
        return visitor, form


def _key(visitor: Visitor, named: Mapping[str, str]) -> GrantKey:
    return GrantKey(visitor.issuer, named.get("credkey", ""), named.get("role", ""))


def _stale() -> NotAllowed:
    return NotAllowed("This page was out of date.", f"Open {PLACE} and try again.")
