"""The person's side: enter a code or arrive from a client, sign in, agree, done.

One cookie session carries one decision at a time. Its CSRF value changes with every new decision,
so a form left open from an earlier one is refused rather than applied to the wrong login.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from credbroker.demo.issuer import pages
from credbroker.demo.issuer.endpoints import asked_by
from credbroker.demo.issuer.errors import OAuthError
from credbroker.demo.issuer.logins import AuthorizationRequest, DeviceLogin

if TYPE_CHECKING:
    from credbroker.demo.issuer.consent import Grant
    from credbroker.demo.issuer.settings import Client, Person
    from credbroker.demo.issuer.state import IssuerState

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


@dataclass(slots=True)
class Session:
    """One browser: who signed in, and what is to be decided."""

    csrf: str
    person: Person | None = None
    pending: DeviceLogin | AuthorizationRequest | None = None


class Browser:
    """Serves the pages of one issuer."""

    def __init__(self, state: IssuerState) -> None:
        """Work on the books of `state`."""
        self._state = state
        self._sessions: dict[str, Session] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return a route for each page and form."""
        return [
            web.get("/device", self._show_device),
            web.post("/device", self._enter_code),
            web.get("/authorize", self._authorize),
            web.get("/sign-in", self._show_sign_in),
            web.post("/sign-in", self._sign_in),
            web.get("/consent", self._show_consent),
            web.post("/consent", self._decide),
        ]

    async def _show_device(self, request: web.Request) -> web.StreamResponse:
        session, response = self._session(request)
        return _page(response, pages.code_page(session.csrf, request.query.get("user_code", "")))

    async def _enter_code(self, request: web.Request) -> web.StreamResponse:
        session, form = await self._posted(request)
        login = self._state.device_logins.find(str(form.get("user_code", "")), self._state.now())
        if login is None:
            problem = "This code is unknown or no longer valid."
            return _page(web.Response(), pages.code_page(session.csrf, problem=problem))
        self._begin(session, login)
        return _moved(web.Response(), "/sign-in")

    async def _authorize(self, request: web.Request) -> web.StreamResponse:
        client = self._state.clients.get(request.query.get("client_id", ""))
        redirect_uri = request.query.get("redirect_uri", "")
        if client is None or redirect_uri not in client.redirect_uris:
            return _notice("Not possible", "The client or its return address is unknown.", 400)
        try:
            wanted = _authorization_request(client, request)
        except OAuthError as refusal:
            return _back(redirect_uri, request.query.get("state", ""), refusal.body())
        session, response = self._session(request)
        self._begin(session, wanted)
        return _moved(response, "/sign-in")

    async def _show_sign_in(self, request: web.Request) -> web.StreamResponse:
        session, response = self._session(request)
        if session.person:
            return _moved(response, "/consent")
        return _page(response, pages.sign_in_page(session.csrf))

    async def _sign_in(self, request: web.Request) -> web.StreamResponse:
        session, form = await self._posted(request)
        person = self._state.people.get(str(form.get("name", "")))
        password = str(form.get("password", ""))
        if person is None or not hmac.compare_digest(person.password.encode(), password.encode()):
            problem = "Name or password is wrong."
            return _page(web.Response(), pages.sign_in_page(session.csrf, problem))
        session.person = person
        return self._renamed(request, _moved(web.Response(), "/consent"))

    async def _show_consent(self, request: web.Request) -> web.StreamResponse:
        session, response = self._session(request)
        if session.person is None or session.pending is None:
            return _moved(response, "/sign-in" if session.pending else "/device")
        asked = session.pending.asked
        page = pages.consent_page(session.csrf, session.person.name, asked.client_id, asked.scopes)
        return _page(response, page)

    async def _decide(self, request: web.Request) -> web.StreamResponse:
        session, form = await self._posted(request)
        person, pending = session.person, session.pending
        if person is None or pending is None:
            return _notice("Nothing to decide", "Start again where you came from.", 400)
        session.pending = None
        kept = [str(item) for item in form.getall("scope", [])]
        allowed = form.get("decision") == "allow"
        grant = pending.asked.granted_by(person, kept, self._state.now()) if allowed else None
        if isinstance(pending, DeviceLogin):
            return self._close_device_login(pending, grant)
        return self._send_back(pending, grant)

    def _close_device_login(self, login: DeviceLogin, grant: Grant | None) -> web.Response:
        if not login.open(self._state.now()):
            return _notice("Too late", "This code is no longer valid.", 400)
        login.grant, login.denied = grant, grant is None
        if grant is None:
            return _notice("Refused", "The device gets nothing.")
        return _notice("Done", "You may close this page and go back to the device.")

    def _send_back(self, wanted: AuthorizationRequest, grant: Grant | None) -> web.Response:
        if grant is None:
            refusal = OAuthError("access_denied", "The person refused.").body()
            return _back(wanted.redirect_uri, wanted.state, refusal)
        code = self._state.codes.issue(wanted, grant, self._state.now())
        return _back(wanted.redirect_uri, wanted.state, {"code": code})

    def _begin(self, session: Session, pending: DeviceLogin | AuthorizationRequest) -> None:
        session.pending = pending
        session.csrf = self._state.entropy.token(16)

    def _cookie(self) -> str:
        return f"issuer_{urlsplit(self._state.url).port}"  # cookies do not tell ports apart

    def _session(self, request: web.Request) -> tuple[Session, web.Response]:
        response = web.Response()
        session = self._sessions.get(request.cookies.get(self._cookie(), ""))
        if session is None:
            session = Session(csrf=self._state.entropy.token(16))
            self._keep(session, response)
        return session, response

    def _keep(self, session: Session, response: web.Response) -> None:
        name = self._state.entropy.token(32)
        self._sessions[name] = session
        secure = self._state.url.startswith("https:")
        response.set_cookie(self._cookie(), name, httponly=True, samesite="Lax", secure=secure)

    def _renamed(self, request: web.Request, response: web.Response) -> web.Response:
        """Give the session a new name, so that one planted before sign-in is worth nothing."""
        self._keep(self._sessions.pop(request.cookies[self._cookie()]), response)
        return response

    async def _posted(self, request: web.Request) -> tuple[Session, Any]:
        form = await request.post()
        session = self._sessions.get(request.cookies.get(self._cookie(), ""))
        shown = str(form.get("csrf", ""))
        if session is None or not hmac.compare_digest(session.csrf.encode(), shown.encode()):
            raise web.HTTPForbidden(text="This form is out of date; start again.")
        return session, form


