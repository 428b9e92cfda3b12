"""A running issuer and somebody with a browser."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

import aiohttp
from joserfc import jwt
from joserfc.jwk import KeySet

from credbroker.demo.issuer.settings import DEVICE_CODE
from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from credbroker.demo.issuer import DevIssuer

BROKER = {"client_id": "broker", "client_secret": "broker's word"}
FOREIGN = {"client_id": "other", "client_secret": "other's word"}
ALICE = {"name": "alice", "password": "alice's word"}
BACK = "http://127.0.0.1:1/back"
SCOPE = "openid offline_access wlcg.groups storage.read:/"


class NotingClock(FakeClock):
    """Notes how long somebody wanted to sleep, and lets them go on at once."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class World:
    """An issuer, its clock, and one person's browser."""

    def __init__(self, issuer: DevIssuer, clock: NotingClock, http: aiohttp.ClientSession) -> None:
        self.issuer = issuer
        self.clock = clock
        self.http = http

    async def post(self, path: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Post a form and return status and JSON."""
        async with self.http.post(self.issuer.url + path, data=form) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str, authorization: str = "") -> tuple[int, dict[str, Any]]:
        """Fetch JSON."""
        headers = {"Authorization": authorization} if authorization else {}
        async with self.http.get(self.issuer.url + path, headers=headers) as answer:
            return answer.status, await answer.json()

    async def begin(self, **more: str) -> dict[str, Any]:
        """Start a device login."""
        form = {"client_id": "broker", "scope": SCOPE, **more}
        status, started = await self.post("devicecode", form)
        assert status == 200
        return started

    async def poll(self, started: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Poll once."""
        form = {"grant_type": DEVICE_CODE, "device_code": started["device_code"], **BROKER}
        return await self.post("token", form)

    async def log_in(self, **more: str) -> dict[str, Any]:
        """Go through a device login that alice approves headless."""
        started = await self.begin(**more)
        self.issuer.approve(started["user_code"])
        status, answer = await self.poll(started)
        assert status == 200
        return answer

    async def refresh(self, value: str, **more: str) -> tuple[int, dict[str, Any]]:
        """Refresh once."""
        form = {"grant_type": "refresh_token", "refresh_token": value, **BROKER, **more}
        return await self.post("token", form)

    async def verified(self, text: str) -> dict[str, Any]:
        """Return the claims of a token that verifies by the served JWKS."""
        _, keys = await self.get("jwk")
        key_set = KeySet.import_key_set({"keys": keys["keys"]})
        return jwt.decode(text, key_set, algorithms=["RS256", "ES256"]).claims

    async def page(self, path: str, form: dict[str, str] | None = None) -> tuple[str, str]:
        """Fetch a page or post a form as a browser does; return where it ended and its text."""
        method = "GET" if form is None else "POST"
        async with self.http.request(method, self.issuer.url + path, data=form) as answer:
            return answer.url.path, await answer.text()

    async def decide(self, page: str, decision: str = "allow", leave_out: str = "") -> str:
        """Answer a consent page; return the next page, or the address it sends the browser to."""
        kept = [("scope", item) for item in boxes(page) if item != leave_out]
        form = aiohttp.FormData([*fields(page).items(), *kept, ("decision", decision)])
        url = self.issuer.url + "consent"
        async with self.http.post(url, data=form, allow_redirects=False) as answer:
            return answer.headers.get("Location") or await answer.text()


def fields(page: str) -> dict[str, str]:
    """Return the hidden and prefilled text fields of a page's form."""
    found = re.findall(r'<input (?:type="hidden" )?name="([^"]+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}


def boxes(page: str) -> list[str]:
    """Return the scope items a consent page offers."""
    return [
        html.unescape(one) for one in re.findall(r'checkbox" name="scope" value="([^"]*)"', page)
    ]
