"""What all pages share of the browser that shows them: forms that are its own, its cookies, errors as pages.

- A form is taken only from a page of ours in this very browser: it bears a value that belongs to the
  page's cookie and to what the page was about (RFC 6749 section 10.12).
- Who is sent to an issuer gets a cookie for the way back, which this very host alone can have set.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl

import structlog
from aiohttp import web

from credbroker.api import pages
from credbroker.api.bodies import body_of
from credbroker.api.problems import REQUEST_ID, retry_after, status_of
from credbroker.api.strangers import Strangers
from credbroker.domain.confirming import CameBack
from credbroker.domain.errors import BrokerFault, CredbrokerError
from credbroker.domain.secret import Secret
from credbroker.ports import Entropy, LoginSeal

# The prefix keeps other hosts of the site from setting them (RFC 6265bis section 4.1.3): else a
# phisher there gives his victim's browser the cookie of the login that he confirmed himself.
PAGE_COOKIE = "__Host-credbroker-page"
WAY_BACK = "__Host-credbroker-back-"

# Random or sealed, in base64url.
_OURS = re.compile(r"[A-Za-z0-9_-]+\Z")

Answers = Callable[[web.Request], Awaitable[web.Response]]

log = structlog.get_logger(__name__)


class Forms:
    """Shows pages with forms, and knows the forms again."""

    def __init__(self, seal: LoginSeal, entropy: Entropy) -> None:
        """Derive the values of forms by `seal`, which all replicas share."""
        self._seal = seal
        self._entropy = entropy

    def page(
        self,
        request: web.Request,
        template: str,
        about: str,
        *,
        status: int = 200,
        **shown: object,
    ) -> web.Response:
        """Return a page whose forms are about something; its template puts `form` into each."""
        cookie = cookie_of(request, PAGE_COOKIE) or self._entropy.token(32)
        answer = pages.page(template, status=status, form=self._value(cookie, about), **shown)
        answer.set_cookie(
            PAGE_COOKIE, cookie, path="/", secure=True, httponly=True, samesite="Strict"
        )
        return answer

    async def sent(self, request: web.Request, about: str) -> Mapping[str, str] | None:
        """Return the fields of a form about this that the browser was shown; None if it was not."""
        fields = dict(parse_qsl((await body_of(request)).decode(errors="replace")))
        cookie = cookie_of(request, PAGE_COOKIE)
        given, expected = fields.get("form", ""), self._value(cookie, about)
        own = bool(cookie) and hmac.compare_digest(expected.encode(), given.encode())
        return fields if own else None

    def _value(self, cookie: str, about: str) -> str:
        return self._seal.secret("form", f"{cookie} {about}").digest()


def cookie_of(request: web.Request, name: str) -> str:
    """Return a cookie, empty if it is not there or cannot be one of ours: others set bytes at will."""
    text = request.cookies.get(name, "")
    return text if _OURS.match(text) else ""


def sent_on(go_to: str, state: str, cookie: str, seconds: int) -> web.Response:
    """Send a browser to an issuer, with the cookie without which it need not come back to us."""
    answer = pages.onward(go_to)
    answer.set_cookie(
        WAY_BACK + state, cookie, max_age=seconds, path="/",
        secure=True, httponly=True, samesite="Lax",
    )  # fmt: skip
    return answer


def came_back(request: web.Request) -> tuple[CameBack, str]:
    """Return what a browser brings back from an issuer, and the cookie that it was sent with."""
    state, code = request.query.get("state", ""), request.query.get("code", "")
    shown = Secret("authorization code", code) if code else None
    iss = request.query.get("iss", "")
    answer = CameBack(state, shown, request.match_info["issuer"], iss)
    return answer, cookie_of(request, WAY_BACK + state)


def as_page(strangers: Strangers, answers: Answers) -> Answers:
    """Have every error shown as a page; who comes counts as a stranger."""

    async def shown(request: web.Request) -> web.Response:
        try:
            strangers.count(request)
            return await answers(request)
        except CredbrokerError as error:
            log.info("page_refused", error=error.code, why=error.sentence)
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
