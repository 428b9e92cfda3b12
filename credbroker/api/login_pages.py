"""The pages on which a person confirms a login and comes back from the issuer.

A login is confirmed by a form that only a page of ours in this very browser can have sent: else a
phisher, who knows the code of his own login, could have another's browser send it. The cookie for
the way back goes to the browser that confirmed, and is known here by its hash. Visitors of the page of grants come back to the same address; their state says so.
"""

from __future__ import annotations

from aiohttp import web

from credbroker.api import pages
from credbroker.api.browsers import Forms, as_page, came_back, sent_on
from credbroker.api.callers import origin
from credbroker.api.grants_pages import GrantsPages
from credbroker.api.pages.words import rights_in_words
from credbroker.api.strangers import Strangers
from credbroker.broker.logins.confirming import Confirmed, Confirming
from credbroker.broker.logins.returning import Returning
from credbroker.domain.errors import Malformed


class LoginPages:
    """Shows pages, calls one deed each, sends browsers on."""

    def __init__(
        self,
        confirming: Confirming,
        returning: Returning,
        strangers: Strangers,
        forms: Forms,
        grants_pages: GrantsPages,
    ) -> None:
        """Serve these deeds; `strangers` counts who comes, visitors go on at `grants_pages`."""
        self._confirming = confirming
        self._returning = returning
        self._strangers = strangers
        self._forms = forms
        self._grants_pages = grants_pages

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        show, confirm, back = (
            as_page(self._strangers, one) for one in (self.show, self.confirm, self.back)
        )
        login = "/login/{sealed:[A-Za-z0-9_-]+}"
        way_back = "/v1/auth/oidc-{issuer}/oidc/callback"
        return [
            web.get("/login/style.css", self.style),
            web.get(login, show, allow_head=False),
            web.post(login, confirm),
            web.get(way_back, back, allow_head=False),
        ]

    async def style(self, _request: web.Request) -> web.Response:
        """Give the style sheet."""
        return pages.style()

    async def show(self, request: web.Request) -> web.Response:
        """Say who asks for what, and ask for the code."""
        return self._form(request)

    async def confirm(self, request: web.Request) -> web.Response:
        """Take the code, and send the browser on to the issuer."""
        sealed = request.match_info["sealed"]
        form = await self._forms.sent(request, sealed)
        if form is None:
            stale = "This page was out of date. Enter the code once more."
            return self._form(request, stale, status=403)
        code = form.get("code", "")
        self._confirming.page(sealed)  # what is not ours is no wrong code
        try:
            confirmed = await self._confirming.confirm(sealed, code, origin(request))
        except Malformed as error:
            return self._form(request, f"{error.sentence} {error.remedy}", status=400)
        return _sent_on(confirmed)

    async def back(self, request: web.Request) -> web.Response:
        """Take the issuer's answer."""
        brought, cookie = came_back(request)
        if self._grants_pages.is_visit(brought.state):
            return await self._grants_pages.back(request)
        credkey = await self._returning.returned(brought, cookie, origin(request))
        welcome = f"Welcome, {credkey}. You may close this page and go back to the terminal."
        return pages.page("welcome", text=welcome)

    def _form(self, request: web.Request, problem: str = "", *, status: int = 200) -> web.Response:
        sealed = request.match_info["sealed"]
        login, scopes = self._confirming.page(sealed)
        return self._forms.page(
            request,
            "confirm",
            sealed,
            status=status,
            login=login,
            rights=rights_in_words(scopes),
            sealed=sealed,
            problem=problem,
        )


def _sent_on(confirmed: Confirmed) -> web.Response:
    """Send the browser to the issuer, with the cookie without which nobody comes back."""
    if confirmed.user_code:
        return pages.page("device", address=confirmed.go_to, user_code=confirmed.user_code)
    return sent_on(confirmed.go_to, confirmed.login, confirmed.cookie, confirmed.seconds)