def _authorization_request(client: Client, request: web.Request) -> AuthorizationRequest:
    query = request.query
    if query.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "Only code is supported.")
    challenge = query.get("code_challenge", "")
    if challenge and query.get("code_challenge_method") != "S256":
        raise OAuthError("invalid_request", "The challenge method must be S256.")
    if client.secret is None and not challenge:
        raise OAuthError("invalid_request", "A public client needs a code challenge.")
    asked = asked_by(client, query)
    return AuthorizationRequest(asked, query["redirect_uri"], query.get("state", ""), challenge)


def _page(response: web.Response, text: str) -> web.Response:
    response.content_type = "text/html"
    response.text = text
    response.headers.update(_HEADERS)
    return response


def _notice(title: str, text: str, status: int = 200) -> web.Response:
    return _page(web.Response(status=status), pages.notice_page(title, text))


def _moved(response: web.Response, address: str) -> web.Response:
    response.set_status(303)
    response.headers.update({**_HEADERS, "Location": address})
    return response


def _back(redirect_uri: str, state: str, members: dict[str, str]) -> web.Response:
    """Send the browser back to the client (RFC 6749 section 4.1.2)."""
    query = urlencode(members | ({"state": state} if state else {}))
    joint = "&" if "?" in redirect_uri else "?"
    return _moved(web.Response(), f"{redirect_uri}{joint}{query}")
