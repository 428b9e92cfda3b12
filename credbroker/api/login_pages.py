"""The pages on which a person confirms a login and comes back from the issuer.

A login is confirmed by a form that only a page of ours in this very browser can have sent (a value
that belongs to the page's cookie and to the login, RFC 6749 section 10.12): else a phisher, who knows
the code of his own login, could have another's browser send it. The cookie for the way back goes to
the browser that confirmed, is sent to the callback alone, and is known here by its hash.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

import structlog
from aiohttp import web

from credbroker.api import pages
from credbroker.api.bodies import body_of
from credbroker.api.callers import origin
from credbroker.api.pages.words import rights_in_words
from credbroker.api.problems import REQUEST_ID, retry_after, status_of
from credbroker.api.strangers import Strangers
from credbroker.broker.confirming import Confirmed, Confirming
from credbroker.broker.returning import Returning
from credbroker.domain.errors import BrokerFault, CredbrokerError, Malformed
from credbroker.domain.secret import Secret
from credbroker.ports import Entropy, LoginSeal

# The prefix keeps other hosts of the site from setting it (RFC 6265bis section 4.1.3).
PAGE_COOKIE = "__Host-credbroker-page"
LOGIN_COOKIE = "__Secure-credbroker-"

_Answers = Callable[[web.Request], Awaitable[web.Response]]

log = structlog.get_logger(__name__)


class LoginPages:
    """Shows pages, calls one deed each, sends browsers on."""

    def __init__(
        self,
        confirming: Confirming,
        returning: Returning,
        strangers: Strangers,
        seal: LoginSeal,
        entropy: Entropy,
    ) -> None:
        """Serve these deeds; `seal` ties forms to pages, `strangers` counts who comes."""
        self._confirming = confirming
        self._returning = returning
        self._strangers = strangers
        self._seal = seal
        self._entropy = entropy

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        login = "/login/{sealed:[A-Za-z0-9_-]+}"
        back = "/v1/auth/oidc-{issuer}/oidc/callback"
        return [
            web.get("/login/style.css", self.style),
            web.get(login, self._as_page(self.show), allow_head=False),
            web.post(login, self._as_page(self.confirm)),
            web.get(back, self._as_page(self.back), allow_head=False),
        ]

    async def style(self, _request: web.Request) -> web.Response:
        """Give the style sheet."""
        return pages.style()

    async def show(self, request: web.Request) -> web.Response:
        """Say who asks for what, and ask for the code."""
        return self._form(request)

    async def confirm(self, request: web.Request) -> web.Response:
        """Take the code, and send the browser on to the issuer."""
        form = parse_qs((await body_of(request)).decode(errors="replace"))
        given, code = form.get("form", [""])[0], form.get("code", [""])[0]
        cookie, sealed = request.cookies.get(PAGE_COOKIE, ""), request.match_info["sealed"]
        expected = self._form_value(cookie, sealed)
        if not cookie or not hmac.compare_digest(expected.encode(), given.encode()):
            stale = "This page was out of date. Enter the code once more."
            return self._form(request, stale, status=403)
        self._confirming.page(sealed)  # what is not ours is no wrong code
        try:
            confirmed = await self._confirming.confirm(sealed, code, origin(request))
        except Malformed as error:
            return self._form(request, f"{error.sentence} {error.remedy}", status=400)
        return _sent_on(confirmed)

    async def back(self, request: web.Request) -> web.Response:
        """Take the issuer's answer."""
        state, code = request.query.get("state", ""), request.query.get("code", "")
        cookie = request.cookies.get(LOGIN_COOKIE + state, "")
        shown = Secret("authorization code", code) if code else None
        credkey = await self._returning.returned(state, shown, cookie, origin(request))
        welcome = f"Welcome, {credkey}. You may close this page and go back to the terminal."
        return pages.notice("You are logged in", welcome)

    def _form(self, request: web.Request, problem: str = "", *, status: int = 200) -> web.Response:
        sealed = request.match_info["sealed"]
        login, scopes = self._confirming.page(sealed)
        cookie = request.cookies.get(PAGE_COOKIE) or self._entropy.token(32)
        shown = pages.page(
            "confirm",
            status=status,
            login=login,
            rights=rights_in_words(scopes),
            sealed=sealed,
            form=self._form_value(cookie, sealed),
            problem=problem,
        )
        shown.set_cookie(
            PAGE_COOKIE, cookie, path="/", secure=True, httponly=True, samesite="Strict"
        )
        return shown

    def _form_value(self, cookie: str, sealed: str) -> str:
        return self._seal.secret("login form", f"{cookie} {sealed}").digest()

    def _as_page(self, answers: _Answers) -> _Answers:
        """Have every error of a page shown as one; who comes counts as a stranger."""

        async def shown(request: web.Request) -> web.Response:
            try:
                self._strangers.count(request)
                return await answers(request)
            except CredbrokerError as error:
                log.info("login_page_refused", error=error.code, why=error.sentence)
                return _problem(error, request[REQUEST_ID])
            except web.HTTPException:
                raise
            except Exception:
                log.exception("broker_fault", path=request.rel_url.path)
                failed = BrokerFault("Something went wrong inside the broker.")
                return _problem(failed, request[REQUEST_ID])

        return shown


def _problem(error: CredbrokerError, request_id: str) -> web.Response:
    remedy = f"{error.remedy} ({request_id})"
    shown = pages.notice("This did not work", error.sentence, remedy, status=status_of(error))
    return retry_after(shown, error)


def _sent_on(confirmed: Confirmed) -> web.Response:
    """Send the browser to the issuer, with the cookie without which nobody comes back."""
    if confirmed.user_code:
        return pages.page("device", address=confirmed.go_to, user_code=confirmed.user_code)
    answer = pages.onward(confirmed.go_to)
    answer.set_cookie(
        LOGIN_COOKIE + confirmed.login,
        confirmed.cookie,
        max_age=confirmed.seconds,
        path=urlsplit(confirmed.back_to).path,
        secure=True,
        httponly=True,
        samesite="Lax",
    )
    return answer
