"""A person at a browser, without the browser: fills in the forms an issuer shows, one by one.

- Each person has cookies of their own, and stays logged in as one does in a browser.
- What is sent is what the page says: its hidden fields, and what the person types.
- A login that does not end on a page without a form is an error that names the last page.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Self
from urllib.parse import urljoin

import aiohttp

if TYPE_CHECKING:
    from pathlib import Path

# The code, the confirmation, the login, the consent; and the page that says it is done.
_MOST_PAGES = 5


class LoginFailedError(Exception):
    """The issuer showed another page than a person who logs in expects."""


@dataclass(slots=True)
class Page:
    """One page: its address and title, and its first form if it has one."""

    url: str
    title: str = ""
    action: str | None = None
    fields: dict[str, str] = field(default_factory=dict)


class Person:
    """Somebody who logs in under `name` at any issuer on this machine."""

    def __init__(self, name: str, ca_file: Path) -> None:
        """Be `name`, who trusts the servers certified by `ca_file`; a password is made up."""
        self.name = name
        self._typed = {"login": name, "password": f"password of {name}"}
        self._context = ssl.create_default_context(cafile=str(ca_file))

    async def __aenter__(self) -> Self:
        """Open the browser."""
        self._browser = aiohttp.ClientSession(
            # Cookies are refused for numeric addresses unless told otherwise.
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            connector=aiohttp.TCPConnector(ssl=self._context),
            timeout=aiohttp.ClientTimeout(total=20),
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close the browser and forget its cookies."""
        await self._browser.close()

    async def log_in(self, verification_uri_complete: str) -> None:
        """Confirm the device, log in and consent; the device's next poll gets its tokens.

        Raises:
            LoginFailedError: The issuer did not say that it worked.
        """
        page = await self._see("GET", verification_uri_complete)
        for _ in range(_MOST_PAGES):
            if page.action is None:
                return
            page = await self._submit(page)
        raise LoginFailedError(f"The login of {self.name} did not end; last page: {page.title}")

    async def refuse(self, verification_uri_complete: str) -> None:
        """Press "abort" where the issuer asks to confirm; the device's next poll is denied."""
        page = await self._see("GET", verification_uri_complete)
        page = await self._submit(page)
        await self._submit(page, abort="yes")

    async def _submit(self, page: Page, **pressed: str) -> Page:
        if page.action is None:
            raise LoginFailedError(f"There is no form on the page: {page.title}")
        typed = {name: self._typed.get(name, value) for name, value in page.fields.items()}
        return await self._see("POST", page.action, typed | pressed)

    async def _see(self, method: str, url: str, form: dict[str, str] | None = None) -> Page:
        async with self._browser.request(method, url, data=form) as response:
            page = _read(str(response.url), await response.text())
            if response.status != 200:
                raise LoginFailedError(f"{response.status} for {self.name}; page: {page.title}")
        return page


def _read(url: str, html: str) -> Page:
    """Take in the title and the first form of a page."""
    reader = _FormReader(url)
    reader.feed(html)
    reader.close()
    return reader.page


class _FormReader(HTMLParser):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.page = Page(url)
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._in_title = tag == "title"
        if tag == "form" and self.page.action is None:
            self.page.action = urljoin(self.page.url, given.get("action", ""))
        elif tag == "input" and "name" in given:
            self.page.fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.page.title += data
